"""Mistral's dialect: what differs from OpenAI's wire; and several calls in one answer."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import pytest

BOTH = "What is the weather in Paris, and what is the local time there?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": told, "parameters": CITY}}
    for name, told in (
        ("get_weather", "Current weather of a city"),
        ("get_forecast", "Weather of a city in the next days"),
        ("get_local_time", "Current local time of a city"),
    )
]


def names(reply: Any) -> list[str]:
    calls = reply.body["choices"][0]["message"]["tool_calls"]
    return [call["function"]["name"] for call in calls]


async def stream(call: Any, content: str, **body: Any) -> list[Any]:
    reply = await call.openai(content, provider="mistral", stream=True, **body)
    lines = [line for line in io.StringIO(reply.text) if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("provider", ["openai", "mistral"])
async def test_chat_makes_all_the_calls_that_are_asked_for(call: Any, provider: str) -> None:
    reply = await call.openai(BOTH, provider=provider, tools=TOOLS)
    assert names(reply) == ["get_weather", "get_local_time"]


async def test_chat_makes_one_call_where_parallel_ones_are_off(call: Any) -> None:
    reply = await call.openai(BOTH, tools=TOOLS, parallel_tool_calls=False)
    assert names(reply) == ["get_local_time"]


async def test_chat_cut_within_its_calls_says_so(call: Any) -> None:
    reply = await call.openai(BOTH, tools=TOOLS, max_tokens=5)
    choice = reply.body["choices"][0]
    said = [c["function"]["arguments"] for c in choice["message"]["tool_calls"]]
    assert (choice["finish_reason"], sum(map(len, said))) == ("length", 20)


async def test_mistral_call_ids_have_nine_characters(call: Any) -> None:
    reply = await call.openai(BOTH, provider="mistral", tools=TOOLS)
    calls = reply.body["choices"][0]["message"]["tool_calls"]
    assert len({made["id"] for made in calls}) == 2
    assert all(made["id"].isalnum() and len(made["id"]) == 9 for made in calls)


async def test_mistral_streams_calls_whole_and_ends_with_usage(call: Any) -> None:
    *_, last = await stream(call, BOTH, tools=TOOLS)
    choice = last["choices"][0]
    made = [made["function"] for made in choice["delta"]["tool_calls"]]
    assert [each["name"] for each in made] == ["get_weather", "get_local_time"]
    assert all("city" in json.loads(each["arguments"]) for each in made)
    assert choice["finish_reason"] == "tool_calls"
    assert last["usage"]["total_tokens"] > 0


async def test_mistral_embeddings_have_an_identifier(call: Any) -> None:
    url = f"{call.sim.base_url('mistral')}/embeddings"
    body = {"model": "mistral-embed", "input": ["a"]}
    reply = await call.request("POST", url, body, {"authorization": "Bearer k"})
    assert reply.body["id"]
    assert len(reply.body["data"][0]["embedding"]) == 1024


async def test_mistral_errors_are_flat(call: Any) -> None:
    reply = await call.openai(provider="mistral", temperature=3)
    assert (reply.status, reply.body["object"], reply.body["param"]) == (
        400,
        "error",
        "temperature",
    )


async def test_mistral_refuses_call_ids_of_another_length(call: Any) -> None:
    made = {"id": "call_1", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        {"role": "user", "content": BOTH},
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    reply = await call.openai(provider="mistral", messages=history)
    assert (reply.status, reply.body["code"]) == (400, "3280")


async def test_schema_counts_as_input_in_every_wire(call: Any) -> None:
    schema = {**CITY, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema}}
    plain, shaped = await call.openai(), await call.openai(response_format=wanted)
    counts = [reply.body["usage"]["prompt_tokens"] for reply in (plain, shaped)]
    config = {"format": {"type": "json_schema", "schema": schema}}
    plain, shaped = await call.anthropic(), await call.anthropic(output_config=config)
    others = [reply.body["usage"]["input_tokens"] for reply in (plain, shaped)]
    written = len(json.dumps(schema, separators=(",", ":"))) // 4
    assert counts[1] - counts[0] >= written
    assert others[1] - others[0] >= written


async def test_anthropic_takes_a_bearer_key(call: Any) -> None:
    url = f"{call.sim.base_url('anthropic')}/v1/models"
    headers = {"authorization": "Bearer key", "anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
        assert reply.status == 200
