"""`penstock models`: the catalogue as a list, and where a job would go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import orjson
import pytest

from penstock_schemas.catalog import catalog
from penstock_worker.embedded import EmbeddedStack
from tests.cli.conftest import Ran, Run


@pytest.fixture
def workspace(run: Run, servers: None) -> str:
    """A workspace of its own with the default routing."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name).code == 0
    return name


def route(run: Run, workspace: str, capability: str, *options: str) -> Ran:
    return run("models", "route", "-w", workspace, "-c", capability, *options)


@pytest.mark.parametrize("command", ["list", "route"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    ran = run("models", command, "--help")
    assert ran.code == 0
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock models {command}")


# The list.


def test_list_needs_no_servers_and_has_a_line_for_each_model(run: Run) -> None:
    lines = run("models", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["MODEL", *(m.ref for m in catalog().models)]


def test_list_of_a_provider_has_its_models_only(run: Run) -> None:
    listed = orjson.loads(run("models", "list", "--provider", "mistral", "--json").out)
    assert [row["model"] for row in listed] == [m.ref for m in catalog().models_of("mistral")]


def test_list_as_json_gives_prices_as_text_and_unknown_as_null(run: Run) -> None:
    listed = {row["model"]: row for row in orjson.loads(run("models", "list", "--json").out)}
    assert listed["openai/gpt-4o"]["input_usd_per_mtok"] == "2.5"
    assert listed["deepseek/deepseek-coder"]["input_usd_per_mtok"] is None
    assert listed["google/gemini-1.5-pro"]["is_active"] is False


def test_list_says_what_has_retired_and_what_is_unknown(run: Run) -> None:
    lines = run("models", "list", "--provider", "deepseek").out.splitlines()
    (coder,) = [line for line in lines if "deepseek-coder" in line]
    assert "unknown" in coder
    assert coder.endswith("retired 2026-07-24")


def test_list_of_an_unknown_provider_is_refused(run: Run) -> None:
    ran = run("models", "list", "--provider", "nowhere")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "nowhere" in ran.err


def test_list_is_under_the_configuration_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[providers.groq]\nis_active = false\n"
        "[[models]]\nprovider = 'openai'\nname = 'gpt-4o'\ninput_usd_per_mtok = 1.75\n"
    )
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    listed = {row["model"]: row for row in orjson.loads(run("models", "list", "--json").out)}
    assert listed["openai/gpt-4o"]["input_usd_per_mtok"] == "1.75"
    lines = run("models", "list", "--provider", "groq").out.splitlines()[1:]
    assert lines and all(line.endswith("switched off") for line in lines)


def test_list_with_a_mistake_in_the_file_is_bad_usage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[defaults]\ntimeout = 5\n")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    ran = run("models", "list")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "mine.toml: defaults.timeout: is not a known key" in ran.err


async def _price(database_url: str, price: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        f"update penstock.llm_models set input_usd_per_mtok = {price}"
        " where provider = 'openai' and model_id = 'gpt-4o'"
    )
    await connection.close()


@pytest.fixture
def edited(stack: EmbeddedStack, servers: None) -> Iterator[None]:
    """An operator has given openai/gpt-4o the price of 1000 dollars."""
    asyncio.run(_price(stack.database_url, "1000"))
    yield
    asyncio.run(_price(stack.database_url, "(seeded ->> 'input_usd_per_mtok')::numeric"))


def test_list_shows_an_operators_price(run: Run, edited: None) -> None:
    listed = {row["model"]: row for row in orjson.loads(run("models", "list", "--json").out)}
    assert listed["openai/gpt-4o"]["input_usd_per_mtok"] == "1000"


def test_list_without_its_database_says_so_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://127.0.0.1:1/penstock")
    monkeypatch.setenv("PENSTOCK_DEADLINE_S", "0.2")
    ran = run("models", "list", "--json")
    assert (ran.code, len(orjson.loads(ran.out))) == (0, len(catalog().models))
    assert "warning: without the database's changes" in ran.err


# Where a job would go.


def test_route_costs_by_an_operators_price(run: Run, workspace: str, edited: None) -> None:
    options = ("--model", "openai/gpt-4o", "--tokens", "1000000", "--json")
    (row,) = orjson.loads(route(run, workspace, "generate", *options).out)["candidates"]
    assert float(row["cost_usd"]) >= 1000


def test_route_takes_the_configured_strategy(
    run: Run, workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[defaults]\nstrategy = 'cost'\n")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    shown = orjson.loads(route(run, workspace, "generate", "--json").out)
    assert shown["strategy"] == "cost"


def test_route_without_a_strategy_is_that_of_the_rules(run: Run, workspace: str) -> None:
    shown = orjson.loads(route(run, workspace, "classify", "--json").out)
    assert shown["routes"][0] == catalog().capabilities["classify"].model
    assert shown["strategy"] is None
    assert {row["source"] for row in shown["candidates"]} == {"workspace"}


def test_route_with_a_strategy_shows_every_candidate_and_why(run: Run, workspace: str) -> None:
    shown = orjson.loads(route(run, workspace, "reason", "--strategy", "quality", "--json").out)
    first = shown["candidates"][0]
    assert (first["model"], first["why"]) == (shown["routes"][0], "the best by quality")
    assert first["cost_usd"] is not None
    left = [row for row in shown["candidates"] if not row["taken"]]
    assert left
    assert all(row["why"] for row in left)


def test_route_is_a_table_that_numbers_the_routes(run: Run, workspace: str) -> None:
    shown = orjson.loads(route(run, workspace, "generate", "--strategy", "cost", "--json").out)
    lines = route(run, workspace, "generate", "--strategy", "cost").out.splitlines()
    assert "strategy cost" in lines[0]
    numbered = [line.split()[:2] for line in lines[2:] if not line.startswith("-")]
    assert numbered == [[str(n), ref] for n, ref in enumerate(shown["routes"], start=1)]


def test_route_counts_the_tokens_that_it_is_told(run: Run, workspace: str) -> None:
    options = ("--strategy", "cost", "--tokens", "300000", "--json")
    shown = orjson.loads(route(run, workspace, "generate", *options).out)
    assert shown["input_tokens"] == 300_000
    window = catalog().model(shown["routes"][0]).context_window
    assert window is None or window > 300_000


@pytest.mark.parametrize(("option", "ability"), [("--tools", "tools"), ("--image", "vision")])
def test_route_minds_what_the_job_has(run: Run, workspace: str, option: str, ability: str) -> None:
    options = ("--strategy", "cost", option, "--json")
    shown = orjson.loads(route(run, workspace, "generate", *options).out)
    assert ability in catalog().model(shown["routes"][0]).capabilities


def test_route_of_embeddings_is_one_model_of_vectors(run: Run, workspace: str) -> None:
    shown = orjson.loads(route(run, workspace, "embed", "--strategy", "cost", "--json").out)
    assert [catalog().model(ref).kind for ref in shown["routes"]] == ["embedding"]


def test_route_of_what_no_model_can_do_says_why_and_is_exit_code_1(
    run: Run, workspace: str
) -> None:
    ran = route(run, workspace, "generate", "--model", "fireworks/deepseek-v3", "--image")
    assert ran.code == 1
    assert "takes no images" in ran.out


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("-w", "nobody", "-c", "generate"), "nobody"),
        (("-w", "acme", "-c", "summarise"), "--type"),
        (("-w", "acme", "-c", "embed", "--image"), "embed"),
        (("-w", "acme", "-c", "generate", "--strategy", "cheapest"), "cheapest"),
    ],
)
def test_route_refuses_bad_usage(
    run: Run, servers: None, args: tuple[str, ...], named: str
) -> None:
    ran = run("models", "route", *args)
    assert ran.code == 2
    assert named in ran.err
