"""OpenAI's Responses wire: shapes, refusals, streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

HEADERS = {"authorization": "Bearer key"}
STRICT = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["card_arrival", "lost_card"]}},
    "required": ["label"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    "strict": False,
}
SEALED = {"include": ["reasoning.encrypted_content"], "store": False}


def format_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "c", "strict": True, "schema": schema}}


def made_call(call_id: str = "c1") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "get_weather", "arguments": "{}"}


def result_of(call_id: str = "c1", output: Any = "21 degrees") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


async def ask(call: Any, given: Any = "Hello there.", **body: Any) -> Any:
    url = f"{call.sim.base_url('openai')}/responses"
    return await call.request("POST", url, {"model": "gpt-4o", "input": given, **body}, HEADERS)


def message_text(reply: Any) -> str:
    return reply.body["output"][-1]["content"][0]["text"]


def events_of(reply: Any) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]


async def test_response_answers_in_the_shape_of_a_response(call: Any) -> None:
    reply = await ask(call, "The pump failed. It was replaced on Monday.")
    assert (reply.status, reply.body["object"], reply.body["status"]) == (
        200,
        "response",
        "completed",
    )
    assert "pump failed" in message_text(reply)
    usage = reply.body["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert reply.headers["x-penstock-simulated"] == "1"


async def test_response_to_a_string_is_that_to_a_user_message(call: Any) -> None:
    parts = [{"type": "input_text", "text": "The pump failed."}]
    messages = [{"role": "user", "content": parts}]
    assert message_text(await ask(call, "The pump failed.")) == message_text(
        await ask(call, messages)
    )


async def test_response_fills_a_strict_schema(call: Any) -> None:
    reply = await ask(call, "Has my card arrived?", text=format_of(STRICT))
    assert json.loads(message_text(reply)) == {"label": "card_arrival"}


async def test_response_calls_a_forced_tool_and_answers_from_its_result(call: Any) -> None:
    named = {"type": "function", "name": "get_weather"}
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    reply = await ask(call, [question], tools=[WEATHER], tool_choice=named)
    made = reply.body["output"][0]
    assert (made["type"], made["name"]) == ("function_call", "get_weather")
    after = [question, made, result_of(made["call_id"])]
    assert "21 degrees" in message_text(await ask(call, after, tools=[WEATHER]))


async def test_response_that_is_cut_off_is_incomplete(call: Any) -> None:
    reply = await ask(call, "Say. " + "word " * 200, max_output_tokens=16)
    assert reply.body["status"] == "incomplete"
    assert reply.body["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_response_of_a_reasoning_model_carries_sealed_reasoning(call: Any) -> None:
    reply = await ask(call, model="gpt-6-sol", **SEALED, reasoning={"summary": "auto"})
    item = reply.body["output"][0]
    assert item["type"] == "reasoning"
    assert item["summary"]
    assert item["encrypted_content"]
    assert reply.body["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


async def test_response_without_effort_does_not_reason(call: Any) -> None:
    reply = await ask(call, model="gpt-6-sol", reasoning={"effort": "none"})
    assert [item["type"] for item in reply.body["output"]] == ["message"]


async def test_response_takes_its_own_reasoning_back(call: Any) -> None:
    question = {"role": "user", "content": "Hello there."}
    first = await ask(call, [question], model="gpt-6-sol", **SEALED)
    again = [question, *first.body["output"], question]
    assert (await ask(call, again, model="gpt-6-sol", **SEALED)).status == 200


async def test_stream_ends_in_the_response_that_it_built_up(call: Any) -> None:
    whole = await ask(call, "The pump failed. It was replaced.")
    events = events_of(await ask(call, "The pump failed. It was replaced.", stream=True))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert text == message_text(whole)
    assert events[-1]["response"]["output"] == whole.body["output"]
    assert events[-1]["response"]["usage"] == whole.body["usage"]


async def test_stream_of_a_tool_call_sends_its_arguments_in_pieces(call: Any) -> None:
    reply = await ask(
        call, "Weather in Oslo?", tools=[WEATHER], tool_choice="required", stream=True
    )
    events = events_of(reply)
    kind = "response.function_call_arguments"
    pieces = "".join(e["delta"] for e in events if e["type"] == f"{kind}.delta")
    assert [pieces] == [e["arguments"] for e in events if e["type"] == f"{kind}.done"]


async def test_stream_that_is_cut_off_ends_incomplete(call: Any) -> None:
    reply = await ask(call, "Say. " + "word " * 200, max_output_tokens=16, stream=True)
    assert events_of(reply)[-1]["type"] == "response.incomplete"


def thought(**fields: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **fields}


USER = {"role": "user", "content": "hi"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no model", {"model": None}, "model"),
    ("no input", {"input": None}, "input"),
    ("messages", {"messages": [USER]}, "messages"),
    ("max_tokens", {"max_tokens": 50}, "max_output_tokens"),
    ("max_completion_tokens", {"max_completion_tokens": 50}, "max_output_tokens"),
    ("response_format", {"response_format": {"type": "json_object"}}, "text.format"),
    ("stop", {"stop": ["x"]}, "Unknown parameter: 'stop'"),
    ("seed", {"seed": 1}, "Unknown parameter: 'seed'"),
    ("small limit", {"max_output_tokens": 15}, "below minimum"),
    ("temperature of a reasoning model", {"model": "o3", "temperature": 0.1}, "temperature"),
    ("effort of another", {"reasoning": {"effort": "low"}}, "reasoning.effort"),
    ("no such effort", {"model": "o3", "reasoning": {"effort": "much"}}, "much"),
    ("sealed reasoning of another", SEALED, "Encrypted content"),
    ("json without the word", {"text": {"format": {"type": "json_object"}}}, "'json'"),
    (
        "json in the instructions only",
        {"text": {"format": {"type": "json_object"}}, "instructions": "json"},
        "'json'",
    ),
    ("open schema", {"text": format_of({"type": "object", "properties": {}})}, "additional"),
    (
        "chat-shaped tool",
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        "tools[0].name",
    ),
    (
        "schema without properties",
        {"tools": [{**WEATHER, "parameters": {"type": "object"}}]},
        "missing properties",
    ),
    ("strict tool", {"tools": [{**WEATHER, "strict": True}]}, "additionalProperties"),
    ("tool choice without tools", {"tool_choice": "required"}, "tools"),
    ("unknown tool choice", {"tools": [WEATHER], "tool_choice": {"name": "x"}}, "'x'"),
    ("chat part", {"input": [{**USER, "content": [{"type": "text", "text": "a"}]}]}, "input_text"),
    ("orphan result", {"input": [USER, result_of()]}, "No tool call found"),
    ("open call", {"input": [USER, made_call()]}, "No tool output found"),
    ("long call ID", {"input": [USER, made_call("c" * 65)]}, "too long"),
    ("unknown item", {"input": [{"type": "thing"}]}, "thing"),
    ("foreign reasoning", {"input": [thought(encrypted_content="x"), USER]}, "verified"),
    ("earlier response", {"previous_response_id": "resp_1"}, "not found"),
]


@pytest.mark.parametrize(("body", "says"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
async def test_response_refuses_what_openai_refuses(
    call: Any, body: dict[str, Any], says: str
) -> None:
    reply = await ask(call, **({"given": body.pop("input")} if "input" in body else {}), **body)
    assert reply.status == 400
    assert reply.body["error"]["type"] == "invalid_request_error"
    assert says in reply.body["error"]["message"]


async def test_response_does_not_find_reasoning_without_its_content(call: Any) -> None:
    reply = await ask(call, [thought(), USER], model="gpt-6-sol", store=False)
    assert reply.status == 404
    assert "'rs_1' not found" in reply.body["error"]["message"]


async def test_response_wants_what_followed_reasoning(call: Any) -> None:
    own = thought(encrypted_content="simulated-reasoning-1")
    reply = await ask(call, [USER, own, USER], model="gpt-6-sol")
    assert "required following item" in reply.body["error"]["message"]


async def test_response_needs_a_key(call: Any) -> None:
    url = f"{call.sim.base_url('openai')}/responses"
    assert (await call.request("POST", url, {"model": "gpt-4o", "input": "x"})).status == 401


async def test_chat_completions_stand_beside_responses(call: Any) -> None:
    assert (await call.openai()).body["object"] == "chat.completion"
    assert (await ask(call)).body["object"] == "response"
