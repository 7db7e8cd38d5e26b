"""Anthropic's answers: messages, stream events, models and errors as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import orjson

from penstock_worker.simulator.request import (
    Finish,
    JsonObject,
    Refusal,
    SimAnswer,
    SimRequest,
    SimUsage,
)

from .wire import Operation

_CHUNK_CHARACTERS = 24
_STOP_REASON: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}
_ERROR_TYPES = {
    "authentication": "authentication_error",
    "invalid_request": "invalid_request_error",
    "not_found": "not_found_error",
    "rate_limit_requests": "rate_limit_error",
    "rate_limit_tokens": "rate_limit_error",
    "request_too_large": "rate_limit_error",
    "insufficient_quota": "invalid_request_error",
    "overloaded": "overloaded_error",
    "server_error": "api_error",
}
_MODELS = ("claude-sonnet-4-20250514", "claude-3-5-haiku-20241022")
_ids = count(1)


def _message(request: SimRequest, answer: SimAnswer) -> JsonObject:
    content: list[JsonObject] = []
    if answer.text or not answer.tool_calls:
        content.append({"type": "text", "text": answer.text})
    content += [
        {
            "type": "tool_use",
            "id": call.id.replace("call_", "toolu_"),
            "name": call.name,
            "input": _arguments(call.arguments),
        }
        for call in answer.tool_calls
    ]
    return {
        "id": f"msg_sim{next(_ids)}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": _STOP_REASON[answer.finish],
        "stop_sequence": answer.stop_sequence,
        "usage": _usage(request, answer.usage),
    }


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def _usage(request: SimRequest, usage: SimUsage) -> JsonObject:
    """Cache reads and writes stand beside `input_tokens`, not in it."""
    written = usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written if request.cache_ttl == "5m" else 0,
            "ephemeral_1h_input_tokens": written if request.cache_ttl == "1h" else 0,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def render_chat(request: SimRequest, answer: SimAnswer) -> bytes:
    """A `message` object."""
    return orjson.dumps(_message(request, answer))


def stream_chat(request: SimRequest, answer: SimAnswer) -> list[bytes]:
    """The events of a streamed message, from `message_start` to `message_stop`."""
    message = _message(request, answer)
    started: JsonObject = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**message["usage"], "output_tokens": 1},
    }
    events: list[bytes] = [_event("message_start", {"message": started})]
    calls = iter(answer.tool_calls)
    for index, block in enumerate(message["content"]):
        whole = str(block["text"]) if block["type"] == "text" else next(calls).arguments
        events += _block_events(index, block, whole)
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {"output_tokens": answer.usage.output_tokens}
    events.append(_event("message_delta", {"delta": ended, "usage": usage}))
    events.append(_event("message_stop", {}))
    return events


def _block_events(index: int, block: JsonObject, whole: str) -> list[bytes]:
    if block["type"] == "text":
        kind, key = "text_delta", "text"
        start: JsonObject = {"type": "text", "text": ""}
    else:
        kind, key = "input_json_delta", "partial_json"
        start = {**block, "input": {}}
    pieces = [whole[at : at + _CHUNK_CHARACTERS] for at in range(0, len(whole), _CHUNK_CHARACTERS)]
    return [
        _event("content_block_start", {"index": index, "content_block": start}),
        *(
            _event("content_block_delta", {"index": index, "delta": {"type": kind, key: piece}})
            for piece in pieces
        ),
        _event("content_block_stop", {"index": index}),
    ]


def _event(name: str, data: JsonObject) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **data}))


def render_models(_provider: str) -> bytes:
    """The list of models."""
    return orjson.dumps(
        {
            "data": [
                {
                    "type": "model",
                    "id": name,
                    "display_name": name,
                    "created_at": "2025-01-01T00:00:00Z",
                    "lifecycle": "active",
                }
                for name in _MODELS
            ],
            "has_more": False,
            "first_id": _MODELS[0],
            "last_id": _MODELS[-1],
        }
    )


def render_error(refusal: Refusal) -> bytes:
    """The `{"type": "error", "error": {type, message}}` body."""
    kind = _ERROR_TYPES.get(refusal.kind, refusal.kind)
    return orjson.dumps(
        {
            "type": "error",
            "error": {"type": kind, "message": refusal.message},
            "request_id": f"req_sim{next(_ids)}",
        }
    )


CANNED: Mapping[Operation, bytes] = MappingProxyType(
    {
        "chat": b'{"id":"msg_sim","type":"message","role":"assistant","model":"simulated",'
        b'"content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","stop_sequence":null,'
        b'"usage":{"input_tokens":1,"output_tokens":1}}',
        "models": b'{"data":[],"has_more":false,"first_id":null,"last_id":null}',
    }
)
"""Fixed bodies of the right shape for measuring everything but the simulator."""
