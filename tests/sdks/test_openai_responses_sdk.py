"""OpenAI's SDK on Responses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseStreamEvent

from penstock_worker.simulator.server import Simulator
from tests.sdks.recording import Recording
from tests.sdks.strict import strictly
from tests.sdks.subjects import (
    BOTH,
    CITY,
    DELIVERY,
    LONG,
    ORDER,
    ORDER_FOUND,
    ORDER_SCHEMA,
    PIXEL,
    PUMP,
    SYSTEM,
    TOOLS,
)

pytestmark = pytest.mark.sdk

FUNCTIONS: list[Any] = [
    {"type": "function", "name": name, "description": told, "parameters": CITY, "strict": True}
    for name, told in TOOLS.items()
]
FORMAT: Any = {
    "format": {"type": "json_schema", "name": "order", "strict": True, "schema": ORDER_SCHEMA}
}


class Responses:
    """The SDK on one simulator; every answer is validated by `Response` before it counts."""

    def __init__(self, simulator: Simulator, recording: Recording, key: str = "sk-test") -> None:
        self.recording = recording
        self.client = openai.AsyncOpenAI(
            api_key=key,
            base_url=simulator.base_url("openai"),
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=recording),
        )

    async def ask(self, content: Any = PUMP, **options: Any) -> Response:
        answer = await self.client.responses.create(
            **{"model": "gpt-4o", "input": content, **options}
        )
        strictly(Response, self.recording.last.body)
        return answer

    async def stream(self, content: Any = PUMP, **options: Any) -> list[ResponseStreamEvent]:
        stream = await self.client.responses.create(
            **{"model": "gpt-4o", "input": content, **options}, stream=True
        )
        events = [event async for event in stream]
        for event, raw in zip(events, self.recording.last.events, strict=True):
            strictly(type(event), raw)
        return events


@pytest.fixture
async def responses(simulator: Simulator, recording: Recording) -> AsyncIterator[Responses]:
    responses = Responses(simulator, recording)
    async with responses.client:
        yield responses


def calls_of(answer: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in answer.output if isinstance(item, ResponseFunctionToolCall)]


async def test_responses_answer_text_with_usage(responses: Responses) -> None:
    answer = await responses.ask()
    assert "pump failed" in answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


async def test_responses_obey_the_instructions(responses: Responses) -> None:
    answer = await responses.ask(DELIVERY, instructions=SYSTEM)
    assert (answer.output_text, answer.instructions) == ("delivery", SYSTEM)


async def test_responses_say_when_the_limit_cut_them(responses: Responses) -> None:
    answer = await responses.ask(LONG, max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_responses_make_two_calls_and_read_their_results(responses: Responses) -> None:
    asked = await responses.ask(BOTH, tools=FUNCTIONS)
    calls = calls_of(asked)
    assert [call.name for call in calls] == list(TOOLS)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": said}
        for call, said in zip(calls, ["sunny", "noon"], strict=True)
    ]
    made = [call.model_dump(exclude_none=True) for call in calls]
    history = [{"role": "user", "content": BOTH}, *made, *results]
    answer = await responses.ask(history, tools=FUNCTIONS)
    assert answer.output_text == "Result: sunny; noon"


async def test_responses_make_one_call_where_parallel_ones_are_off(responses: Responses) -> None:
    answer = await responses.ask(BOTH, tools=FUNCTIONS, parallel_tool_calls=False)
    assert len(calls_of(answer)) == 1


async def test_responses_take_a_tool_that_says_nothing_of_strictness(responses: Responses) -> None:
    loose = {name: value for name, value in FUNCTIONS[0].items() if name != "strict"}
    answer = await responses.ask(BOTH, tools=[loose])
    assert [call.name for call in calls_of(answer)] == ["get_weather"]


async def test_responses_call_the_tool_they_are_told_to(responses: Responses) -> None:
    choice = {"type": "function", "name": "get_local_time"}
    answer = await responses.ask(PUMP, tools=FUNCTIONS, tool_choice=choice)
    assert [call.name for call in calls_of(answer)] == ["get_local_time"]


async def test_responses_fill_a_schema(responses: Responses) -> None:
    answer = await responses.ask(ORDER, text=FORMAT)
    assert json.loads(answer.output_text) == ORDER_FOUND


async def test_responses_count_the_schema_as_input(responses: Responses) -> None:
    plain, schema = await responses.ask(ORDER), await responses.ask(ORDER, text=FORMAT)
    assert plain.usage and schema.usage
    assert schema.usage.input_tokens > plain.usage.input_tokens + 40


async def test_responses_take_an_image(responses: Responses) -> None:
    parts = [
        {"type": "input_text", "text": PUMP},
        {
            "type": "input_image",
            "detail": "auto",
            "image_url": f"data:image/png;base64,{PIXEL}",
        },
    ]
    answer = await responses.ask([{"role": "user", "content": parts}])
    assert "pump failed" in answer.output_text


async def test_responses_show_and_take_back_reasoning(responses: Responses) -> None:
    options: Any = {
        "model": "gpt-5-mini",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    asked = await responses.ask(BOTH, tools=FUNCTIONS, **options)
    assert asked.output[0].type == "reasoning"
    assert asked.usage is not None
    assert asked.usage.output_tokens_details.reasoning_tokens > 0
    history: list[Any] = [{"role": "user", "content": BOTH}]
    history += [item.model_dump(exclude_none=True) for item in asked.output]
    history += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "fine"}
        for call in calls_of(asked)
    ]
    answer = await responses.ask(history, tools=FUNCTIONS, **options)
    assert answer.output_text == "Result: fine; fine"


async def test_responses_stream_what_they_would_have_said(responses: Responses) -> None:
    whole = await responses.ask()
    events = await responses.stream()
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == (
        whole.output_text
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1]
    assert final.type == "response.completed"
    assert final.response.usage == whole.usage


async def test_responses_stream_reasoning_and_two_calls(responses: Responses) -> None:
    events = await responses.stream(
        BOTH, model="gpt-5-mini", tools=FUNCTIONS, reasoning={"summary": "auto"}
    )
    final = events[-1]
    assert final.type == "response.completed"
    assert [item.type for item in final.response.output] == [
        "reasoning",
        "function_call",
        "function_call",
    ]
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert [e.arguments for e in done] == [call.arguments for call in calls_of(final.response)]


async def test_responses_stream_says_when_the_limit_cut_it(responses: Responses) -> None:
    events = await responses.stream(LONG, max_output_tokens=16)
    assert events[-1].type == "response.incomplete"


async def test_a_wrong_key_is_an_authentication_error(
    simulator: Simulator, recording: Recording
) -> None:
    with_bad_key = Responses(simulator, recording, key="sk-bad")
    async with with_bad_key.client:
        with pytest.raises(openai.AuthenticationError):
            await with_bad_key.ask()


async def test_an_unknown_model_is_not_found(responses: Responses) -> None:
    with pytest.raises(openai.NotFoundError):
        await responses.ask(model="no-such-model")


async def test_a_wrong_parameter_is_a_bad_request(responses: Responses) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await responses.ask(max_output_tokens=1)
    assert caught.value.code == "integer_below_min_value"


async def test_a_rate_limit_says_when_to_come_back(
    responses: Responses, simulator: Simulator
) -> None:
    simulator.limits.set(requests_per_minute=1)
    await responses.ask()
    with pytest.raises(openai.RateLimitError) as caught:
        await responses.ask()
    assert int(caught.value.response.headers["retry-after"]) >= 1
