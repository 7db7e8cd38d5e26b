"""`penstock explain`, against a real index."""

from __future__ import annotations

import orjson

from tests.cli.conftest import AtOpenai, Run, shut


def submit(run: Run) -> str:
    run("workspace", "create", "acme")
    given = ("-c", "generate", "--model", "openai/gpt-4o-mini", "--prompt", "hello")
    ran = run("submit", "-w", "acme", *given)
    assert ran.code == 0, ran.err
    return ran.out.strip().split()[-1]


def test_help_ends_in_an_example(run: Run) -> None:
    last = run("explain", "--help").out.strip().rpartition("\n\n")[2].strip()
    assert last.startswith("Example: penstock explain ")


def test_explain_says_why_a_job_waits(run: Run, at_openai: AtOpenai) -> None:
    at_openai(shut)
    job_id = submit(run)
    first, second, *more = run("explain", job_id).out.splitlines()
    kept = "its queue is kept by credential platform, which is shut: invalid_api_key"
    assert first == f"queued: {kept}"
    assert "start a worker: penstock worker --provider openai" in more
    assert second == "generate of acme, interactive lane, at openai/gpt-4o-mini"


def test_explain_as_json_is_one_document(run: Run, at_openai: AtOpenai) -> None:
    at_openai(shut)
    found = orjson.loads(run("explain", submit(run), "--json").out)
    assert (found["state"], found["place"], found["attempts"]) == ("queued", 1, [])


def test_explain_of_a_job_that_does_not_exist_fails(run: Run, servers: None) -> None:
    ran = run("explain", "0190f0c4-7a10-7d3c-9b1a-5b0d7c2f9e11")
    assert ran.code == 1 and "does not exist" in ran.err


def test_explain_tells_the_credential_and_the_command_that_has_it_tried(
    run: Run, at_openai: AtOpenai
) -> None:
    at_openai(shut)
    shown = run("explain", submit(run)).out
    assert "with credential platform\n" in shown
    assert "tried at once: penstock providers check openai --credential platform" in shown


def test_explain_of_an_id_that_is_none_is_a_mistake_of_use(run: Run) -> None:
    ran = run("explain", "42")
    assert ran.code == 2 and "42" in ran.err
