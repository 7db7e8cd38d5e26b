"""Responses answers: response objects and their stream of events as bytes.

The writing half of `responses`; models that reason show a reasoning item before their answer.
Source: https://developers.openai.com/api/reference/resources/responses-streaming, 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any
from zlib import crc32

import orjson

from penstock_worker.simulator.request import JsonObject, SimAnswer, SimRequest, SimUsage

from .wire import Operation

_CREATED = 1_700_000_000
_CHUNK_CHARACTERS = 24
_SEAL = "simulated-reasoning-"
_THOUGHT = "Simulated reasoning about the request."
#: Fields of a request that its response repeats, and what stands there when it has none.
_REPEATED: Mapping[str, Any] = MappingProxyType(
    {
        "instructions": None,
        "max_output_tokens": None,
        "parallel_tool_calls": True,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "metadata": {},
    }
)
_ids = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesRequest(SimRequest):
    """A call that came by this wire: `asked` is its body; the rest is about its reasoning."""

    thinks: bool = False
    sealed: bool = False
    summarised: bool = False
    asked: JsonObject = field(default_factory=dict[str, Any])


def is_sealed(content: object) -> bool:
    """Whether encrypted content is the simulator's own."""
    return isinstance(content, str) and content.startswith(_SEAL)


def render_response(request: SimRequest, answer: SimAnswer) -> bytes:
    """A `response` object."""
    return orjson.dumps(_response(request, answer, f"resp_sim{next(_ids)}"))


def stream_response(request: SimRequest, answer: SimAnswer) -> list[bytes]:
    """The events of a streamed response, from `response.created` to its terminal event."""
    final = _response(request, answer, f"resp_sim{next(_ids)}")
    begun: JsonObject = {
        **final,
        "status": "in_progress",
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    events: list[JsonObject] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(final["output"]):
        events += _item_events(index, item)
    events.append({"type": f"response.{final['status']}", "response": final})
    return [_event(number, event) for number, event in enumerate(events)]


def _event(number: int, event: JsonObject) -> bytes:
    data = orjson.dumps(event | {"sequence_number": number}).decode()
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _response(request: SimRequest, answer: SimAnswer, identity: str) -> JsonObject:
    asked = request.asked if isinstance(request, ResponsesRequest) else {}
    cut = answer.finish == "length"
    thinks = isinstance(request, ResponsesRequest) and request.thinks
    repeated = {name: asked.get(name, default) for name, default in _REPEATED.items()}
    return {
        "id": identity,
        "object": "response",
        "created_at": _CREATED,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": request.model,
        "output": _output(request, answer),
        "previous_response_id": None,
        "service_tier": "default",
        **repeated,
        "usage": _usage(answer.usage, thinks=thinks),
    }


def _output(request: SimRequest, answer: SimAnswer) -> list[JsonObject]:
    mark = f"sim{crc32(request.prompt.encode(errors='replace')):08x}"
    status = "incomplete" if answer.finish == "length" else "completed"
    items: list[JsonObject] = []
    if isinstance(request, ResponsesRequest) and request.thinks:
        items.append(_reasoning(request, mark))
    if answer.text or not answer.tool_calls:
        text: JsonObject = {
            "type": "output_text",
            "annotations": [],
            "logprobs": [],
            "text": answer.text,
        }
        items.append(
            {
                "id": f"msg_{mark}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [text],
            }
        )
    items += [
        {
            "id": f"fc_{mark}_{index}",
            "type": "function_call",
            "status": status,
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }
        for index, call in enumerate(answer.tool_calls)
    ]
    return items


def _reasoning(request: ResponsesRequest, mark: str) -> JsonObject:
    shown = [{"type": "summary_text", "text": _THOUGHT}] if request.summarised else []
    item: JsonObject = {"id": f"rs_{mark}", "type": "reasoning", "summary": shown}
    return item | {"encrypted_content": f"{_SEAL}{mark}"} if request.sealed else item


def _usage(usage: SimUsage, *, thinks: bool) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.output_tokens // 2 if thinks else 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _item_events(index: int, item: JsonObject) -> Iterator[JsonObject]:
    begun: JsonObject
    match item["type"]:
        case "message":
            begun = {**item, "status": "in_progress", "content": []}
            inner = _message_events(item["content"][0])
        case "function_call":
            begun = {**item, "status": "in_progress", "arguments": ""}
            inner = _call_events(item["arguments"])
        case _:
            begun = {**item, "summary": []}
            inner = _reasoning_events(item["summary"])
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for event in inner:
        yield {**event, "item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message_events(part: JsonObject) -> Iterator[JsonObject]:
    place = {"content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for piece in _pieces(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(arguments: str) -> Iterator[JsonObject]:
    for piece in _pieces(arguments):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    yield {"type": "response.function_call_arguments.done", "arguments": arguments}


def _reasoning_events(summary: list[JsonObject]) -> Iterator[JsonObject]:
    for index, part in enumerate(summary):
        place = {"summary_index": index}
        name = "response.reasoning_summary"
        yield {"type": f"{name}_part.added", **place, "part": {**part, "text": ""}}
        for piece in _pieces(part["text"]):
            yield {"type": f"{name}_text.delta", **place, "delta": piece}
        yield {"type": f"{name}_text.done", **place, "text": part["text"]}
        yield {"type": f"{name}_part.done", **place, "part": part}


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), _CHUNK_CHARACTERS):
        yield text[at : at + _CHUNK_CHARACTERS]


CANNED: Mapping[Operation, bytes] = MappingProxyType(
    {
        "chat": b'{"id":"resp_sim","object":"response","created_at":1700000000,'
        b'"status":"completed","error":null,"incomplete_details":null,"model":"simulated",'
        b'"output":[{"id":"msg_sim","type":"message","status":"completed","role":"assistant",'
        b'"content":[{"type":"output_text","text":"ok","annotations":[]}]}],'
        b'"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}'
    }
)
"""A fixed body of the right shape for measuring everything but the simulator."""
