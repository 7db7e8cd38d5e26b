"""`penstock pause`, `resume`, `pauses`, and a workspace's weight."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from penstock_client import Settings
from tests.cli.conftest import Run


@pytest.fixture
def acme(empty: Settings, servers: None, run: Run) -> None:
    """Empty tables, but for the workspace `acme`."""
    assert run("workspace", "create", "acme").code == 0


def listed(run: Run) -> list[dict[str, Any]]:
    return orjson.loads(run("pauses", "--json").out)


@pytest.mark.parametrize("command", ["pause", "resume", "pauses"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    last = " ".join(run(command, "--help").out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock {command}")


@pytest.mark.parametrize(
    ("options", "provider", "scope"),
    [
        (["--all"], "*", "provider"),
        (["--provider", "openai"], "openai", "provider"),
        (["--provider", "openai", "--lane", "bulk"], "openai", "lane:1"),
        (["--model", "openai/gpt-4o"], "openai", "model:gpt-4o"),
    ],
)
def test_pause_is_listed_and_resumed_by_the_same_options(
    run: Run, acme: None, options: list[str], provider: str, scope: str
) -> None:
    assert run("pause", *options, "--reason", "costs").code == 0
    (row,) = listed(run)
    assert (row["provider"], row["scope"], row["reason"]) == (provider, scope, "costs")
    assert run("resume", *options).code == 0
    assert listed(run) == []


def test_list_says_what_is_paused_and_why(run: Run, acme: None) -> None:
    run("pause", "--provider", "openai", "--lane", "bulk", "--reason", "invoice in dispute")
    header, line = run("pauses").out.splitlines()
    assert header.split()[0] == "PAUSED"
    assert line.startswith("lane bulk at openai") and line.endswith("invoice in dispute")


def test_resume_says_what_is_still_paused(run: Run, acme: None) -> None:
    run("pause", "--all")
    run("pause", "-w", "acme")
    ran = run("resume", "--all")
    assert ran.out == "resumed everything; still paused: workspace acme at every provider\n"


def test_resume_of_what_is_not_paused_fails(run: Run, acme: None) -> None:
    run("pause", "--provider", "mistral")
    ran = run("resume", "--provider", "openai")
    assert (ran.code, ran.err) == (1, "error: openai is not paused; paused: mistral\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say what"),
        (["--all", "-w", "acme"], "say what"),
        (["--provider", "openia"], "'openia' is not in the catalogue"),
        (["--lane", "slow"], "lane: 'slow' is none of"),
        (["-w", "acme", "--lane", "bulk"], "give one of them"),
    ],
)
def test_pause_refuses_what_makes_no_sense(
    run: Run, acme: None, options: list[str], told: str
) -> None:
    ran = run("pause", *options)
    assert (ran.code, listed(run)) == (2, [])
    assert told in ran.err


# Weights.


def test_workspace_takes_a_weight_and_keeps_its_budget(run: Run, acme: None) -> None:
    ran = run("workspace", "set", "acme", "--weight", "2.5")
    assert ran.code == 0
    assert re.search(r"^weight +2\.5$", ran.out, re.MULTILINE)
    (row,) = orjson.loads(run("workspace", "list", "--json").out)
    assert (row["weight"], row["monthly_tokens"]) == (2.5, 50_000)


def test_workspace_takes_a_budget_and_keeps_its_weight(run: Run, acme: None) -> None:
    run("workspace", "set", "acme", "--weight", "2")
    assert run("workspace", "set", "acme", "--monthly-tokens", "unlimited").code == 0
    (row,) = orjson.loads(run("workspace", "list", "--json").out)
    assert (row["weight"], row["monthly_tokens"]) == (2, None)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["acme"], "give at least one option"),
        (["acme", "--weight", "0"], "weight: input should be greater than or equal to 0.001"),
        (["acme", "--weight", "nan"], "weight: input should be"),
        (["nobody", "--weight", "2"], "'nobody' does not exist"),
    ],
)
def test_workspace_set_refuses_what_makes_no_sense(
    run: Run, acme: None, args: list[str], told: str
) -> None:
    ran = run("workspace", "set", *args)
    assert ran.code == 2
    assert told in ran.err
