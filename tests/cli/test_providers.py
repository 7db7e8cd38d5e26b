"""`penstock providers`, against a real index."""

from __future__ import annotations

import orjson
import pytest

from penstock_worker.admission.index import Limit, ProviderIndex
from tests.cli.conftest import AtOpenai, Run, shut


@pytest.mark.parametrize("command", [("providers",), ("providers", "show"), ("providers", "check")])
def test_help_ends_in_an_example(run: Run, command: tuple[str, ...]) -> None:
    last = " ".join(run(*command, "--help").out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock {' '.join(command)}")


def test_providers_shows_what_is_shut_and_the_command_that_tries_it(
    run: Run, at_openai: AtOpenai
) -> None:
    at_openai(shut)
    shown = run("providers").out
    assert "credential:platform is bad key" in shown and "invalid_api_key" in shown
    assert "`penstock providers check openai --credential platform`" in shown


def test_providers_as_json_tells_the_same(run: Run, at_openai: AtOpenai) -> None:
    at_openai(shut)
    (line,) = run("providers", "--json").out.splitlines()
    (gate,) = orjson.loads(line)["gates"]
    assert (gate["name"], gate["state"]) == ("credential:platform", "bad_key")


def test_check_has_a_shut_credential_tried_and_is_refused_when_nothing_is_shut(
    run: Run, at_openai: AtOpenai
) -> None:
    at_openai(shut)
    assert run("providers", "check", "openai").code == 0
    assert run("providers", "restore", "openai").code == 0
    ran = run("providers", "check", "openai")
    assert ran.code == 1 and "is not shut" in ran.err


def test_doctor_warns_of_a_shut_credential(run: Run, at_openai: AtOpenai) -> None:
    at_openai(shut)
    assert "credential:platform is bad key: invalid_api_key" in run("doctor").out


async def limited(index: ProviderIndex) -> None:
    await index.set_limits([Limit("provider", "requests", 60_000, 500)])


def test_show_has_a_line_for_each_limit(run: Run, at_openai: AtOpenai) -> None:
    at_openai(limited)
    first, *_, header, row = run("providers", "show", "openai").out.splitlines()
    assert first == "openai: index open, 0 workers, 0 jobs, 0 running, 0 retrying"
    assert header.split()[:4] == ["SCOPE", "LIMIT", "AMOUNT", "SOURCE"]
    assert row.split() == ["provider", "requests", "500", "configured", "100%", "-", "0", "-"]


def test_show_tells_what_is_shut(run: Run, at_openai: AtOpenai) -> None:
    at_openai(shut)
    shown = run("providers", "show", "openai").out
    assert "credential:platform is bad key" in shown and "no limit is known" in shown


def test_show_of_a_provider_that_is_not_known_fails(run: Run, servers: None) -> None:
    ran = run("providers", "show", "nobody")
    assert ran.code != 0 and "nobody" in ran.err


async def paused(index: ProviderIndex) -> None:
    await index.set_pauses({"provider": "maintenance"})


def test_providers_shows_pauses_with_their_reason(run: Run, at_openai: AtOpenai) -> None:
    at_openai(paused)
    assert "openai: paused, provider: maintenance; see `penstock pauses`" in run("providers").out
