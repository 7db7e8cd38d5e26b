"""OpenAI's SDK on Chat Completions and Embeddings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types import CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

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
    {
        "type": "function",
        "function": {"name": name, "description": told, "parameters": CITY, "strict": True},
    }
    for name, told in TOOLS.items()
]
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "order", "strict": True, "schema": ORDER_SCHEMA},
}


class Chat:
    """The SDK on one simulator; every answer is validated by `ChatCompletion` before it counts."""

    def __init__(self, simulator: Simulator, recording: Recording, key: str = "sk-test") -> None:
        self.recording = recording
        self.client = openai.AsyncOpenAI(
            api_key=key,
            base_url=simulator.base_url("openai"),
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=recording),
        )

    async def ask(self, content: Any = PUMP, **options: Any) -> ChatCompletion:
        messages = options.pop("messages", [{"role": "user", "content": content}])
        answer = await self.client.chat.completions.create(
            **{"model": "gpt-4o", "messages": messages, **options}
        )
        checked = strictly(ChatCompletion, self.recording.last.body)
        assert answer == checked
        return answer

    async def stream(self, content: Any = PUMP, **options: Any) -> list[ChatCompletionChunk]:
        events = await self.client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": content}],
            stream=True,
            stream_options={"include_usage": True},
            **options,
        )
        chunks = [chunk async for chunk in events]
        raw = self.recording.last.events
        assert chunks == [strictly(ChatCompletionChunk, event) for event in raw]
        return chunks


@pytest.fixture
async def chat(simulator: Simulator, recording: Recording) -> AsyncIterator[Chat]:
    chat = Chat(simulator, recording)
    async with chat.client:
        yield chat


async def test_chat_answers_text_with_usage(chat: Chat) -> None:
    answer = await chat.ask()
    assert "pump failed" in str(answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0


async def test_chat_obeys_the_system_message(chat: Chat) -> None:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": DELIVERY}]
    answer = await chat.ask(messages=messages)
    assert answer.choices[0].message.content == "delivery"


async def test_chat_ends_before_a_stop_sequence(chat: Chat) -> None:
    answer = await chat.ask(stop=["failed"])
    assert str(answer.choices[0].message.content).endswith("The pump ")
    assert answer.choices[0].finish_reason == "stop"


async def test_chat_says_when_the_limit_cut_it(chat: Chat) -> None:
    answer = await chat.ask(max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_chat_makes_two_calls_and_reads_their_results(chat: Chat) -> None:
    asked = await chat.ask(BOTH, tools=FUNCTIONS)
    message = asked.choices[0].message
    calls = message.tool_calls or []
    assert asked.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in calls if call.type == "function"] == list(TOOLS)
    assert len({call.id for call in calls}) == 2
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": said}
        for call, said in zip(calls, ["sunny", "noon"], strict=True)
    ]
    history = [{"role": "user", "content": BOTH}, message.model_dump(exclude_none=True), *results]
    answer = await chat.ask(messages=history, tools=FUNCTIONS)
    assert answer.choices[0].message.content == "Result: sunny; noon"


async def test_chat_makes_one_call_where_parallel_ones_are_off(chat: Chat) -> None:
    answer = await chat.ask(BOTH, tools=FUNCTIONS, parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls or []) == 1


async def test_chat_calls_the_tool_it_is_told_to(chat: Chat) -> None:
    choice = {"type": "function", "function": {"name": "get_local_time"}}
    answer = await chat.ask(PUMP, tools=FUNCTIONS, tool_choice=choice)
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == ["get_local_time"]


async def test_chat_fills_a_schema(chat: Chat) -> None:
    answer = await chat.ask(ORDER, response_format=FORMAT)
    assert json.loads(str(answer.choices[0].message.content)) == ORDER_FOUND


async def test_chat_counts_the_schema_and_the_tools_as_input(chat: Chat) -> None:
    plain, schema = await chat.ask(ORDER), await chat.ask(ORDER, response_format=FORMAT)
    tools = await chat.ask(ORDER, tools=FUNCTIONS)
    assert plain.usage and schema.usage and tools.usage
    assert schema.usage.prompt_tokens > plain.usage.prompt_tokens + 40
    assert tools.usage.prompt_tokens > plain.usage.prompt_tokens + 40


async def test_chat_takes_an_image(chat: Chat) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    answer = await chat.ask([{"type": "text", "text": PUMP}, image])
    assert "pump failed" in str(answer.choices[0].message.content)


async def test_chat_streams_what_it_would_have_said(chat: Chat) -> None:
    whole = await chat.ask()
    chunks = await chat.stream()
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_chat_streams_two_calls(chat: Chat) -> None:
    async with chat.client.chat.completions.stream(
        model="gpt-4o", messages=[{"role": "user", "content": BOTH}], tools=FUNCTIONS
    ) as events:
        final = await events.get_final_completion()
    for event in chat.recording.last.events:
        strictly(ChatCompletionChunk, event)
    calls = final.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == list(TOOLS)
    assert all("city" in json.loads(call.function.arguments) for call in calls)


async def test_embeddings_come_as_floats_and_as_base64(chat: Chat) -> None:
    create, made = chat.client.embeddings.create, []
    for encoding in ("float", "base64"):
        await create(model="text-embedding-3-small", input=["a", "b"], encoding_format=encoding)
        made.append(chat.recording.last.body)
    floats = strictly(CreateEmbeddingResponse, made[0])
    assert [len(item.embedding) for item in floats.data] == [1536, 1536]
    assert floats.usage.total_tokens == floats.usage.prompt_tokens == 2
    decoded = await create(model="text-embedding-3-small", input=["a", "b"])
    assert decoded.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert isinstance(json.loads(made[1])["data"][0]["embedding"], str)


async def test_models_are_listed(chat: Chat) -> None:
    page = await chat.client.models.list()
    for item in json.loads(chat.recording.last.body)["data"]:
        strictly(Model, json.dumps(item).encode())
    assert "gpt-4o" in [model.id for model in page.data]


async def test_a_wrong_key_is_an_authentication_error(
    simulator: Simulator, recording: Recording
) -> None:
    async with Chat(simulator, recording, key="sk-bad").client as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.models.list()
    assert caught.value.code == "invalid_api_key"


async def test_an_unknown_model_is_not_found(chat: Chat) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await chat.ask(model="no-such-model")
    assert caught.value.code == "model_not_found"


async def test_a_wrong_parameter_is_a_bad_request(chat: Chat) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await chat.ask(temperature=3)
    assert (caught.value.param, caught.value.type) == ("temperature", "invalid_request_error")


async def test_a_rate_limit_says_when_to_come_back(chat: Chat, simulator: Simulator) -> None:
    simulator.limits.set(requests_per_minute=1)
    await chat.ask()
    with pytest.raises(openai.RateLimitError) as caught:
        await chat.ask()
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.code == "rate_limit_exceeded"


async def test_an_outage_is_a_server_error(chat: Chat, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="status", provider="openai", status=503))
    with pytest.raises(openai.InternalServerError):
        await chat.ask()
