"""Mistral's SDK on chat and embeddings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mistralai.client import Mistral, models
from mistralai.client.errors import SDKError

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
    {"type": "function", "function": {"name": name, "description": told, "parameters": CITY}}
    for name, told in TOOLS.items()
]
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "order", "strict": True, "schema": ORDER_SCHEMA},
}


class Asking:
    """The SDK on one simulator; every answer is validated by its type before it counts."""

    def __init__(self, simulator: Simulator, recording: Recording, key: str = "test") -> None:
        self.recording = recording
        self.client = Mistral(
            api_key=key,
            server_url=simulator.url + "/mistral",
            async_client=httpx2.AsyncClient(transport=recording),
        )

    async def ask(self, content: Any = PUMP, **options: Any) -> models.ChatCompletionResponse:
        messages = options.pop("messages", [{"role": "user", "content": content}])
        answer = await self.client.chat.complete_async(
            **{"model": "mistral-large-latest", "messages": messages, **options}
        )
        checked = strictly(models.ChatCompletionResponse, self.recording.last.body)
        assert answer == checked
        return answer

    async def stream(self, content: Any = PUMP, **options: Any) -> list[models.CompletionChunk]:
        events = await self.client.chat.stream_async(
            model="mistral-large-latest", messages=[{"role": "user", "content": content}], **options
        )
        async with events:
            chunks = [event.data async for event in events]
        raw = self.recording.last.events
        assert chunks == [strictly(models.CompletionChunk, event) for event in raw]
        return chunks


@pytest.fixture
async def mistral(simulator: Simulator, recording: Recording) -> AsyncIterator[Asking]:
    mistral = Asking(simulator, recording)
    async with mistral.client:
        yield mistral


def message_of(answer: models.ChatCompletionResponse) -> models.AssistantMessage:
    message = answer.choices[0].message
    assert message is not None
    return message


def calls_of(answer: models.ChatCompletionResponse) -> list[models.ToolCall]:
    return list(message_of(answer).tool_calls or [])


async def test_chat_answers_text_with_usage(mistral: Asking) -> None:
    answer = await mistral.ask()
    assert "pump failed" in str(message_of(answer).content)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 11
    assert answer.usage.total_tokens == 11 + (answer.usage.completion_tokens or 0)


async def test_chat_obeys_the_system_message(mistral: Asking) -> None:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": DELIVERY}]
    assert message_of(await mistral.ask(messages=messages)).content == "delivery"


async def test_chat_ends_before_a_stop_sequence(mistral: Asking) -> None:
    answer = await mistral.ask(stop=["failed"])
    assert str(message_of(answer).content).endswith("The pump ")
    assert answer.choices[0].finish_reason == "stop"


async def test_chat_says_when_the_limit_cut_it(mistral: Asking) -> None:
    answer = await mistral.ask(max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2


async def test_chat_makes_two_calls_and_reads_their_results(mistral: Asking) -> None:
    asked = await mistral.ask(BOTH, tools=FUNCTIONS)
    calls = calls_of(asked)
    assert asked.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in calls] == list(TOOLS)
    assert [call.index for call in calls] == [0, 1]
    assert [len(str(call.id)) for call in calls] == [9, 9]
    results = [
        {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": said}
        for call, said in zip(calls, ["sunny", "noon"], strict=True)
    ]
    history = [{"role": "user", "content": BOTH}, message_of(asked), *results]
    answer = await mistral.ask(messages=history, tools=FUNCTIONS)
    assert message_of(answer).content == "Result: sunny; noon"


async def test_chat_refuses_call_ids_of_another_length(mistral: Asking) -> None:
    made = {"id": "call_1", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [{"role": "user", "content": BOTH}, {"role": "assistant", "tool_calls": [made]}]
    error = await refused(mistral, messages=history, tools=FUNCTIONS)
    assert "must be a-z, A-Z, 0-9, with a length of 9" in error["message"]


async def test_chat_makes_one_call_where_parallel_ones_are_off(mistral: Asking) -> None:
    answer = await mistral.ask(BOTH, tools=FUNCTIONS, parallel_tool_calls=False)
    assert len(calls_of(answer)) == 1


async def test_chat_calls_the_tool_it_is_told_to(mistral: Asking) -> None:
    choice = {"type": "function", "function": {"name": "get_local_time"}}
    answer = await mistral.ask(PUMP, tools=FUNCTIONS, tool_choice=choice)
    assert [call.function.name for call in calls_of(answer)] == ["get_local_time"]


async def test_chat_calls_any_tool_where_it_has_to(mistral: Asking) -> None:
    answer = await mistral.ask(PUMP, tools=FUNCTIONS, tool_choice="any")
    assert len(calls_of(answer)) == 1


async def test_chat_fills_a_schema(mistral: Asking) -> None:
    answer = await mistral.ask(ORDER, response_format=FORMAT)
    assert json.loads(str(message_of(answer).content)) == ORDER_FOUND


async def test_chat_counts_the_schema_and_the_tools_as_input(mistral: Asking) -> None:
    plain, schema = await mistral.ask(ORDER), await mistral.ask(ORDER, response_format=FORMAT)
    tools = await mistral.ask(ORDER, tools=FUNCTIONS)
    least = (plain.usage.prompt_tokens or 0) + 40
    assert min(schema.usage.prompt_tokens or 0, tools.usage.prompt_tokens or 0) > least


async def test_chat_takes_an_image(mistral: Asking) -> None:
    image = {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"}
    answer = await mistral.ask([{"type": "text", "text": PUMP}, image])
    assert "pump failed" in str(message_of(answer).content)


async def test_chat_streams_what_it_would_have_said(mistral: Asking) -> None:
    whole, chunks = await mistral.ask(), await mistral.stream()
    said = "".join(str(c.choices[0].delta.content or "") for c in chunks if c.choices)
    assert said == message_of(whole).content
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_chat_streams_two_calls(mistral: Asking) -> None:
    chunks = await mistral.stream(BOTH, tools=FUNCTIONS)
    calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
    assert [call.function.name for call in calls] == list(TOOLS)
    assert all("city" in json.loads(str(call.function.arguments)) for call in calls)


async def test_embeddings_come_one_for_each_text(mistral: Asking) -> None:
    answer = await mistral.client.embeddings.create_async(model="mistral-embed", inputs=["a", "b"])
    strictly(models.EmbeddingResponse, mistral.recording.last.body)
    assert [len(row.embedding or []) for row in answer.data] == [1024, 1024]
    assert answer.usage.prompt_tokens == 2


async def test_models_are_listed(mistral: Asking) -> None:
    found = await mistral.client.models.list_async()
    strictly(models.ModelList, mistral.recording.last.body)
    assert "mistral-embed" in [model.id for model in found.data or []]


async def refused(mistral: Asking, **options: Any) -> dict[str, Any]:
    """The error's body, with its status."""
    with pytest.raises(SDKError) as caught:
        await mistral.ask(**options)
    return {"status": caught.value.status_code, **json.loads(caught.value.body)}


async def test_a_wrong_key_is_refused(simulator: Simulator, recording: Recording) -> None:
    mistral = Asking(simulator, recording, key="bad-key")
    async with mistral.client:
        error = await refused(mistral)
    assert (error["status"], error["detail"]) == (401, "Incorrect API key provided.")


async def test_an_unknown_model_is_refused(mistral: Asking) -> None:
    assert (await refused(mistral, model="no-such-model"))["status"] == 404


async def test_a_wrong_parameter_is_refused(mistral: Asking) -> None:
    error = await refused(mistral, temperature=3)
    assert (error["status"], error["object"], error["param"]) == (400, "error", "temperature")


async def test_a_rate_limit_says_when_to_come_back(mistral: Asking, simulator: Simulator) -> None:
    simulator.limits.set(requests_per_minute=1)
    await mistral.ask()
    assert (await refused(mistral))["status"] == 429
    assert int(mistral.recording.last.headers["retry-after"]) >= 1
