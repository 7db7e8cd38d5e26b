"""Simulated Messages answers for the cases that the simulator does not give by itself."""

from __future__ import annotations

from typing import Any

import orjson

from tests.conformance.scripted import Script
from tests.providers.streams import named

USAGE = {
    "input_tokens": 40,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 0,
    "output_tokens": 30,
    "output_tokens_details": {"thinking_tokens": 20},
}


def _delta(index: int, kind: str, **fields: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def _block(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one block, its words in two pieces."""
    deltas: list[dict[str, Any]] = []
    start = dict(block)
    match block["type"]:
        case "text":
            start["text"], said = "", block["text"]
            deltas = [_delta(index, "text_delta", text=piece) for piece in (said[:2], said[2:])]
        case "thinking":
            start |= {"thinking": "", "signature": ""}
            said = block["thinking"]
            pieces = (said[:2], said[2:])
            deltas = [_delta(index, "thinking_delta", thinking=piece) for piece in pieces]
            deltas.append(_delta(index, "signature_delta", signature=block["signature"]))
        case "tool_use":
            said, start["input"] = orjson.dumps(block["input"]).decode(), {}
            pieces = ("", said[:2], said[2:])
            deltas = [_delta(index, "input_json_delta", partial_json=piece) for piece in pieces]
        case _:
            pass
    opening = {"type": "content_block_start", "index": index, "content_block": start}
    return [opening, *deltas, {"type": "content_block_stop", "index": index}]


def _script(stop: str, *blocks: dict[str, Any]) -> Script:
    message = {"type": "message", "role": "assistant", "content": list(blocks)}
    begun = {**message, "content": [], "usage": {**USAGE, "output_tokens": 1}}
    events = [event for index, block in enumerate(blocks) for event in _block(index, block)]
    ended = {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": USAGE}
    body = named(
        {"type": "message_start", "message": begun}, *events, ended, {"type": "message_stop"}
    )
    return Script({**message, "stop_reason": stop, "usage": USAGE}, body)


def _call(index: int, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{index}", "name": "weather", "input": {"city": city}}


SCRIPTS = {
    "refusal": _script("refusal", {"type": "text", "text": "I will not."}),
    "thought": _script(
        "end_turn",
        {"type": "thinking", "thinking": "2 and 2", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "4"},
    ),
    "two_calls": _script("tool_use", _call(0, "Oslo"), _call(1, "Rome")),
    "paused": _script("pause_turn", {"type": "text", "text": "so far"}),
}
