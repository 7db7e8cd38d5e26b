"""The life of a token, and what it lets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from penstock_client import Penstock, Settings
from penstock_client.tokens import Identity
from penstock_gateway.token_cache import TokenCache
from penstock_schemas.errors import InvalidJob, UnknownToken, UnknownWorkspace
from tests.gateway.conftest import Api


async def test_check_tells_whom_a_token_stands_for(penstock: Penstock) -> None:
    made = await penstock.tokens.create("crawler", workspace="acme", scopes=["jobs:read"])
    found = await penstock.tokens.check(made.secret)
    assert found == Identity(made.info.token_id, "crawler", "acme", frozenset({"jobs:read"}))


async def test_check_refuses_another_secret_of_the_same_id(penstock: Penstock) -> None:
    made = await penstock.tokens.create("crawler", workspace="acme")
    forged = f"pst_{made.info.token_id}_{'A' * 43}"
    assert await penstock.tokens.check(forged) is None


@pytest.mark.parametrize("text", ["", "pst_", "x" * 10_000, "pst_zz_zz", "pst_é_\x00"])
async def test_check_refuses_what_is_no_token(penstock: Penstock, text: str) -> None:
    assert await penstock.tokens.check(text) is None


async def test_check_refuses_an_expired_token(penstock: Penstock, empty: Settings) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    made = await penstock.tokens.create("crawler", workspace="acme", expires_at=soon)
    connection = await asyncpg.connect(empty.require_database())
    await connection.execute("update penstock.api_tokens set expires_at = now()")
    await connection.close()
    assert await penstock.tokens.check(made.secret) is None


async def test_check_refuses_a_revoked_token(penstock: Penstock) -> None:
    made = await penstock.tokens.create("crawler", workspace="acme")
    await penstock.tokens.revoke(made.info.token_id)
    assert await penstock.tokens.check(made.secret) is None


async def test_check_notes_the_use(penstock: Penstock) -> None:
    made = await penstock.tokens.create("crawler", workspace="acme")
    await penstock.tokens.check(made.secret)
    assert (await penstock.tokens.list("acme"))[0].last_used_at is not None


async def test_secret_stands_nowhere_but_in_what_was_shown(
    penstock: Penstock, empty: Settings
) -> None:
    made = await penstock.tokens.create("crawler", workspace="acme")
    secret = made.secret.rpartition("_")[2] if made.secret.count("_") == 2 else made.secret[21:]
    connection = await asyncpg.connect(empty.require_database())
    stored = await connection.fetch("select t::text from penstock.api_tokens t")
    await connection.close()
    assert secret not in str(stored)
    assert secret not in repr(made)


@pytest.mark.parametrize("scopes", [[], ["jobs:fly"], ["admin"], ["metrics"]])
async def test_create_refuses_scopes_of_no_workspace(penstock: Penstock, scopes: list[str]) -> None:
    with pytest.raises(InvalidJob, match="scopes"):
        await penstock.tokens.create("x", workspace="acme", scopes=scopes)


async def test_create_for_an_unknown_workspace_is_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace):
        await penstock.tokens.create("x", workspace="nowhere")


async def test_revoke_finds_no_token_of_another_workspace(penstock: Penstock) -> None:
    made = await penstock.tokens.create("admin")
    with pytest.raises(UnknownToken):
        await penstock.tokens.revoke(made.info.token_id, workspace="acme")


async def test_request_without_a_token_is_challenged(api: Api) -> None:
    answer = await api.nobody.get("/v1/jobs")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_request_without_the_scope_is_forbidden(api: Api, penstock: Penstock) -> None:
    made = await penstock.tokens.create("reader", workspace="acme", scopes=["jobs:read"])
    headers = {"Authorization": f"Bearer {made.secret}"}
    assert (await api.nobody.get("/v1/jobs", headers=headers)).status_code == 200
    assert (await api.nobody.post("/v1/jobs", headers=headers)).status_code == 403


async def test_metrics_are_for_administrators(api: Api) -> None:
    assert (await api.acme.get("/metrics")).status_code == 403
    answer = await api.admin.get("/metrics")
    assert (answer.status_code, "penstock_up" in answer.text) == (200, True)


async def test_metrics_are_for_whoever_has_their_scope(api: Api, penstock: Penstock) -> None:
    made = await penstock.tokens.create("prometheus", scopes=["metrics"])
    headers = {"Authorization": f"Bearer {made.secret}"}
    assert (await api.nobody.get("/metrics", headers=headers)).status_code == 200
    assert (await api.nobody.get("/api/workspaces", headers=headers)).status_code == 403


class Clocked:
    """A clock that is set, and a check that counts."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, 0
        self.found: Identity | None = Identity("1", "x", None, frozenset())

    def clock(self) -> float:
        return self.now

    async def check(self, token: str) -> Identity | None:
        self.asked += 1
        return self.found


async def test_cache_asks_once_until_it_is_stale() -> None:
    clocked = Clocked()
    cache = TokenCache(clocked.check, fresh_s=5, clock=clocked.clock)
    assert await cache.identity("t") == await cache.identity("t")
    assert clocked.asked == 1


async def test_cache_refuses_a_revoked_token_within_seconds() -> None:
    clocked = Clocked()
    cache = TokenCache(clocked.check, fresh_s=5, clock=clocked.clock)
    await cache.identity("t")
    clocked.found = None
    clocked.now = 5.0
    assert await cache.identity("t") is None
