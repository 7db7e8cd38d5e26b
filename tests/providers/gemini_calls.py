"""Simulated Gemini answers, and short ways to build and read on this wire."""

from __future__ import annotations

from typing import Any

import orjson

from penstock_worker.providers.gemini import GeminiContent
from penstock_worker.providers.protocol import Answer, AnyJob, Delta
from tests.providers.wire_calls import call_for

FLASH = "google/gemini-2.5-flash"
PRO = "google/gemini-2.5-pro"
THREE = "google/gemini-3.8-flash"
THREE_PRO = "google/gemini-3.1-pro-preview"
OLD = "google/gemini-1.5-pro"
EMBEDDING = "google/gemini-embedding-001"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google"

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"text": said, **more}


def function_call(name: str = "weather", *, signature: str | None = None, **called: Any) -> Any:
    part: dict[str, Any] = {"functionCall": {"name": name, "args": {"city": "Rome"}, **called}}
    return part | ({"thoughtSignature": signature} if signature else {})


def said(*parts: dict[str, Any], finish: Any = "STOP", **usage: int) -> dict[str, Any]:
    """A simulated GenerateContentResponse."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 4, **usage}
    return {"candidates": [candidate], "usageMetadata": counts}


def events(*bodies: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(body) + b"\r\n\r\n" for body in bodies)


def streamed(job: AnyJob, body: bytes, ref: str = FLASH, *, cut: int | None = None) -> Answer:
    """The answer of a stream that comes in two pieces, or all at once."""
    return followed(job, body, ref, cut=cut)[0]


def followed(
    job: AnyJob, body: bytes, ref: str = FLASH, *, cut: int | None = None
) -> tuple[Answer, list[Delta]]:
    decoder = GeminiContent().decoder(call_for(job, ref, stream=True))
    pieces = [body] if cut is None else [body[:cut], body[cut:]]
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return decoder.finish(), deltas
