"""`penstock usage show|month|calls|export`: readable tables, honest costs, and files."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger
from penstock_worker.attempts import open_attempts, settle
from tests.cli.conftest import Run
from tests.ledger.making import lease_of, new_job, settlement_of

Called = Callable[..., None]


@pytest.fixture
def workspace(run: Run, servers: None) -> str:
    """A workspace of its own."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name, "--monthly-tokens", "unlimited").code == 0
    return name


@pytest.fixture
def called(workspace: str, settings: Settings) -> Called:
    """`called(skill="a", cost_usd=None)` records a call of 7 + 3 tokens, for 0.01 USD."""

    async def call(fields: dict[str, Any], changes: dict[str, Any]) -> None:
        job = new_job(workspace, **fields)
        ledger = await Ledger.connect(settings)
        await ledger.submit([job])
        await open_attempts(ledger, [lease_of(job, 1)], provider=job.provider, worker="w")
        await settle(ledger, [settlement_of(job, **changes)])
        await ledger.close()

    def record(*, cost_usd: Decimal | None = Decimal("0.01"), **fields: Any) -> None:
        changes = {"cost_usd": cost_usd, "simulated": fields.pop("simulated", False)}
        asyncio.run(call(fields, changes))

    return record


@pytest.mark.parametrize("command", ["show", "month", "calls", "export"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    ran = run("usage", command, "--help")
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert (ran.code, last.startswith(f"Example: penstock usage {command}")) == (0, True)


@pytest.mark.parametrize("command", ["show", "month", "calls", "export"])
def test_unknown_workspace_is_refused(run: Run, servers: None, command: str) -> None:
    ran = run("usage", command, "nowhere")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "nowhere" in ran.err


def test_show_has_a_line_for_each_and_a_total(run: Run, workspace: str, called: Called) -> None:
    called(skill="triage")
    called(skill="triage")
    called()
    ran = run("usage", "show", workspace, "--by", "skill")
    lines = [line.split() for line in ran.out.splitlines()]
    assert [line[:2] for line in lines] == [
        ["SKILL", "CALLS"],
        ["triage", "2"],
        ["-", "1"],
        ["TOTAL", "3"],
    ]


def test_show_says_that_some_prices_are_not_known(run: Run, workspace: str, called: Called) -> None:
    called(cost_usd=Decimal("1.2"))
    called(cost_usd=None)
    line = run("usage", "show", workspace, "--by", "model").out.splitlines()[1]
    assert "≥ $1.20" in line
    assert "1 call without a known price" in line


def test_show_of_one_skill_as_json(run: Run, workspace: str, called: Called) -> None:
    called(skill="a", model="m1")
    called(skill="b")
    asked = ("--by", "skill,model", "--skill", "a", "--since", "1d", "--json")
    (row,) = orjson.loads(run("usage", "show", workspace, *asked).out)
    assert (row["skill"], row["model"], row["calls"], row["cost_usd"]) == ("a", "m1", 1, "0.01")


def test_show_marks_what_is_simulated(run: Run, workspace: str, called: Called) -> None:
    called(skill="a", simulated=True)
    called(skill="b")
    lines = run("usage", "show", workspace, "--by", "skill").out.splitlines()
    assert [line.endswith("simulated") for line in lines[1:3]] == [True, False]
    assert lines[-1].startswith("simulated: no provider was called")


@pytest.mark.parametrize(
    "asked", [("--since", "yesterday"), ("--by", "colour"), ("--until", "2026-13-01")]
)
def test_strange_options_are_refused(run: Run, workspace: str, asked: tuple[str, str]) -> None:
    ran = run("usage", "show", workspace, *asked)
    assert ran.code == 2
    assert asked[1] in ran.err


def test_times_may_be_dates(run: Run, workspace: str, called: Called) -> None:
    called()
    asked = ("--since", "2020-01-01", "--until", "2020-02-01T12:00")
    assert orjson.loads(run("usage", "show", workspace, *asked, "--json").out) == []


def test_month_shows_tokens_budget_and_skills(run: Run, workspace: str, called: Called) -> None:
    called(skill="triage")
    out = run("usage", "month", workspace).out
    assert "10 used" in out
    assert "unlimited a month" in out
    assert "triage" in out
    document = orjson.loads(run("usage", "month", workspace, "--json").out)
    assert (document["tokens_used"], document["token_budget"]) == (10, None)
    assert [skill["skill"] for skill in document["skills"]] == ["triage"]
    assert document["total"]["cost_usd"] == "0.01"


def test_calls_are_listed_in_pages(run: Run, workspace: str, called: Called) -> None:
    for _ in range(3):
        called(skill="triage")
    first = run("usage", "calls", workspace, "--limit", "2")
    assert len(first.out.splitlines()) == 3
    cursor = first.err.split()[-1]
    rest = orjson.loads(run("usage", "calls", workspace, "--before", cursor, "--json").out)
    assert (len(rest["calls"]), rest["next"]) == (1, None)
    assert rest["calls"][0]["status"] == "success"
    assert rest["calls"][0]["job_id"] not in first.out


def test_export_writes_sums_into_a_file(
    run: Run, workspace: str, called: Called, tmp_path: Path
) -> None:
    called(skill="=1+1")
    path = tmp_path / "usage.csv"
    ran = run("usage", "export", workspace, "--output", str(path), "--by", "day,skill")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("1 rows")
    (row,) = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    assert (row["skill"], row["calls"], row["cost_usd"]) == ("'=1+1", "1", "0.01")
    assert [each.name for each in tmp_path.iterdir()] == ["usage.csv"]


def test_export_of_calls_is_in_order_of_time(
    run: Run, workspace: str, called: Called, tmp_path: Path
) -> None:
    called(skill="a")
    called(skill="b")
    path = tmp_path / "calls.jsonl"
    asked = ("--calls", "--format", "jsonl", "--output", str(path))
    assert run("usage", "export", workspace, *asked).err.startswith("2 rows")
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["skill"] for line in lines] == ["a", "b"]


def test_export_into_no_folder_is_refused(run: Run, workspace: str, tmp_path: Path) -> None:
    ran = run("usage", "export", workspace, "-o", str(tmp_path / "no" / "usage.csv"))
    assert (ran.code, "--output" in ran.err) == (2, True)
