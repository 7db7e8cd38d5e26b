"""`penstock providers` and `penstock explain`, against a real index."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from penstock_client import Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_worker.admission.index import ProviderIndex
from tests.cli.conftest import Run

Do = Callable[[ProviderIndex], Awaitable[object]]


@pytest.fixture
def at_openai(empty: Settings, servers: None) -> Callable[[Do], None]:
    """`at_openai(do)` opens OpenAI's index and does something to it."""

    def told(do: Do) -> None:
        async def work() -> None:
            redis = redis_pool(empty)
            index = ProviderIndex(redis, "openai")
            await index.finish_rebuild(await index.begin_rebuild("e1"))
            await do(index)
            await close_redis(redis)

        asyncio.run(work())

    return told


async def shut(index: ProviderIndex) -> None:
    await index.shut("credential:platform", state="bad_key", reason="invalid_api_key", for_s=300)


def submit(run: Run) -> str:
    run("workspace", "create", "acme")
    given = ("-c", "generate", "--model", "openai/gpt-4o-mini", "--prompt", "hello")
    ran = run("submit", "-w", "acme", *given)
    assert ran.code == 0, ran.err
    return ran.out.strip().split()[-1]


@pytest.mark.parametrize("command", [("providers",), ("providers", "check"), ("explain",)])
def test_help_ends_in_an_example(run: Run, command: tuple[str, ...]) -> None:
    last = " ".join(run(*command, "--help").out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock {' '.join(command)}")


def test_providers_shows_what_is_shut_and_the_command_that_tries_it(
    run: Run, at_openai: Callable[[Do], None]
) -> None:
    at_openai(shut)
    shown = run("providers").out
    assert "credential:platform is bad key" in shown and "invalid_api_key" in shown
    assert "`penstock providers check openai --credential platform`" in shown


def test_providers_as_json_tells_the_same(run: Run, at_openai: Callable[[Do], None]) -> None:
    at_openai(shut)
    (line,) = run("providers", "--json").out.splitlines()
    (gate,) = orjson.loads(line)["gates"]
    assert (gate["name"], gate["state"]) == ("credential:platform", "bad_key")


def test_check_has_a_shut_credential_tried_and_is_refused_when_nothing_is_shut(
    run: Run, at_openai: Callable[[Do], None]
) -> None:
    at_openai(shut)
    assert run("providers", "check", "openai").code == 0
    assert run("providers", "restore", "openai").code == 0
    ran = run("providers", "check", "openai")
    assert ran.code == 1 and "is not shut" in ran.err


def test_doctor_warns_of_a_shut_credential(run: Run, at_openai: Callable[[Do], None]) -> None:
    at_openai(shut)
    assert "credential:platform is bad key: invalid_api_key" in run("doctor").out


def test_explain_says_why_a_job_waits(run: Run, at_openai: Callable[[Do], None]) -> None:
    at_openai(shut)
    job_id = submit(run)
    first, second, *more = run("explain", job_id).out.splitlines()
    kept = "its queue is kept by credential platform, which is shut: invalid_api_key"
    assert first == f"queued: {kept}"
    assert "start a worker: penstock worker --provider openai" in more
    assert second == "generate of acme, interactive lane, at openai/gpt-4o-mini"


def test_explain_as_json_is_one_document(run: Run, at_openai: Callable[[Do], None]) -> None:
    at_openai(shut)
    found = orjson.loads(run("explain", submit(run), "--json").out)
    assert (found["state"], found["place"], found["attempts"]) == ("queued", 1, [])


def test_explain_of_a_job_that_does_not_exist_fails(run: Run, servers: None) -> None:
    ran = run("explain", "0190f0c4-7a10-7d3c-9b1a-5b0d7c2f9e11")
    assert ran.code == 1 and "does not exist" in ran.err
