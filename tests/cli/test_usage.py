"""`penstock usage`: figures of the ledger as tables and JSON, and what they say is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.usage import Usage
from penstock_worker.attempts import open_attempts, settle
from tests.cli.conftest import Run
from tests.ledger.making import lease_of, new_job, settlement_of

HASH = "0123456789abcdef"
MISS = Usage(input_tokens=2_000, output_tokens=1, cache_write_tokens=1_500)
HIT = Usage(input_tokens=2_000, output_tokens=1, cache_read_tokens=1_500)
CLAUDE = {"provider": "anthropic", "model": "claude-sonnet-4-6", "system_hash": HASH}

Called = Callable[..., None]


@pytest.fixture
def workspace(run: Run, servers: None) -> str:
    """A workspace of its own."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name, "--monthly-tokens", "unlimited").code == 0
    return name


@pytest.fixture
def called(workspace: str, settings: Settings) -> Called:
    """`called(HIT, provider="openai")` records a call of this usage; `simulated=False` if real."""

    def record(usage: Usage, *, simulated: bool = True, **fields: Any) -> None:
        asyncio.run(_call(settings, new_job(workspace, **fields), usage, simulated=simulated))

    return record


async def _call(settings: Settings, job: NewJob, usage: Usage, *, simulated: bool) -> None:
    ledger = await Ledger.connect(settings)
    await ledger.submit([job])
    await open_attempts(ledger, [lease_of(job, 1)], provider=job.provider, worker="w")
    await settle(ledger, [settlement_of(job, usage=usage, simulated=simulated)])
    await ledger.close()


@pytest.mark.parametrize("command", ["models", "cache"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    ran = run("usage", command, "--help")
    assert ran.code == 0
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock usage {command}")


@pytest.mark.parametrize("command", ["models", "cache"])
def test_unknown_workspace_is_refused(run: Run, servers: None, command: str) -> None:
    ran = run("usage", command, "nowhere")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "nowhere" in ran.err


def test_models_have_a_line_each(run: Run, workspace: str, called: Called) -> None:
    called(HIT, **CLAUDE)
    called(MISS)
    shown = orjson.loads(run("usage", "models", workspace, "--json").out)
    assert [(row["model"], row["calls"]) for row in shown] == [
        ("claude-sonnet-4-6", 1),
        ("gpt-test", 1),
    ]
    assert shown[0]["cost_usd"] == "0.01"
    lines = run("usage", "models", workspace).out.splitlines()
    assert lines[1].split()[:2] == ["anthropic/claude-sonnet-4-6", "1"]


def test_cache_has_hits_and_what_they_saved(run: Run, workspace: str, called: Called) -> None:
    called(MISS, **CLAUDE)
    called(HIT, **CLAUDE)
    (use,) = orjson.loads(run("usage", "cache", workspace, "--json").out)
    assert (use["system_hash"], use["calls"], use["hits"], use["hit_rate"]) == (HASH, 2, 1, 0.5)
    assert (use["input_tokens"], use["read_tokens"], use["written_tokens"]) == (4000, 1500, 1500)
    assert float(use["saved_usd"]) > 0
    line = run("usage", "cache", workspace).out.splitlines()[1].split()
    assert line[:5] == ["anthropic/claude-sonnet-4-6", HASH, "2", "1", "50%"]


def test_cache_says_what_was_lost_and_what_nobody_knows(
    run: Run, workspace: str, called: Called
) -> None:
    called(MISS, **CLAUDE)
    called(HIT)
    shown = run("usage", "cache", workspace).out.splitlines()
    assert "-$0.00" in shown[1]
    assert shown[2].split()[:2] == ["openai/gpt-test", "-"]
    assert "unknown" in shown[2]


@pytest.mark.parametrize("command", ["models", "cache"])
def test_figures_say_whether_they_are_simulated(
    run: Run, workspace: str, called: Called, command: str
) -> None:
    called(HIT, simulated=False)
    assert "simulated" not in run("usage", command, workspace).out
    called(HIT, **CLAUDE)
    lines = run("usage", command, workspace).out.splitlines()
    assert [line.endswith("simulated") for line in lines[1:3]] == [True, False]
    assert lines[-1].startswith("simulated: no provider was called")
    shown = orjson.loads(run("usage", command, workspace, "--json").out)
    assert [row["simulated"] for row in shown] == [True, False]


def test_submit_with_a_strategy_goes_where_the_strategy_says(run: Run, workspace: str) -> None:
    asked = ("-w", workspace, "-c", "reason", "--strategy", "cost")
    explained = orjson.loads(run("models", "route", *asked, "--text", "Why?", "--json").out)
    assert run("submit", *asked, "--text", "Why?").code == 0
    row = orjson.loads(run("jobs", "-w", workspace, "--json").out)
    assert f"{row['provider']}/{row['model']}" == explained["routes"][0]


def test_submit_with_a_strange_strategy_is_refused(run: Run) -> None:
    ran = run("submit", "-w", "acme", "-c", "reason", "--text", "Why?", "--strategy", "luck")
    assert ran.code == 2
    assert "balanced" in ran.err
