"""The tables of the catalogue: seeded from the package; edits outlive the next seeding."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client import Settings
from penstock_client.ledger import seed_catalogue
from penstock_schemas.catalog import Catalog, catalog

CATALOG = catalog()
TODAY = date(2026, 11, 21)
MODEL = CATALOG.model("openai/gpt-4o")
#: A later package: one model dearer and renamed, one gone.
LATER = CATALOG.model_copy(
    update={
        "models": tuple(
            model.model_copy(update={"input_usd_per_mtok": Decimal(3), "display_name": "4o"})
            if model.ref == MODEL.ref
            else model
            for model in CATALOG.models
            if model.ref != "zai/glm-4.6"
        )
    }
)


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to empty tables of the catalogue, which leaves them as they were."""
    opened = await asyncpg.connect(settings.require_database())
    undone = opened.transaction()
    await undone.start()
    await opened.execute("delete from penstock.llm_models")
    await opened.execute("delete from penstock.llm_providers")
    yield opened
    await undone.rollback()
    await opened.close()


async def seed(connection: asyncpg.Connection, models: Catalog = CATALOG, day: date = TODAY) -> Any:
    return await seed_catalogue(connection, models, today=day)


async def row(connection: asyncpg.Connection, ref: str = MODEL.ref) -> asyncpg.Record:
    found = await connection.fetchrow(
        "select * from penstock.llm_models where provider = $1 and model_id = $2",
        *ref.split("/", 1),
    )
    assert found is not None
    return found


async def edit(connection: asyncpg.Connection, change: str) -> None:
    await connection.execute(
        f"update penstock.llm_models set {change} where provider = $1 and model_id = $2",
        *MODEL.ref.split("/", 1),
    )


async def test_migrated_database_has_the_catalogue(settings: Settings) -> None:
    opened = await asyncpg.connect(settings.require_database())
    assert await opened.fetchval("select count(*) from penstock.llm_providers") >= 20
    assert await opened.fetchval("select count(*) from penstock.llm_models") >= 50
    await opened.close()


async def test_seed_writes_every_row(connection: asyncpg.Connection) -> None:
    seeded = await seed(connection)
    names = {provider.name for provider in CATALOG.providers}
    assert set(seeded.added) == names | {model.ref for model in CATALOG.models}
    assert seeded.changed == ()


async def test_seed_writes_a_models_facts(connection: asyncpg.Connection) -> None:
    await seed(connection)
    found = await row(connection)
    assert found["context_window"] == MODEL.context_window
    assert found["input_usd_per_mtok"] == MODEL.input_usd_per_mtok
    assert found["cache_write_usd_per_mtok"] is None
    assert json.loads(found["capabilities"]) == sorted(MODEL.capabilities)
    assert (found["speed_tier"], found["quality_tier"], found["size_category"]) == (
        MODEL.speed_tier,
        MODEL.quality_tier,
        MODEL.size_category,
    )


async def test_seed_writes_by_how_much_long_prompts_cost_more(
    connection: asyncpg.Connection,
) -> None:
    await seed(connection)
    rows = await connection.fetch("select * from penstock.llm_models")
    found = {f"{row['provider']}/{row['model_id']}": row["long_context_factor"] for row in rows}
    assert found == {model.ref: model.long_context_factor for model in CATALOG.models}
    assert len(set(found.values())) > 1


async def test_seed_writes_a_providers_facts(connection: asyncpg.Connection) -> None:
    await seed(connection)
    found = await connection.fetchrow("select * from penstock.llm_providers where name = 'openai'")
    assert found is not None
    assert found["base_url"] == CATALOG.provider("openai").base_url
    assert json.loads(found["supported_features"]) == ["function_calling", "streaming", "vision"]
    assert (found["auth_type"], found["is_active"], found["is_local"]) == ("api_key", True, False)


async def test_seed_twice_changes_nothing(connection: asyncpg.Connection) -> None:
    await seed(connection)
    before = await connection.fetch("select * from penstock.llm_models order by id")
    assert not await seed(connection)
    assert await connection.fetch("select * from penstock.llm_models order by id") == before


async def test_seed_follows_a_later_package(connection: asyncpg.Connection) -> None:
    await seed(connection)
    seeded = await seed(connection, LATER)
    assert (seeded.added, seeded.changed) == ((), (MODEL.ref,))
    found = await row(connection)
    assert (found["input_usd_per_mtok"], found["display_name"]) == (3, "4o")


async def test_seed_keeps_what_an_operator_changed_and_follows_the_rest(
    connection: asyncpg.Connection,
) -> None:
    await seed(connection)
    await edit(connection, "input_usd_per_mtok = 1.75, is_active = false")
    await seed(connection, LATER)
    found = await row(connection)
    assert (found["input_usd_per_mtok"], found["is_active"]) == (Decimal("1.75"), False)
    assert found["display_name"] == "4o"


@pytest.mark.parametrize("price", [None, Decimal(0)])
async def test_seed_keeps_an_edit_however_often_it_runs(
    connection: asyncpg.Connection, price: Decimal | None
) -> None:
    await seed(connection)
    await edit(connection, f"input_usd_per_mtok = {'null' if price is None else price}")
    for package in (CATALOG, LATER, CATALOG, LATER):
        await seed(connection, package)
    assert (await row(connection))["input_usd_per_mtok"] == price


async def test_seed_keeps_models_that_left_the_package(connection: asyncpg.Connection) -> None:
    await seed(connection)
    before = await row(connection, "zai/glm-4.6")
    await seed(connection, LATER)
    assert await row(connection, "zai/glm-4.6") == before


async def test_seed_keeps_a_row_that_an_operator_added(connection: asyncpg.Connection) -> None:
    await seed(connection)
    await connection.execute("delete from penstock.llm_models where model_id = 'gpt-4o'")
    await connection.execute(
        "insert into penstock.llm_models (provider, model_id, wire_id, display_name)"
        " values ('openai', 'gpt-4o', 'gpt-4o', 'Ours')"
    )
    await seed(connection)
    found = await row(connection)
    assert (found["display_name"], found["context_window"]) == ("Ours", None)


async def test_seed_switches_off_what_retires(connection: asyncpg.Connection) -> None:
    assert MODEL.retires_on is not None
    await seed(connection)
    assert (await row(connection))["is_active"] is True
    await seed(connection, day=MODEL.retires_on)
    assert (await row(connection))["is_active"] is False


async def test_seed_takes_in_a_column_that_is_new(connection: asyncpg.Connection) -> None:
    await seed(connection)
    await edit(connection, "seeded = seeded - 'context_window', context_window = null")
    seeded = await seed(connection)
    assert seeded.changed == (MODEL.ref,)
    assert (await row(connection))["context_window"] == MODEL.context_window
