"""Anthropic's SDK on Messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import (
    ErrorResponse,
    Message,
    ModelInfo,
    RawMessageStreamEvent,
    ToolUseBlock,
)

from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.sdks.recording import Recording
from tests.sdks.strict import strictly
from tests.sdks.subjects import (
    BOTH,
    CITY,
    DELIVERY,
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
    {"name": name, "description": told, "input_schema": CITY} for name, told in TOOLS.items()
]
FORMAT: Any = {"format": {"type": "json_schema", "schema": ORDER_SCHEMA}}
MODEL = "claude-sonnet-4-6"


class Claude:
    """The SDK on one simulator; every answer is validated by `Message` before it counts."""

    def __init__(self, simulator: Simulator, recording: Recording, key: str = "sk-test") -> None:
        self.recording = recording
        self.client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=simulator.base_url("anthropic"),
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=recording),
        )

    async def ask(self, content: Any = PUMP, **options: Any) -> Message:
        messages = options.pop("messages", [{"role": "user", "content": content}])
        answer = await self.client.messages.create(
            **{"model": MODEL, "max_tokens": 1000, "messages": messages, **options}
        )
        checked = strictly(Message, self.recording.last.body)
        assert answer == checked
        return answer

    async def stream(self, content: Any = PUMP, **options: Any) -> Message:
        async with self.client.messages.stream(
            model=MODEL,
            max_tokens=1000,
            messages=[{"role": "user", "content": content}],
            **options,
        ) as stream:
            message = await stream.get_final_message()
        for raw in self.recording.last.events:
            strictly(RawMessageStreamEvent, raw)
        return message


@pytest.fixture
async def claude(simulator: Simulator, recording: Recording) -> AsyncIterator[Claude]:
    claude = Claude(simulator, recording)
    async with claude.client:
        yield claude


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Message) -> list[ToolUseBlock]:
    return [block for block in message.content if isinstance(block, ToolUseBlock)]


async def test_messages_answer_text_with_usage(claude: Claude) -> None:
    answer = await claude.ask()
    assert "pump failed" in text_of(answer)
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == 11
    assert answer.usage.output_tokens > 0


async def test_messages_obey_the_system_prompt(claude: Claude) -> None:
    assert text_of(await claude.ask(DELIVERY, system=SYSTEM)) == "delivery"


async def test_messages_name_the_stop_sequence_that_ended_them(claude: Claude) -> None:
    answer = await claude.ask(stop_sequences=["failed"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "failed")


async def test_messages_say_when_the_limit_cut_them(claude: Claude) -> None:
    answer = await claude.ask(max_tokens=2)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)


async def test_messages_make_two_calls_and_read_their_results(claude: Claude) -> None:
    asked = await claude.ask(BOTH, tools=FUNCTIONS)
    calls = calls_of(asked)
    assert asked.stop_reason == "tool_use"
    assert [call.name for call in calls] == list(TOOLS)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": said}
        for call, said in zip(calls, ["sunny", "noon"], strict=True)
    ]
    history = [
        {"role": "user", "content": BOTH},
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": results},
    ]
    answer = await claude.ask(messages=history, tools=FUNCTIONS)
    assert text_of(answer) == "Result: sunny; noon"


async def test_messages_make_one_call_where_parallel_ones_are_off(claude: Claude) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(calls_of(await claude.ask(BOTH, tools=FUNCTIONS, tool_choice=choice))) == 1


async def test_messages_call_the_tool_they_are_told_to(claude: Claude) -> None:
    choice = {"type": "tool", "name": "get_local_time"}
    answer = await claude.ask(PUMP, tools=FUNCTIONS, tool_choice=choice)
    assert [call.name for call in calls_of(answer)] == ["get_local_time"]


async def test_messages_fill_a_schema(claude: Claude) -> None:
    answer = await claude.ask(ORDER, output_config=FORMAT)
    assert json.loads(text_of(answer)) == ORDER_FOUND


async def test_messages_count_the_schema_and_the_tools_as_input(claude: Claude) -> None:
    plain, schema = await claude.ask(ORDER), await claude.ask(ORDER, output_config=FORMAT)
    tools = await claude.ask(ORDER, tools=FUNCTIONS)
    assert schema.usage.input_tokens > plain.usage.input_tokens + 40
    assert tools.usage.input_tokens > plain.usage.input_tokens + 40


async def test_messages_take_an_image(claude: Claude) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    image = {"type": "image", "source": source}
    assert "pump failed" in text_of(await claude.ask([image, {"type": "text", "text": PUMP}]))


async def test_messages_count_what_is_read_from_the_cache(claude: Claude) -> None:
    marked = {"type": "text", "text": "Rules. " * 1000, "cache_control": {"type": "ephemeral"}}
    first = await claude.ask(system=[marked])
    second = await claude.ask(system=[marked])
    assert first.usage.cache_creation_input_tokens == 1750
    assert second.usage.cache_read_input_tokens == 1750
    assert second.usage.input_tokens == 11


async def test_messages_stream_what_they_would_have_said(claude: Claude) -> None:
    whole, streamed = await claude.ask(), await claude.stream()
    assert streamed.content[0].to_dict() == whole.content[0].to_dict()
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens


async def test_messages_stream_two_calls(claude: Claude) -> None:
    whole, streamed = (
        await claude.ask(BOTH, tools=FUNCTIONS),
        await claude.stream(BOTH, tools=FUNCTIONS),
    )
    assert [call.name for call in calls_of(streamed)] == list(TOOLS)
    assert [c.input for c in calls_of(streamed)] == [c.input for c in calls_of(whole)]


async def test_models_are_listed(claude: Claude) -> None:
    page = await claude.client.models.list()
    for item in json.loads(claude.recording.last.body)["data"]:
        strictly(ModelInfo, json.dumps(item).encode())
    assert page.data[0].id.startswith("claude")
    assert page.has_more is False


async def refused(claude: Claude, kind: type[anthropic.APIStatusError], **options: Any) -> str:
    """The type in the error's body, which has to be the documented error shape."""
    with pytest.raises(kind) as caught:
        await claude.ask(**options)
    error = strictly(ErrorResponse, claude.recording.last.body)
    assert caught.value.request_id
    return error.error.type


async def test_a_wrong_key_is_an_authentication_error(
    simulator: Simulator, recording: Recording
) -> None:
    claude = Claude(simulator, recording, key="sk-bad")
    async with claude.client:
        assert await refused(claude, anthropic.AuthenticationError) == "authentication_error"


async def test_an_unknown_model_is_not_found(claude: Claude) -> None:
    found = await refused(claude, anthropic.NotFoundError, model="no-such-model")
    assert found == "not_found_error"


async def test_a_wrong_parameter_is_a_bad_request(claude: Claude) -> None:
    found = await refused(claude, anthropic.BadRequestError, max_tokens=0)
    assert found == "invalid_request_error"


async def test_a_rate_limit_says_when_to_come_back(claude: Claude, simulator: Simulator) -> None:
    simulator.limits.set(requests_per_minute=1)
    await claude.ask()
    assert await refused(claude, anthropic.RateLimitError) == "rate_limit_error"
    assert int(claude.recording.last.headers["retry-after"]) >= 1


async def test_an_overload_is_told_as_one(claude: Claude, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="overloaded", provider="anthropic"))
    assert await refused(claude, anthropic.APIStatusError) == "overloaded_error"
    assert claude.recording.last.status == 529
