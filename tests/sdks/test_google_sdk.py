"""Google's SDK (google-genai) on Gemini's API."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

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

FUNCTIONS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=name, description=told, parameters_json_schema=CITY)
        for name, told in TOOLS.items()
    ]
)
NOT_AUTOMATIC = types.AutomaticFunctionCallingConfig(disable=True)


class Gemini:
    """The SDK on one simulator; every answer is validated by its type before it counts."""

    def __init__(self, simulator: Simulator, recording: Recording, key: str = "test") -> None:
        self.recording = recording
        self.client = genai.Client(
            api_key=key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=f"{simulator.url}/google",
                api_version="v1beta",
                httpx_async_client=httpx2.AsyncClient(transport=recording),
            ),
        )

    async def ask(
        self, contents: Any = PUMP, *, model: str = "gemini-2.5-flash", **config: Any
    ) -> types.GenerateContentResponse:
        answer = await self.client.aio.models.generate_content(
            model=model, contents=contents, config=config_of(config)
        )
        strictly(types.GenerateContentResponse, self.recording.last.body)
        return answer

    async def stream(
        self, contents: Any = PUMP, *, model: str = "gemini-2.5-flash", **config: Any
    ) -> list[types.GenerateContentResponse]:
        stream = await self.client.aio.models.generate_content_stream(
            model=model, contents=contents, config=config_of(config)
        )
        chunks = [chunk async for chunk in stream]
        for raw in self.recording.last.events:
            strictly(types.GenerateContentResponse, raw)
        return chunks


def config_of(config: dict[str, Any]) -> types.GenerateContentConfig:
    if "tools" in config:
        config = {**config, "automatic_function_calling": NOT_AUTOMATIC}
    return types.GenerateContentConfig(**config)


@pytest.fixture
async def gemini(simulator: Simulator, recording: Recording) -> AsyncIterator[Gemini]:
    gemini = Gemini(simulator, recording)
    yield gemini
    await gemini.client.aio.aclose()


def finish_of(answer: types.GenerateContentResponse) -> types.FinishReason | None:
    assert answer.candidates
    return answer.candidates[0].finish_reason


async def test_content_answers_text_with_usage(gemini: Gemini) -> None:
    answer = await gemini.ask()
    assert "pump failed" in str(answer.text)
    assert finish_of(answer) is types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.prompt_token_count == 11
    assert usage.candidates_token_count is not None
    assert usage.total_token_count == 11 + usage.candidates_token_count
    assert answer.model_version == "gemini-2.5-flash"


async def test_content_obeys_the_system_instruction(gemini: Gemini) -> None:
    answer = await gemini.ask(DELIVERY, system_instruction=SYSTEM)
    assert answer.text == "delivery"


async def test_content_ends_before_a_stop_sequence(gemini: Gemini) -> None:
    answer = await gemini.ask(stop_sequences=["failed"])
    assert str(answer.text).endswith("The pump ")
    assert finish_of(answer) is types.FinishReason.STOP


async def test_content_says_when_the_limit_cut_it(gemini: Gemini) -> None:
    answer = await gemini.ask(max_output_tokens=2)
    assert finish_of(answer) is types.FinishReason.MAX_TOKENS


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3.8-flash"])
async def test_content_makes_two_calls_and_reads_their_results(gemini: Gemini, model: str) -> None:
    asked = await gemini.ask(BOTH, model=model, tools=[FUNCTIONS])
    calls = asked.function_calls or []
    assert [call.name for call in calls] == list(TOOLS)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": said}
            )
        )
        for call, said in zip(calls, ["sunny", "noon"], strict=True)
    ]
    assert asked.candidates
    history = [
        types.Content(role="user", parts=[types.Part(text=BOTH)]),
        asked.candidates[0].content,
        types.Content(role="user", parts=results),
    ]
    answer = await gemini.ask(history, model=model, tools=[FUNCTIONS])
    assert answer.text == "Result: sunny; noon"


async def test_content_calls_the_tool_it_is_told_to(gemini: Gemini) -> None:
    choice = types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["get_local_time"]
        )
    )
    answer = await gemini.ask(PUMP, tools=[FUNCTIONS], tool_config=choice)
    assert [call.name for call in answer.function_calls or []] == ["get_local_time"]


async def test_content_fills_a_schema(gemini: Gemini) -> None:
    answer = await gemini.ask(
        ORDER, response_mime_type="application/json", response_json_schema=ORDER_SCHEMA
    )
    assert json.loads(str(answer.text)) == ORDER_FOUND


async def test_content_counts_the_schema_and_the_tools_as_input(gemini: Gemini) -> None:
    plain, tools = await gemini.ask(ORDER), await gemini.ask(ORDER, tools=[FUNCTIONS])
    schema = await gemini.ask(
        ORDER, response_mime_type="application/json", response_json_schema=ORDER_SCHEMA
    )
    counts = [
        answer.usage_metadata.prompt_token_count or 0
        for answer in (plain, tools, schema)
        if answer.usage_metadata
    ]
    assert min(counts[1:]) > counts[0] + 40


async def test_content_takes_an_image(gemini: Gemini) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert "pump failed" in str((await gemini.ask([PUMP, image])).text)


async def test_content_shows_thoughts_apart(gemini: Gemini) -> None:
    answer = await gemini.ask(thinking_config=types.ThinkingConfig(include_thoughts=True))
    assert answer.parts is not None
    assert [bool(part.thought) for part in answer.parts] == [True, False]
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.thoughts_token_count or 0) > 0


async def test_content_streams_what_it_would_have_said(gemini: Gemini) -> None:
    whole, chunks = await gemini.ask(), await gemini.stream()
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert finish_of(chunks[-1]) is types.FinishReason.STOP
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert len({chunk.response_id for chunk in chunks}) == 1


async def test_content_streams_two_calls(gemini: Gemini) -> None:
    chunks = await gemini.stream(BOTH, tools=[FUNCTIONS])
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [call.name for call in calls] == list(TOOLS)


async def test_embeddings_come_one_for_each_text(gemini: Gemini) -> None:
    answer = await gemini.client.aio.models.embed_content(
        model="gemini-embedding-001",
        contents=["a", "b"],
        config=types.EmbedContentConfig(output_dimensionality=64),
    )
    strictly(types.EmbedContentResponse, gemini.recording.last.body)
    assert [len(row.values or []) for row in answer.embeddings or []] == [64, 64]


async def test_models_are_listed(gemini: Gemini) -> None:
    pager = await gemini.client.aio.models.list()
    for model in json.loads(gemini.recording.last.body)["models"]:
        assert model["name"].startswith("models/")
    assert "models/gemini-2.5-flash" in [model.name for model in pager.page]


async def refused(gemini: Gemini, **options: Any) -> errors.ClientError:
    with pytest.raises(errors.ClientError) as caught:
        await gemini.ask(**options)
    assert caught.value.message
    return caught.value


async def test_a_wrong_key_is_a_bad_request(simulator: Simulator, recording: Recording) -> None:
    gemini = Gemini(simulator, recording, key="bad-key")
    error = await refused(gemini)
    await gemini.client.aio.aclose()
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert error.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_an_unknown_model_is_not_found(gemini: Gemini) -> None:
    error = await refused(gemini, model="no-such-model")
    assert (error.code, error.status) == (404, "NOT_FOUND")


async def test_a_wrong_parameter_is_a_bad_request(gemini: Gemini) -> None:
    error = await refused(gemini, temperature=5)
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")


async def test_a_rate_limit_says_when_to_come_back(gemini: Gemini, simulator: Simulator) -> None:
    simulator.limits.set(requests_per_minute=1)
    await gemini.ask()
    error = await refused(gemini)
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    hints = {hint["@type"].rpartition(".")[2]: hint for hint in error.details["error"]["details"]}
    assert float(hints["RetryInfo"]["retryDelay"].removesuffix("s")) > 0
    assert hints["QuotaFailure"]["violations"][0]["quotaId"]
