"""The Responses adapter against the simulator: what one writes the other takes, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Extract
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.protocol import Answer, AnyJob
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.providers.wire_calls import call_for, generate

SOL = "openai/gpt-6-sol"
WEATHER = {
    "name": "get.weather",
    "description": "Current weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ADAPTER = OpenAIResponses()


class Wire:
    """Sends jobs to the simulator through the adapter."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session

    async def send(self, job: AnyJob, *, ref: str = SOL, stream: bool = False) -> Answer:
        call = call_for(job, ref, base_url=self.sim.base_url("openai"), stream=stream)
        request = ADAPTER.build(call).request
        headers = dict(request.headers)
        async with self.session.post(
            str(request.url), data=request.content, headers=headers
        ) as reply:
            body = await reply.read()
            if reply.status != 200:
                raise ADAPTER.classify(call, httpx.Response(reply.status, content=body))
            if not stream:
                return ADAPTER.parse(call, httpx.Response(200, content=body))
            decoder = ADAPTER.decoder(call)
            decoder.feed(body)
            return decoder.finish()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        yield Wire(sim, session)


JOBS: list[AnyJob] = [
    generate(prompt="The pump failed. It was replaced.", system="be brief", max_tokens=1),
    generate(prompt="Give me a name", json=True, effort="minimal", temperature=0.5),
    generate(prompt="Weather in Oslo?", tools=[WEATHER], tool_choice="required"),
    generate(prompt="Weather in Oslo?", tools=[WEATHER], tool_choice={"name": "get.weather"}),
    generate(prompt="hi", tools=[WEATHER], tool_choice="none", parallel_tool_calls=False),
    Classify(workspace="acme", text="My card is lost", labels=("lost", "found")),
    Extract.model_validate(
        {
            "workspace": "acme",
            "text": "Mail a@b.example",
            "schema": {"type": "object", "properties": {"email": {"type": "string"}}},
        }
    ),
]


@pytest.mark.parametrize("job", JOBS, ids=range(len(JOBS)))
@pytest.mark.parametrize("ref", [SOL, "openai/o3-pro", "openai/gpt-5.3-codex"])
async def test_jobs_of_every_kind_are_answered_alike_whole_and_streamed(
    wire: Wire, job: AnyJob, ref: str
) -> None:
    answer = await wire.send(job, ref=ref)
    assert answer.text or answer.tool_calls
    assert await wire.send(job, ref=ref, stream=True) == answer


async def test_tool_turn_with_reasoning_goes_round(wire: Wire) -> None:
    asked = {"role": "user", "content": "What is the weather in Oslo?"}
    first = await wire.send(generate(messages=[asked], tools=[WEATHER], tool_choice="required"))
    assert first.finish_reason is FinishReason.TOOL_CALLS
    assert first.tool_calls[0].name == "get.weather"
    assert first.reasoning[0].data
    reply: dict[str, Any] = {
        "role": "assistant",
        "reasoning": first.reasoning,
        "tool_calls": first.tool_calls,
    }
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "21 degrees"}
    last = await wire.send(generate(messages=[asked, reply, result], tools=[WEATHER]))
    assert "21 degrees" in (last.text or "")


async def test_cut_off_answers_say_so(wire: Wire) -> None:
    long = generate(prompt="Say. " + "word " * 200, max_tokens=16)
    assert (await wire.send(long)).finish_reason is FinishReason.LENGTH


async def test_truncated_streams_are_interrupted(wire: Wire) -> None:
    wire.sim.faults.add(Fault(kind="truncated", count=1))
    with pytest.raises(ProviderError) as caught:
        await wire.send(generate(prompt="hi"), stream=True)
    assert caught.value.kind is ErrorKind.INTERRUPTED


async def test_broken_events_are_malformed_answers(wire: Wire) -> None:
    wire.sim.faults.add(Fault(kind="invalid_json", count=1))
    with pytest.raises(ProviderError) as caught:
        await wire.send(generate(prompt="hi"), stream=True)
    assert caught.value.kind is ErrorKind.MALFORMED_ANSWER


async def test_unknown_models_are_not_found(wire: Wire) -> None:
    with pytest.raises(ProviderError) as caught:
        await wire.send(generate(prompt="hi"), ref="openai/no-such-pro")
    assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND
