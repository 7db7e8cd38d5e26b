"""A streamed answer, read along while it comes and afterwards, by one process or several."""

from __future__ import annotations

import asyncio

import pytest

from penstock_client import Generate, Penstock
from penstock_client.handle import Handle
from penstock_schemas.errors import UnknownJob
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

PROMPT = "The river is high. The gate is half open. The turbine runs at full load tonight."
MODELS = ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6", "google/gemini-2.5-flash"]


async def text_of(handle: Handle) -> str:
    """What a reader has at the end."""
    text = ""
    async for delta in handle.stream():
        text = delta.text if delta.restarted else text + delta.text
    return text


def streamed(model: str = MODELS[0]) -> Generate:
    return Generate(workspace="acme", prompt=PROMPT, model=model, stream=True)


@pytest.mark.parametrize("model", MODELS)
async def test_stream_gives_the_text_of_the_result(penstock: Penstock, work_for, model) -> None:
    await work_for(model.partition("/")[0])
    handle = await penstock.submit(streamed(model))
    read = await asyncio.wait_for(text_of(handle), timeout=15)
    result = await handle.result(timeout_s=20)
    assert read == result.text
    assert result.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_streamed_result_is_that_of_the_same_job_unstreamed(
    penstock: Penstock, work_for, model
) -> None:
    await work_for(model.partition("/")[0])
    whole = await penstock.call(Generate(workspace="acme", prompt=PROMPT, model=model), timeout_s=9)
    pieces = await penstock.call(streamed(model), timeout_s=9)
    assert (whole.text, whole.finish_reason) == (pieces.text, pieces.finish_reason)


async def test_stream_is_read_from_the_beginning_by_who_comes_later(
    penstock: Penstock, work_for, empty
) -> None:
    await work_for("openai")
    handle = await penstock.submit(streamed())
    result = await handle.result(timeout_s=10)
    async with Penstock.connect(settings=empty) as other:
        deltas = [delta async for delta in other.stream(handle.job_id)]
    assert "".join(delta.text for delta in deltas) == result.text


async def test_stream_says_when_another_attempt_begins(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="truncated", provider="openai", count=1))
    await work_for("openai")
    handle = await penstock.submit(streamed())
    read = await asyncio.wait_for(text_of(handle), timeout=15)
    result = await handle.result(timeout_s=20)
    assert result.attempts == 2
    assert read == result.text


async def test_stream_of_an_unknown_job_is_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownJob):
        await anext(penstock.stream("01a1fc26-93c2-7112-9fd2-f4ce8ae6a158"))
