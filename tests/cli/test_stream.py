"""`penstock stream` and `penstock submit --stream`: answers while they are written."""

from __future__ import annotations

import asyncio
import json

from penstock_client import Generate, Penstock
from penstock_schemas.keys import deltas_key
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.cli.conftest import Ran, Run

PROMPT = "The river is high. The gate is half open. The turbine runs at full load tonight."
JOB = Generate(workspace="acme", prompt=PROMPT, model="openai/gpt-4o-mini", stream=True)
SUBMIT = ("submit", "-w", "acme", "-c", "generate", "--prompt", PROMPT)


async def ran(run: Run, *args: str) -> Ran:
    """A command run beside the worker of the test."""
    return await asyncio.wait_for(asyncio.to_thread(run, *args), timeout=20)


async def test_stream_prints_the_answer_and_what_it_took(
    penstock: Penstock, work_for, run, servers
) -> None:
    await work_for("openai")
    handle = await penstock.submit(JOB)
    ended = await ran(run, "stream", handle.job_id)
    result = await handle.result(timeout_s=20)
    assert (ended.code, ended.out) == (0, f"{result.text}\n")
    assert "openai/gpt-4o-mini" in ended.err


async def test_stream_as_json_gives_pieces_and_then_the_result(
    penstock: Penstock, work_for, run, servers
) -> None:
    await work_for("openai")
    handle = await penstock.submit(JOB)
    lines = (await ran(run, "stream", handle.job_id, "--json")).out.splitlines()
    *pieces, result = [json.loads(line) for line in lines]
    assert "".join(piece["text"] for piece in pieces if "text" in piece) == result["text"]
    after = await ran(run, "stream", handle.job_id, "--json", "--after", pieces[0]["position"])
    assert after.out.splitlines() == lines[1:]


async def test_stream_after_a_piece_prints_what_follows_it(
    penstock: Penstock, work_for, run, servers
) -> None:
    await work_for("openai")
    handle = await penstock.submit(JOB)
    first, *rest = [delta async for delta in handle.stream()]
    ended = await ran(run, "stream", handle.job_id, "--after", first.position)
    assert ended.out == "".join(delta.text for delta in rest) + "\n"


async def test_stream_prints_the_whole_answer_when_its_pieces_have_expired(
    penstock: Penstock, work_for, run, servers, empty
) -> None:
    await work_for("openai")
    handle = await penstock.submit(JOB)
    result = await handle.result(timeout_s=10)
    await penstock._redis.delete(deltas_key(handle.job_id))
    assert (await ran(run, "stream", handle.job_id)).out == f"{result.text}\n"


async def test_stream_says_when_another_attempt_begins(
    penstock: Penstock, work_for, simulator: Simulator, run, servers
) -> None:
    simulator.faults.add(Fault(kind="truncated", provider="openai", count=1))
    await work_for("openai")
    handle = await penstock.submit(JOB)
    ended = await ran(run, "stream", handle.job_id)
    result = await handle.result(timeout_s=20)
    assert ended.out.splitlines()[-1] == result.text
    assert "another attempt began" in ended.err


async def test_stream_of_a_job_that_failed_says_why(
    penstock: Penstock, work_for, simulator: Simulator, run, servers
) -> None:
    body = '{"error": {"message": "temperature is wrong"}}'
    simulator.faults.add(Fault(kind="status", status=400, body=body, provider="openai"))
    await work_for("openai")
    handle = await penstock.submit(JOB)
    ended = await ran(run, "stream", handle.job_id)
    assert (ended.code, ended.out) == (1, "")
    assert "temperature is wrong" in ended.err


async def test_stream_gives_up_after_its_time(penstock: Penstock, run, servers) -> None:
    handle = await penstock.submit(JOB)
    ended = await ran(run, "stream", handle.job_id, "--timeout-s", "0.1")
    assert (ended.code, "it goes on: `penstock explain" in ended.err) == (1, True)


async def test_stream_after_what_is_no_position_is_refused(
    penstock: Penstock, run, servers
) -> None:
    handle = await penstock.submit(JOB)
    ended = await ran(run, "stream", handle.job_id, "--after", "soon")
    assert (ended.code, "'soon' is not a position" in ended.err) == (2, True)


async def test_submit_with_stream_prints_the_answer_as_it_comes(
    penstock: Penstock, work_for, run, servers
) -> None:
    await work_for("anthropic")
    ended = await ran(run, *SUBMIT, "--stream")
    (job,) = await penstock.jobs("acme")
    result = await penstock.result(job.job_id)
    assert (ended.code, ended.out) == (0, f"{result.text}\n")


async def test_submit_of_a_job_that_cannot_stream_says_so(penstock: Penstock, run, servers) -> None:
    args = ("submit", "-w", "acme", "-c", "embed", "--text", "hi", "--stream")
    ended = await ran(run, *args)
    assert (ended.code, "stream" in ended.err) == (2, True)
