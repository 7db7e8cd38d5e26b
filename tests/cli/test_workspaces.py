"""`penstock workspace`: what its commands change, show and refuse."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
import pytest

from penstock_schemas.workspaces import NEW_MONTHLY_TOKENS
from tests.cli.conftest import Ran, Run

COMMANDS = [
    ("show",),
    ("set",),
    ("route",),
    ("configuration", "set"),
    ("configuration", "list"),
    ("configuration", "remove"),
]


@pytest.fixture
def name(run: Run, servers: None) -> str:
    """A workspace of its own."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name).code == 0
    return name


def shown(run: Run, name: str) -> dict[str, Any]:
    return orjson.loads(run("workspace", "show", name, "--json").out)


def configure(run: Run, name: str, *options: str) -> Ran:
    return run("workspace", "configuration", "set", name, "nightly", *options)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_ends_in_an_example(run: Run, command: tuple[str, ...]) -> None:
    ran = run("workspace", *command, "--help")
    assert ran.code == 0
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock workspace {' '.join(command)}")


def test_created_workspace_has_the_usual_budget(run: Run, name: str) -> None:
    assert shown(run, name)["monthly_tokens"] == NEW_MONTHLY_TOKENS


def test_set_changes_what_is_given(run: Run, name: str) -> None:
    options = ("--time-zone", "Europe/Berlin", "--budget-mode", "hard", "--on-budget", "wait")
    more = ("--keep-days", "30", "--monthly-tokens", "unlimited", "--disable", "openai")
    assert run("workspace", "set", name, *options, *more).code == 0
    found = shown(run, name)
    assert (found["time_zone"], found["budget_mode"]) == ("Europe/Berlin", "hard")
    assert (found["on_budget"], found["retention_days"]) == ("wait", 30)
    assert (found["monthly_tokens"], found["weight"]) == (None, 1.0)
    assert found["providers"] == {"openai": {"enabled": False}}
    run("workspace", "set", name, "--enable", "openai", "--keep-days", "for-ever")
    found = shown(run, name)
    assert (found["retention_days"], found["providers"]["openai"]["enabled"]) == (None, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "give at least one option"),
        (("--time-zone", "Mars"), "error: time_zone: must be a time zone such as Europe/Berlin"),
        (("--weight", "0"), "error: weight: "),
        (("--keep-days", "some"), "neither a number of days nor 'for-ever'"),
        (("--disable", "nobody"), "error: provider: 'nobody' is not in the catalogue"),
        (("--default-configuration", "gone"), "has no 'gone', only default"),
    ],
)
def test_set_refuses_what_cannot_be(
    run: Run, name: str, options: tuple[str, ...], told: str
) -> None:
    ran = run("workspace", "set", name, *options)
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_route_sets_and_unsets_a_capability(run: Run, name: str) -> None:
    run("workspace", "route", name, "reason", "openai/gpt-4o", "openai/gpt-4o-mini")
    assert shown(run, name)["routing"]["reason"] == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    ran = run("workspace", "route", name, "reason")
    assert ran.out == f"workspace {name}: reason goes to the default routing\n"
    assert "reason" not in shown(run, name)["routing"]


def test_route_notes_what_may_be_a_slip(run: Run, name: str) -> None:
    ran = run("workspace", "route", name, "resaon", "openai/gpt-9")
    assert ran.code == 0
    assert ran.err.splitlines() == [
        "note: resaon is a capability of its own; did you mean reason?",
        "note: openai/gpt-9 is not in the catalogue: it is sent as it is, and its cost is unknown",
    ]
    assert run("workspace", "route", name, "summarise", "openai/gpt-4o").err == ""


def test_route_names_a_model_that_is_none(run: Run, name: str) -> None:
    ran = run("workspace", "route", name, "reason", "nonsense")
    assert (ran.code, ran.err.startswith("error: routing.reason: model: 'nonsense'")) == (2, True)


def test_configuration_is_made_listed_and_removed(run: Run, name: str) -> None:
    budgets = ("--daily-usd", "5", "--monthly-usd", "100")
    models = ("--primary", "openai/gpt-4o", "--fallback", "openai/gpt-4o-mini")
    ran = configure(run, name, *models, *budgets, "--task", "triage=openai/gpt-4o-mini", "--json")
    made = orjson.loads(ran.out)
    assert (made["daily_usd"], made["monthly_usd"], made["usd_today"]) == ("5", "100", "0")
    assert (made["temperature"], made["max_tokens"]) == (pytest.approx(0.7), 4096)
    assert made["task_routing"] == {"triage": "openai/gpt-4o-mini"}
    listed = orjson.loads(run("workspace", "configuration", "list", name, "--json").out)
    assert [each["name"] for each in listed] == ["default", "nightly"]
    assert run("workspace", "configuration", "remove", name, "nightly").code == 0
    assert run("workspace", "configuration", "remove", name, "nightly").code == 2


def test_configuration_forgets_what_is_none(run: Run, name: str) -> None:
    configure(run, name, "--primary", "openai/gpt-4o", "--daily-usd", "5")
    ran = configure(run, name, "--primary", "none", "--daily-usd", "none", "--json")
    found = orjson.loads(ran.out)
    assert (found["primary"], found["daily_usd"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--task", "triage"), "is not TYPE=MODEL"),
        (("--temperature", "hot"), "error: temperature: "),
        (("--daily-usd", "much"), "error: daily_usd: "),
        (("--fallback", "no/such"), "error: fallback: provider: 'no' is not"),
    ],
)
def test_configuration_refuses_what_cannot_be(
    run: Run, name: str, options: tuple[str, ...], told: str
) -> None:
    ran = configure(run, name, *options)
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_show_tells_people_what_is_spent_and_when_it_starts_again(run: Run, name: str) -> None:
    configure(run, name, "--daily-usd", "5")
    out = run("workspace", "show", name).out
    assert "50,000" in out and "soft; jobs without room fail" in out
    assert "default (default)" in out
    assert "$0.0000 of $5.00" in out and "STARTS AGAIN (UTC)" in out


def test_route_of_models_explains_a_configuration(run: Run, name: str) -> None:
    configure(run, name, "--task", "triage=openai/gpt-4o-mini", "--fallback", "openai/gpt-4o")
    asked = ("models", "route", "-w", name, "-c", "classify", "--configuration", "nightly")
    found = orjson.loads(run(*asked, "--task-type", "triage", "--json").out)
    assert found["routes"] == ["openai/gpt-4o-mini", "openai/gpt-4o"]
    assert [each["source"] for each in found["candidates"]] == ["task", "fallback"]


def test_submit_names_a_configuration(run: Run, name: str) -> None:
    given = ("submit", "-w", name, "-c", "classify", "--text", "x", "--label", "a", "--label", "b")
    configure(run, name, "--primary", "openai/gpt-4o")
    submitted = run(*given, "--configuration", "nightly", "--json")
    assert submitted.code == 0
    refused = run(*given, "--configuration", "gone")
    assert (refused.code, "has no 'gone', only default, nightly" in refused.err) == (2, True)
