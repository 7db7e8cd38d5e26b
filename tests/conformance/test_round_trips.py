"""A conversation with tools that one wire began goes on over every other, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from typing import Any, get_args

import httpx
import orjson
import pytest

from penstock_schemas.catalog import Wire, catalog
from penstock_schemas.messages import (
    AssistantMessage,
    ImagePart,
    Message,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from penstock_worker.providers.http import Sender
from penstock_worker.providers.protocol import Answer, Built
from penstock_worker.providers.registry import adapter_for
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.conformance.conftest import PATIENT
from tests.conformance.conversations import CITIES, FIRST, PIXEL, TEXT, THOUGHT, Step, read
from tests.providers.wire_calls import call_for, generate

WIRES: tuple[Wire, ...] = get_args(Wire)
PAIRS = list(product(WIRES, WIRES))
SYSTEM, ASKED = "Be brief.", "How is the weather in Oslo and in Rome?"
SUNNY, BROKEN = "sunny in Oslo", "the station in Rome is broken"
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Tells the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Exchange:
    """The first answer on one wire, and the request that goes on from it on another."""

    def __init__(self, began: Wire, goes_on: Wire, sim: Simulator, sender: Sender) -> None:
        self.began, self.goes_on = began, goes_on
        self._sim, self._sender = sim, sender
        self.first: Answer = Answer()
        self.built: Built | None = None

    async def run(self) -> Answer:
        """The second answer. The results are given in the other order than the calls."""
        body = orjson.dumps(FIRST[self.began].body).decode()
        self._sim.faults.add(Fault(kind="status", status=200, body=body, count=1))
        asked = (SystemMessage(content=SYSTEM), UserMessage(content=ASKED))
        self.first = await self._ask(self.began, asked)
        oslo, rome = (made.id for made in self.first.tool_calls)
        said = AssistantMessage(
            content=self.first.text or "",
            reasoning=self.first.reasoning,
            tool_calls=self.first.tool_calls,
        )
        chart = ImagePart(data=PIXEL, media_type="image/png")
        results = (
            ToolMessage(tool_call_id=rome, content=BROKEN, is_error=True),
            ToolMessage(tool_call_id=oslo, content=(TextPart(text=SUNNY), chart)),
        )
        return await self._ask(self.goes_on, (*asked, said, *results))

    @property
    def sent(self) -> bytes:
        assert self.built is not None
        return self.built.request.content

    @property
    def warnings(self) -> str:
        assert self.built is not None
        return "\n".join(self.built.warnings)

    @property
    def steps(self) -> list[Step]:
        return read(self.goes_on, orjson.loads(self.sent))

    async def _ask(self, wire: Wire, messages: tuple[Message, ...]) -> Answer:
        ref = FIRST[wire].model
        job = generate(messages=messages, tools=[WEATHER])
        call = call_for(job, ref, base_url=self._sim.base_url(ref.partition("/")[0]))
        adapter = adapter_for(call.provider, call.model)
        self.built = adapter.build(call)
        response: httpx.Response = await self._sender.send(self.built.request, timeout=PATIENT)
        if not response.is_success:
            raise adapter.classify(call, response)
        return adapter.parse(call, response)


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
async def exchange(request: pytest.FixtureRequest) -> AsyncIterator[Exchange]:
    async with Simulator() as sim, Sender() as sender:
        yield Exchange(*request.param, sim, sender)


@pytest.mark.parametrize("wire", WIRES)
def test_each_first_answer_is_of_its_wire(wire: Wire) -> None:
    model = catalog().resolve(FIRST[wire].model)
    assert (model.wire or catalog().provider(model.provider).wire) == wire


async def test_the_first_answer_holds_all_that_was_said(exchange: Exchange) -> None:
    await exchange.run()
    assert exchange.first.text == TEXT
    assert [made.arguments for made in exchange.first.tool_calls] == [{"city": c} for c in CITIES]
    assert THOUGHT in [part.text for part in exchange.first.reasoning]


async def test_the_conversation_is_accepted_and_its_results_heard(exchange: Exchange) -> None:
    answer = await exchange.run()
    assert answer.text or answer.tool_calls
    if exchange.goes_on != "openai_chat":  # there the image comes last, in a message of its own
        assert SUNNY in (answer.text or "")
        assert BROKEN in (answer.text or "")


async def test_words_calls_and_results_stand_in_their_order(exchange: Exchange) -> None:
    await exchange.run()
    order = [step.kind for step in exchange.steps if step.kind != "image"]
    begun = ["system", "user", "text", "call", "call", "result", "result"]
    assert order[: len(begun)] == begun
    assert set(order[len(begun) :]) <= {"user"}


async def test_words_stay_as_they_were(exchange: Exchange) -> None:
    await exchange.run()
    words = [(s.kind, s.value) for s in exchange.steps if s.kind in ("system", "user", "text")]
    assert words[:3] == [("system", SYSTEM), ("user", ASKED), ("text", TEXT)]


async def test_calls_keep_their_arguments(exchange: Exchange) -> None:
    await exchange.run()
    calls = [step.value for step in exchange.steps if step.kind == "call"]
    assert calls == [{"city": city} for city in CITIES]


async def test_results_answer_their_own_calls(exchange: Exchange) -> None:
    await exchange.run()
    calls = {step.call_id: step.value["city"] for step in exchange.steps if step.kind == "call"}
    results = [(calls[s.call_id], s.value) for s in exchange.steps if s.kind == "result"]
    assert len(calls) == 2
    assert [city for city, _ in results] == list(CITIES)
    assert SUNNY in results[0][1]
    assert BROKEN in results[1][1]


async def test_a_result_keeps_its_image(exchange: Exchange) -> None:
    await exchange.run()
    steps = exchange.steps
    images = [step for step in steps if step.kind == "image"]
    oslo = next(s.call_id for s in steps if s.kind == "call" and s.value == {"city": "Oslo"})
    assert len(images) == 1
    assert PIXEL in str(images[0].value)
    assert images[0].call_id in ("", oslo)


async def test_marks_go_back_to_their_provider_alone(exchange: Exchange) -> None:
    await exchange.run()
    sent = exchange.sent.decode()
    own = exchange.began == exchange.goes_on
    assert [mark for mark in FIRST[exchange.began].marks if (mark in sent) != own] == []


async def test_reasoning_goes_back_to_its_provider_alone(exchange: Exchange) -> None:
    await exchange.run()
    own = exchange.began == exchange.goes_on
    assert (THOUGHT in exchange.sent.decode()) == own


async def test_reasoning_that_is_left_out_is_told(exchange: Exchange) -> None:
    await exchange.run()
    own = exchange.began == exchange.goes_on
    assert ("reasoning" in exchange.warnings) != own


@pytest.mark.parametrize("wire", WIRES)
async def test_marked_parts_go_back_word_for_word(wire: Wire) -> None:
    async with Simulator() as sim, Sender() as sender:
        exchange = Exchange(wire, wire, sim, sender)
        await exchange.run()
    given, marks = FIRST[wire].body, FIRST[wire].marks
    assert _marked(given, marks)
    assert _marked(orjson.loads(exchange.sent), marks) == _marked(given, marks)


def _marked(tree: Any, marks: tuple[str, ...]) -> list[Any]:
    """Every object that holds one of the marks itself, in order."""
    if isinstance(tree, list):
        return [found for part in tree for found in _marked(part, marks)]
    if not isinstance(tree, dict):
        return []
    if any(isinstance(value, str) and value in marks for value in tree.values()):
        return [tree]
    return [found for part in tree.values() for found in _marked(part, marks)]
