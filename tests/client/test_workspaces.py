"""Workspaces: cached for five minutes, created once, named plainly."""

from __future__ import annotations

import asyncpg
import pytest

from penstock_client import InvalidJob, Penstock, Settings, UnknownWorkspace
from penstock_client.workspaces import CACHE_S, Workspaces
from penstock_schemas.catalog import catalog


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def reroute(settings: Settings, routing: str) -> None:
    """Change `acme` behind the client's back, as another process would."""
    connection = await asyncpg.connect(settings.require_database())
    await connection.execute(
        "update penstock.llm_configs set routing = $1 where workspace_id = 'acme'", routing
    )
    await connection.close()


async def test_workspace_is_believed_for_five_minutes(penstock: Penstock) -> None:
    clock = Clock()
    workspaces = Workspaces(penstock.ledger, catalog, clock=clock)
    before = (await workspaces.get("acme")).routing
    await reroute(penstock.settings, '{"generate": "openai/gpt-4o"}')
    clock.now_s += CACHE_S - 1
    assert (await workspaces.get("acme")).routing == before
    clock.now_s += 2
    assert (await workspaces.get("acme")).routing == {"generate": ("openai/gpt-4o",)}


async def test_workspace_routing_is_one_name_or_many(penstock: Penstock) -> None:
    await reroute(
        penstock.settings, '{"generate": "openai/a", "haiku": ["openai/b", "anthropic/c"]}'
    )
    routing = (await penstock.workspaces.get("acme")).routing
    assert routing == {"generate": ("openai/a",), "haiku": ("openai/b", "anthropic/c")}


async def test_workspace_that_is_unknown_says_how_to_create_it(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace, match="penstock workspace create nowhere"):
        await penstock.workspaces.get("nowhere")


async def test_workspace_that_was_unknown_is_found_once_created(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace):
        await penstock.workspaces.get("later")
    await penstock.workspaces.create("later", monthly_tokens=500)
    assert (await penstock.workspaces.get("later")).monthly_tokens == 500


async def test_workspace_is_created_with_the_default_routing(penstock: Penstock) -> None:
    config = await penstock.workspaces.get("acme")
    assert config.routing["classify"] == (catalog().capabilities["classify"].model,)
    assert "embed" not in config.routing
    assert (config.monthly_tokens, config.tokens_used) == (None, 0)


async def test_workspace_created_again_stays_as_it_was(penstock: Penstock) -> None:
    assert not await penstock.workspaces.create("acme", monthly_tokens=1)
    assert (await penstock.workspaces.get("acme")).monthly_tokens is None


@pytest.mark.parametrize("name", ["", "Acme", "a b", "a|b", "a/b", "-a", "a" * 64])
async def test_workspace_name_is_plain(name: str) -> None:
    workspaces = Workspaces(None, catalog)  # type: ignore[arg-type]
    with pytest.raises(InvalidJob, match="must be lower case letters") as caught:
        await workspaces.create(name, monthly_tokens=None)
    assert caught.value.field == "workspace"


async def test_workspaces_are_listed_by_name(penstock: Penstock) -> None:
    for name in ("zeta", "beta"):
        await penstock.workspaces.create(name, monthly_tokens=None)
    names = [config.workspace for config in await penstock.workspaces.list()]
    assert names == ["acme", "beta", "zeta"]
