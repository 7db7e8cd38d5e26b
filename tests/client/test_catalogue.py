"""The catalogue in force: package, then an operator's rows, then the file; and what it decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from penstock_client import ConfigurationError, Generate, InvalidJob, Penstock, Settings
from penstock_client.catalogue import offline_catalog, read_edits
from penstock_client.ledger import seed
from penstock_client.routing import routes_for
from penstock_schemas.catalog import catalog
from tests.client.routed import config

MODEL = "fireworks/deepseek-v3"
PRICE = catalog().model(MODEL).input_usd_per_mtok


@pytest.fixture
async def tables(empty: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to edit the tables of the catalogue by, which are as seeded afterwards."""
    opened = await asyncpg.connect(empty.require_database())
    yield opened
    await opened.execute("delete from penstock.llm_models")
    await opened.execute("delete from penstock.llm_providers")
    await seed(opened)
    await opened.close()


@pytest.fixture
def file(empty: Settings, tmp_path: Path) -> Callable[[str], Settings]:
    """Settings with a configuration file of this text."""

    def write(text: str) -> Settings:
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")
        return empty.model_copy(update={"config": path})

    return write


async def edit(tables: asyncpg.Connection, change: str, ref: str = MODEL) -> None:
    done = await tables.execute(
        f"update penstock.llm_models set {change} where provider = $1 and model_id = $2",
        *ref.split("/", 1),
    )
    assert done == "UPDATE 1"


def priced(price: str) -> str:
    provider, name = MODEL.split("/")
    return f"[[models]]\nprovider = '{provider}'\nname = '{name}'\ninput_usd_per_mtok = '{price}'\n"


# What is in force.


async def test_catalogue_without_changes_is_the_packaged_one(penstock: Penstock) -> None:
    assert penstock.catalog == catalog()


async def test_price_of_a_row_goes_before_the_packages(
    empty: Settings, tables: asyncpg.Connection
) -> None:
    await edit(tables, "input_usd_per_mtok = 0.125")
    async with Penstock.connect(settings=empty) as penstock:
        model = penstock.catalog.model(MODEL)
    assert model == catalog().model(MODEL).model_copy(
        update={"input_usd_per_mtok": Decimal("0.125")}
    )


async def test_price_of_the_file_goes_before_a_rows(
    file: Callable[[str], Settings], tables: asyncpg.Connection
) -> None:
    await edit(tables, "input_usd_per_mtok = 0.125, output_usd_per_mtok = 0.25")
    async with Penstock.connect(settings=file(priced("0.5"))) as penstock:
        model = penstock.catalog.model(MODEL)
    assert (model.input_usd_per_mtok, model.output_usd_per_mtok) == (
        Decimal("0.5"),
        Decimal("0.25"),
    )


async def test_price_that_is_made_unknown_is_unknown(
    empty: Settings, tables: asyncpg.Connection
) -> None:
    await edit(tables, "input_usd_per_mtok = null")
    async with Penstock.connect(settings=empty) as penstock:
        assert penstock.catalog.model(MODEL).input_usd_per_mtok is None


async def test_row_of_another_package_that_nobody_edited_does_not_count(
    empty: Settings, tables: asyncpg.Connection
) -> None:
    await edit(tables, "context_window = 7, seeded = seeded || '{\"context_window\": 7}'")
    async with Penstock.connect(settings=empty) as penstock:
        assert penstock.catalog == catalog()


async def test_rows_that_an_operator_added_are_in_force(
    empty: Settings, tables: asyncpg.Connection
) -> None:
    await tables.execute(
        "insert into penstock.llm_providers (name, display_name, base_url, is_local)"
        " values ('acme', 'Acme', 'http://127.0.0.1:9/v1', true)"
    )
    await tables.execute(
        "insert into penstock.llm_models (provider, model_id, wire_id, display_name,"
        " long_context_factor, retires_on) values ('acme', 'big', 'big-1', 'Big', 1.5,"
        " '2030-01-01')"
    )
    async with Penstock.connect(settings=empty) as penstock:
        acme, big = penstock.catalog.provider("acme"), penstock.catalog.model("acme/big")
    assert (acme.base_url, acme.local, acme.timeout_s) == ("http://127.0.0.1:9/v1", True, 120)
    assert (big.wire_id, big.long_context_factor) == ("big-1", Decimal("1.5"))
    assert big.active is None and big.retires_on is not None


async def test_row_that_makes_no_sense_is_left_out_and_told(
    penstock: Penstock, tables: asyncpg.Connection
) -> None:
    await edit(tables, "capabilities = '[\"telepathy\"]'")
    await edit(tables, "input_usd_per_mtok = 9", "openai/gpt-4o")
    edits = await read_edits(penstock.ledger)
    (line,) = edits.refused
    assert line.startswith(f"penstock.llm_models.{MODEL}.capabilities")
    assert edits.catalog.model(MODEL) == catalog().model(MODEL)
    assert edits.catalog.model("openai/gpt-4o").input_usd_per_mtok == 9


async def test_model_that_has_retired_is_active_by_an_operators_word(
    empty: Settings, tables: asyncpg.Connection
) -> None:
    ref, today = "google/gemini-1.5-pro", datetime.now(UTC).date()
    assert not catalog().model(ref).is_active(today)
    await edit(tables, "is_active = true", ref)
    async with Penstock.connect(settings=empty) as penstock:
        assert penstock.catalog.model(ref).is_active(today)


# Taking it up.


async def test_refresh_takes_up_what_has_changed(
    penstock: Penstock, tables: asyncpg.Connection
) -> None:
    assert penstock.catalog.model(MODEL).input_usd_per_mtok == PRICE
    await edit(tables, "input_usd_per_mtok = 0.125")
    await penstock.refresh_catalog()
    assert penstock.catalog.model(MODEL).input_usd_per_mtok == Decimal("0.125")


async def test_refresh_of_what_has_not_changed_keeps_the_very_catalogue(
    file: Callable[[str], Settings],
) -> None:
    async with Penstock.connect(settings=file(priced("0.5"))) as penstock:
        before = penstock.catalog
        await penstock.refresh_catalog()
        assert penstock.catalog is before


async def test_refresh_that_fails_keeps_the_catalogue(
    file: Callable[[str], Settings], tables: asyncpg.Connection
) -> None:
    await tables.execute(
        "insert into penstock.llm_providers (name, display_name, base_url)"
        " values ('acme', 'Acme', 'http://127.0.0.1:9/v1')"
    )
    text = "[providers.openai]\ntimeout_s = 5\n"
    async with Penstock.connect(settings=file(text)) as penstock:
        before = penstock.catalog
        await tables.execute("alter table penstock.llm_models rename to hidden")
        try:
            with pytest.raises(ConfigurationError, match="penstock migrate"):
                await penstock.refresh_catalog()
        finally:
            await tables.execute("alter table penstock.hidden rename to llm_models")
        assert penstock.catalog is before


# The file.


def test_file_with_a_mistake_stops_a_connection(file: Callable[[str], Settings]) -> None:
    settings = file("[providers.openai]\nretries = 3\n")
    with pytest.raises(ConfigurationError, match=r"mine\.toml: providers\.openai\.retries"):
        Penstock.connect(settings=settings)


def test_file_that_is_not_there_names_the_variable(tmp_path: Path) -> None:
    settings = Settings(config=tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_CONFIG: .*none\.toml cannot be read"):
        offline_catalog(settings)


def test_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"mine\.toml: is not UTF-8"):
        offline_catalog(Settings(config=path))


def test_file_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    assert offline_catalog(Settings()) == catalog()
    (tmp_path / "penstock.toml").write_text(priced("0.5"))
    assert offline_catalog(Settings()).model(MODEL).input_usd_per_mtok == Decimal("0.5")


def test_file_that_is_named_goes_before_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text(priced("0.5"))
    (tmp_path / "other.toml").write_text(priced("0.25"))
    monkeypatch.setenv("PENSTOCK_CONFIG", str(tmp_path / "other.toml"))
    assert offline_catalog(Settings()).model(MODEL).input_usd_per_mtok == Decimal("0.25")


# Models that are switched off.


async def test_model_that_is_switched_off_is_refused_when_pinned(
    empty: Settings, penstock: Penstock, tables: asyncpg.Connection
) -> None:
    await edit(tables, "is_active = false", "openai/gpt-4o")
    await penstock.refresh_catalog()
    with pytest.raises(InvalidJob, match="openai/gpt-4o is switched off"):
        await penstock.submit(Generate(workspace="acme", prompt="hi", model="openai/gpt-4o"))


@pytest.mark.parametrize("ref", ["openai/gpt-4o", "openai/not-listed"])
async def test_model_of_a_provider_that_is_switched_off_is_refused(
    file: Callable[[str], Settings], ref: str
) -> None:
    known = offline_catalog(file("[providers.openai]\nis_active = false\n"))
    job = Generate(workspace="acme", prompt="hi", model=ref)
    with pytest.raises(InvalidJob, match=f"{ref} is switched off"):
        routes_for(job, config(), known)


@pytest.mark.parametrize("strategy", ["cost", "speed", "quality", "balanced"])
async def test_strategy_does_not_choose_what_is_switched_off(
    file: Callable[[str], Settings], strategy: str
) -> None:
    job = Generate.model_validate({"workspace": "acme", "prompt": "hi", "strategy": strategy})
    (best, *_) = routes_for(job, config(), catalog())
    provider, name = best.split("/", 1)
    text = f"[[models]]\nprovider = '{provider}'\nname = '{name}'\nis_active = false\n"
    assert best not in routes_for(job, config(), offline_catalog(file(text)))


async def test_route_that_is_switched_off_leaves_the_others(
    file: Callable[[str], Settings],
) -> None:
    text = "[[models]]\nprovider = 'openai'\nname = 'gpt-4o'\nis_active = false\n"
    own = config(generate=("openai/gpt-4o", "mistral/mistral-large-latest"))
    job = Generate(workspace="acme", prompt="hi")
    routes = routes_for(job, own, offline_catalog(file(text)))
    assert routes == ("mistral/mistral-large-latest",)


# What it comes to.


async def test_attempts_of_a_job_are_recorded_as_configured(
    file: Callable[[str], Settings], penstock: Penstock
) -> None:
    settings = file("[providers.openai]\nmax_attempts = 2\n")
    async with Penstock.connect(settings=settings) as configured:
        job = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o")
        handle = await configured.submit(job)
        found = await configured.ledger.pool.fetchval(
            "select max_attempts from penstock.jobs where id = $1", handle.job_id
        )
    assert found == 2


async def test_price_that_an_operator_edited_is_what_a_result_costs(
    penstock: Penstock, tables: asyncpg.Connection, work_for
) -> None:
    await edit(tables, "input_usd_per_mtok = 1000, output_usd_per_mtok = 2000")
    await work_for("fireworks")
    job = Generate(workspace="acme", prompt="hi", model=MODEL)
    result = await penstock.call(job, timeout_s=20)
    usage = result.usage
    assert usage.total_tokens > 0
    expected = Decimal(usage.input_tokens) / 1000 + Decimal(usage.output_tokens) / 500
    assert result.cost_usd == expected
