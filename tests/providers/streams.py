"""Streamed bodies for the tests of the decoders, simulated and recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ProviderError
from penstock_worker.providers.protocol import Answer, AnyJob, Delta
from penstock_worker.providers.registry import adapter_for
from tests.providers.wire_calls import GPT, call_for

REPOSITORY = Path(__file__).parents[2]


def decoded(
    job: AnyJob, pieces: Iterable[bytes], ref: str = GPT, **changes: Any
) -> tuple[Answer, list[Delta]]:
    """The answer that these pieces of a body come to, and its deltas."""
    call = call_for(job, ref, stream=True, **changes)
    decoder = adapter_for(call.provider, call.model).decoder(call)
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return decoder.finish(), deltas


def outcome(job: AnyJob, pieces: Iterable[bytes], ref: str = GPT) -> Any:
    """The answer, or what was raised, in a form that can be compared."""
    try:
        return decoded(job, pieces, ref)[0]
    except ProviderError as error:
        return (error.kind, error.message, error.possibly_billed, getattr(error, "usage", None))


def sse(*events: Any, done: bool = True) -> bytes:
    """Chat Completions chunks as a body."""
    lines = [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def named(*events: dict[str, Any]) -> bytes:
    """Messages events as a body; each has its type as name."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
        for event in events
    )


def chunk(delta: Any = None, *, finish: Any = None, **fields: Any) -> dict[str, Any]:
    """A simulated chunk of a Chat Completions stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], **fields}


def text_of(deltas: Iterable[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def thoughts_of(deltas: Iterable[Delta]) -> str:
    return "".join(delta.reasoning for delta in deltas)


def arguments_of(deltas: Iterable[Delta]) -> dict[int, str]:
    """Tool index -> the arguments that its deltas join to."""
    found: dict[int, str] = {}
    for delta in deltas:
        if delta.tool_index is not None:
            found[delta.tool_index] = found.get(delta.tool_index, "") + delta.arguments
    return found


def recorded_streams(wire: str, otherwise: str) -> Iterator[tuple[str, bytes, str]]:
    """ID, body and model of each recorded stream of a wire; none where there are no recordings.

    The model is one of the provider that was recorded, or `otherwise`.
    """
    known = {provider.name for provider in catalog().providers if provider.wire == "openai_chat"}
    for record in _records(wire):
        if body := record.get("response_sse_text"):
            provider = record["provider"]
            ref = f"{provider}/some-model" if provider in known else otherwise
            yield record["id"], body.encode(), ref


def recorded_answers(wire: str) -> Iterator[Any]:
    """Each recorded success of a wire that was not streamed."""
    for record in _records(wire):
        if record["status"] == 200 and record.get("response_json"):
            yield record["response_json"]


def _records(wire: str) -> Iterator[dict[str, Any]]:
    folder = Path(os.environ.get("PENSTOCK_RECORDINGS", REPOSITORY / "../shared/recordings"))
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["wire"] == wire:
                    yield record
