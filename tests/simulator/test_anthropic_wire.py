"""Anthropic's wire: shapes, refusals, caching, streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["refund", "delivery"]}},
    "required": ["label"],
    "additionalProperties": False,
}
TOOL = {"name": "record", "description": "Record the label", "input_schema": SCHEMA}


async def test_message_has_the_shape_of_a_message(call: Any) -> None:
    reply = await call.anthropic("The pump failed.")
    assert reply.status == 200
    assert reply.body["type"] == "message"
    assert reply.body["stop_reason"] == "end_turn"
    assert "pump failed" in reply.body["content"][0]["text"]
    assert reply.headers["x-penstock-simulated"] == "1"


@pytest.mark.parametrize("place", ["output_config", "output_format"])
async def test_message_fills_an_output_schema(call: Any, place: str) -> None:
    wanted = {"type": "json_schema", "schema": SCHEMA}
    body = {place: {"format": wanted} if place == "output_config" else wanted}
    reply = await call.anthropic("I want a refund", **body)
    assert json.loads(reply.body["content"][0]["text"]) == {"label": "refund"}


async def test_message_calls_a_forced_tool(call: Any) -> None:
    choice = {"type": "tool", "name": "record"}
    reply = await call.anthropic("Where is my delivery?", tools=[TOOL], tool_choice=choice)
    block = reply.body["content"][0]
    assert (block["type"], block["input"]) == ("tool_use", {"label": "delivery"})
    assert reply.body["stop_reason"] == "tool_use"


async def test_message_cut_by_max_tokens_says_so(call: Any) -> None:
    reply = await call.anthropic("A long sentence to be quoted.", max_tokens=1)
    assert reply.body["stop_reason"] == "max_tokens"


async def test_message_names_the_stop_sequence(call: Any) -> None:
    reply = await call.anthropic("alpha beta gamma", stop_sequences=[" gamma"])
    assert reply.body["stop_reason"] == "stop_sequence"
    assert reply.body["stop_sequence"] == " gamma"


async def test_message_writes_a_marked_prefix_then_reads_it(call: Any) -> None:
    block = {"type": "text", "text": "rules " * 1000, "cache_control": {"type": "ephemeral"}}
    first = (await call.anthropic("one", system=[block])).body["usage"]
    second = (await call.anthropic("two", system=[block])).body["usage"]
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (1500, 0)
    assert (second["cache_creation_input_tokens"], second["cache_read_input_tokens"]) == (0, 1500)
    assert second["input_tokens"] == 1


async def test_stream_ends_with_message_stop_and_carries_the_text(call: Any) -> None:
    reply = await call.anthropic("The pump failed.", stream=True)
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == (await call.anthropic("The pump failed.")).body["content"][0]["text"]


def turn(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


USE = {"type": "tool_use", "id": "t1", "name": "record", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}
ASK = {"role": "user", "content": "go"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no max_tokens", {"max_tokens": None}, "max_tokens"),
    ("hot", {"temperature": 1.2}, "temperature"),
    ("no messages", {"messages": []}, "at least one message"),
    ("empty content", {"messages": [{"role": "user", "content": ""}]}, "non-empty"),
    ("blank text", {"messages": [turn("user", {"type": "text", "text": " "})]}, "non-empty"),
    ("assistant first", {"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
    ("no result", {"messages": [ASK, turn("assistant", USE), ASK]}, "without `tool_result`"),
    ("orphan result", {"messages": [turn("user", RESULT)]}, "unexpected `tool_use_id`"),
    ("seed", {"seed": 1}, "Extra inputs"),
    (
        "thinking with a forced tool",
        {
            "thinking": {"type": "enabled", "budget_tokens": 100},
            "tools": [TOOL],
            "tool_choice": {"type": "any"},
        },
        "Thinking",
    ),
    (
        "a forced tool of a model that takes none",
        {"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}},
        'type "tool" and "any" are not supported',
    ),
    (
        "no thinking of a model that always thinks",
        {"model": "claude-opus-5-5", "thinking": {"type": "disabled"}},
        '"thinking.type.disabled" is not supported',
    ),
    (
        "open schema",
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        "additionalProperties",
    ),
]


@pytest.mark.parametrize(("body", "says"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
async def test_message_refuses_what_anthropic_refuses(
    call: Any, body: dict[str, Any], says: str
) -> None:
    reply = await call.anthropic(**body)
    assert reply.status == 400
    assert reply.body["type"] == "error"
    assert reply.body["error"]["type"] == "invalid_request_error"
    assert says in reply.body["error"]["message"]


async def test_message_answers_with_text_after_tool_results(call: Any) -> None:
    messages = [ASK, turn("assistant", USE), turn("user", RESULT)]
    reply = await call.anthropic(messages=messages, tools=[TOOL])
    assert "done" in reply.body["content"][0]["text"]


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"anthropic-version": "2023-06-01"}, 401, "authentication_error"),
        ({"x-api-key": "bad-key", "anthropic-version": "2023-06-01"}, 401, "authentication_error"),
        ({"x-api-key": "key"}, 400, "invalid_request_error"),
    ],
)
async def test_message_needs_key_and_version(
    call: Any, headers: dict[str, str], status: int, kind: str
) -> None:
    reply = await call.request("POST", f"{call.sim.base_url('anthropic')}/v1/messages", {}, headers)
    assert (reply.status, reply.body["error"]["type"]) == (status, kind)


async def test_message_does_not_know_models_named_so(call: Any) -> None:
    reply = await call.anthropic(model="no-such-claude")
    assert (reply.status, reply.body["error"]["type"]) == (404, "not_found_error")
