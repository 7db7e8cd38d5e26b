"""Simulated Responses answers and their streams, for the tests of that wire."""

from __future__ import annotations

from typing import Any

import orjson

from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.protocol import Answer, Call, Delta
from tests.providers.wire_calls import call_for, generate

SOL = "openai/gpt-6-sol"
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}


def said(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    return {**item, "status": "completed", **fields}


def refused(text: str) -> dict[str, Any]:
    return {**said(""), "content": [{"type": "refusal", "refusal": text}]}


def thought(*summary: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": parts, **fields}


def called(call_id: str = "c1", arguments: str = '{"city":"Oslo"}', **fields: Any) -> Any:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": "weather",
        "arguments": arguments,
        **fields,
    }


def response(*items: Any, **fields: Any) -> dict[str, Any]:
    body = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return {**body, "incomplete_details": None, "output": list(items), "usage": USAGE, **fields}


def begun() -> dict[str, Any]:
    return {"type": "response.created", "response": response(status="in_progress", usage=None)}


def ended(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.{body['status']}", "response": body}


def pieces_of(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes for one item: its start, its pieces, its end."""
    place = {"output_index": index, "item_id": item.get("id")}
    inner: list[dict[str, Any]] = []
    if item["type"] == "message":
        for at, part in enumerate(item["content"]):
            kind, field = ("refusal", "refusal") if "refusal" in part else ("output_text", "text")
            inner += [
                {"type": f"response.{kind}.delta", "content_index": at, "delta": piece}
                for piece in pieces_of(part[field])
            ]
        start = {**item, "content": [], "status": "in_progress"}
    elif item["type"] == "function_call":
        kind = "response.function_call_arguments"
        inner = [{"type": f"{kind}.delta", "delta": p} for p in pieces_of(item["arguments"])]
        inner.append({"type": f"{kind}.done", "arguments": item["arguments"]})
        start = {**item, "arguments": ""}
    else:
        kind = "response.reasoning_summary_text"
        inner = [
            {"type": f"{kind}.delta", "summary_index": at, "delta": piece}
            for at, part in enumerate(item.get("summary", ()))
            for piece in pieces_of(part["text"])
        ]
        start = {**item, "summary": []}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": start},
        *({**event, **place} for event in inner),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def events_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [e for at, item in enumerate(body["output"]) for e in item_events(at, item)]
    return [begun(), *inner, ended(body)]


def stream_of(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
        for event in events
    )


def sol_call(**fields: Any) -> Call:
    return call_for(generate(**{"prompt": "hi", **fields}), SOL, stream=True)


def decoded(call: Call, *chunks: bytes) -> tuple[list[Delta], Answer]:
    decoder = OpenAIResponses().decoder(call)
    deltas = [delta for chunk in chunks for delta in decoder.feed(chunk)]
    return deltas, decoder.finish()
