"""`penstock workspace token`: the secret on stdout once, and never again."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock_client import Penstock, Settings
from penstock_client.tokens import Identity
from tests.cli.conftest import Run


@pytest.fixture
def stack_with_acme(empty: Settings, servers: None) -> Settings:
    """A stack that has the workspace `acme`."""

    async def make() -> None:
        async with Penstock.connect(settings=empty) as penstock:
            await penstock.workspaces.create("acme")

    asyncio.run(make())
    return empty


def identity(settings: Settings, token: str) -> Identity | None:
    """Whom a token stands for."""

    async def check() -> Identity | None:
        async with Penstock.connect(settings=settings) as penstock:
            return await penstock.tokens.check(token)

    return asyncio.run(check())


def test_token_create_prints_the_token_alone_on_stdout(run: Run, stack_with_acme: Settings) -> None:
    ran = run("workspace", "token", "create", "acme", "--scope", "jobs:read")
    found = identity(stack_with_acme, ran.out.strip())
    assert found is not None
    assert (found.workspace, found.scopes) == ("acme", {"jobs:read"})


def test_token_create_admin_makes_the_first_one(run: Run, stack_with_acme: Settings) -> None:
    found = identity(stack_with_acme, run("workspace", "token", "create", "--admin").out.strip())
    assert found is not None
    assert (found.workspace, found.scopes) == (None, {"admin"})


@pytest.mark.parametrize("args", [(), ("acme", "--admin")])
def test_token_create_wants_a_workspace_or_admin(
    run: Run, stack_with_acme: Settings, args: tuple[str, ...]
) -> None:
    assert run("workspace", "token", "create", *args).code == 2


def test_token_list_never_shows_a_secret(run: Run, stack_with_acme: Settings) -> None:
    secret = run("workspace", "token", "create", "acme").out.strip()
    listed = run("workspace", "token", "list", "acme", "--json")
    assert [row["workspace"] for row in json.loads(listed.out)] == ["acme"]
    assert secret.split("_", 2)[2] not in listed.out


def test_token_revoke_ends_it(run: Run, stack_with_acme: Settings) -> None:
    made = json.loads(run("workspace", "token", "create", "acme", "--json").out)
    assert run("workspace", "token", "revoke", made["token_id"]).code == 0
    assert identity(stack_with_acme, made["token"]) is None
    assert "revoked" in run("workspace", "token", "list").out


def test_token_revoke_of_an_unknown_one_fails(run: Run, stack_with_acme: Settings) -> None:
    ran = run("workspace", "token", "revoke", "0" * 16)
    assert (ran.code, "does not exist" in ran.err) == (1, True)
