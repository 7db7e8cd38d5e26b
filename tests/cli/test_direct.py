"""`penstock direct`, against a simulated provider in a thread of its own."""

from __future__ import annotations

import json

import pytest

from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.cli.conftest import Run
from tests.cli.test_smoke import simulated  # noqa: F401 - a fixture

ASK = ("direct", "--model", "openai/gpt-4o", "--prompt", "the launch code is 0000")


@pytest.fixture
def at_openai_alone(simulated: Simulator) -> Simulator:  # noqa: F811 - the fixture
    return simulated


def test_direct_prints_the_answer_and_logs_no_prompt(run: Run, at_openai_alone: Simulator) -> None:
    ran = run(*ASK, "--agent", "guard")
    assert ran.code == 0 and ran.out.strip()
    line = json.loads(ran.err)
    assert (line["event"], line["agent"], line["status"]) == ("direct.call", "guard", "success")
    assert "0000" not in ran.err


def test_direct_json_is_the_whole_result(run: Run, at_openai_alone: Simulator) -> None:
    found = json.loads(run(*ASK, "--json").out)
    assert (found["status"], found["provider"], found["simulated"]) == ("success", "openai", True)


def test_direct_fails_closed(run: Run, at_openai_alone: Simulator) -> None:
    at_openai_alone.faults.add(Fault(kind="status", status=500))
    ran = run(*ASK, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["status"], found["text"]) == (1, "error", None)
    assert found["reason"]


def test_direct_says_why_there_is_no_answer(
    run: Run, at_openai_alone: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    ran = run(*ASK)
    assert (ran.code, ran.out) == (1, "")
    assert "OPENAI_API_KEY" in ran.err


def test_direct_help_ends_in_an_example(run: Run) -> None:
    assert "Example: penstock direct --model" in run("direct", "--help").out
