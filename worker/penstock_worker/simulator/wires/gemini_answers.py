"""Gemini's answers: responses, stream events, embeddings, models and errors as bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from types import MappingProxyType
from typing import Any
from zlib import crc32

import orjson

from penstock_worker.simulator.request import (
    Finish,
    JsonObject,
    Refusal,
    SimAnswer,
    SimEmbedding,
    SimRequest,
    tokens_of,
)

from .wire import Operation

_CHUNK_CHARACTERS = 24
_FINISH: dict[Finish, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
#: Reason of a refusal -> the quota that it names.
_QUOTAS = {
    "rate_limit_requests": "GenerateRequestsPerMinutePerProjectPerModel",
    "rate_limit_tokens": "GenerateContentPaidTierInputTokensPerModelPerMinute",
    "request_too_large": "GenerateContentPaidTierInputTokensPerModelPerMinute",
    "insufficient_quota": "GenerateRequestsPerDayPerProjectPerModel",
}
_MODELS = (
    "gemini-1.5-pro",
    "gemini-1.5-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-3.8-flash",
    "gemini-embedding-001",
)
_TYPE = "type.googleapis.com/google.rpc."
_ids = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiRequest(SimRequest):
    """A request of this wire: whether it wants thoughts, and whether its model signs its parts."""

    shows_thoughts: bool = False
    signs: bool = False


@dataclass(frozen=True, slots=True)
class GeminiEmbedding(SimEmbedding):
    """An embeddings call of this wire: `alone` for one that is not a batch."""

    alone: bool = False


def render_chat(request: SimRequest, answer: SimAnswer) -> bytes:
    """A whole response."""
    said = _text_parts(request, answer, [answer.text] if answer.text else [])
    parts = [*_thoughts(request), *said, *_calls(request, answer)]
    return orjson.dumps(_response(request, answer, parts, finished=True))


def stream_chat(request: SimRequest, answer: SimAnswer) -> list[bytes]:
    """The events of a streamed response; the last one has the reason why it ends."""
    text, size = answer.text, _CHUNK_CHARACTERS
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    groups = [[part] for part in _thoughts(request)]
    groups += [[{"text": piece}] for piece in pieces]
    groups += [[part] for part in _calls(request, answer)]
    last: JsonObject = {"text": ""}
    if pieces and _signs(request):
        last["thoughtSignature"] = _signature(request, text)
    groups.append([last])
    events: list[bytes] = []
    name = f"sim{next(_ids)}"
    for index, parts in enumerate(groups):
        finished = index == len(groups) - 1
        body = {**_response(request, answer, parts, finished=finished), "responseId": name}
        events.append(b"data: %b\r\n\r\n" % orjson.dumps(body))
    return events


def _response(
    request: SimRequest, answer: SimAnswer, parts: list[JsonObject], *, finished: bool
) -> JsonObject:
    candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finished:
        candidate["finishReason"] = _FINISH[answer.finish]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(request, answer),
        "modelVersion": request.model,
        "responseId": f"sim{next(_ids)}",
    }


def _usage(request: SimRequest, answer: SimAnswer) -> JsonObject:
    """Cached tokens are inside the prompt; thoughts stand beside what was said."""
    usage = answer.usage
    thought = sum(tokens_of(len(str(part["text"]))) for part in _thoughts(request))
    thought = min(thought, usage.output_tokens - 1)
    counts: JsonObject = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thought,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if thought:
        counts["thoughtsTokenCount"] = thought
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    return counts


def _thoughts(request: SimRequest) -> list[JsonObject]:
    if not isinstance(request, GeminiRequest) or not request.shows_thoughts:
        return []
    return [
        {"text": f"Simulated thoughts about {len(request.prompt)} characters.", "thought": True}
    ]


def _text_parts(request: SimRequest, answer: SimAnswer, pieces: list[str]) -> list[JsonObject]:
    parts: list[JsonObject] = [{"text": piece} for piece in pieces]
    if not parts and not answer.tool_calls:
        parts = [{"text": ""}]
    if answer.text and _signs(request):
        parts[-1]["thoughtSignature"] = _signature(request, answer.text)
    return parts


def _calls(request: SimRequest, answer: SimAnswer) -> list[JsonObject]:
    """The calls; only the first of several is signed."""
    parts: list[JsonObject] = [
        {
            "functionCall": {
                "id": call.id.removeprefix("call_"),
                "name": call.name,
                "args": _arguments(call.arguments),
            }
        }
        for call in answer.tool_calls
    ]
    if parts and _signs(request):
        parts[0]["thoughtSignature"] = _signature(request, answer.tool_calls[0].arguments)
    return parts


def _signs(request: SimRequest) -> bool:
    return isinstance(request, GeminiRequest) and request.signs


def _signature(request: SimRequest, signed: str) -> str:
    digest = crc32(f"{request.prompt}\0{signed}".encode(errors="replace"))
    return b64encode(b"simulated signature %08x" % digest).decode()


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def render_embed(
    request: SimEmbedding, vectors: Sequence[list[float]], _input_tokens: int
) -> bytes:
    """One `embedding`, or the `embeddings` of a batch; this wire counts no tokens."""
    rows = [{"values": vector} for vector in vectors]
    alone = isinstance(request, GeminiEmbedding) and request.alone
    return orjson.dumps({"embedding": rows[0]} if alone else {"embeddings": rows})


def render_models(_provider: str) -> bytes:
    """The list of models."""
    methods = {True: ["embedContent", "batchEmbedContents"], False: ["generateContent"]}
    return orjson.dumps(
        {
            "models": [
                {
                    "name": f"models/{name}",
                    "displayName": name,
                    "inputTokenLimit": 1_048_576,
                    "outputTokenLimit": 65_536,
                    "supportedGenerationMethods": methods["embedding" in name],
                }
                for name in _MODELS
            ]
        }
    )


def render_error(refusal: Refusal) -> bytes:
    """The `{"error": {code, message, status, details}}` body; hints stand in the details."""
    details: list[JsonObject] = []
    if refusal.kind == "authentication" and refusal.status == 400:
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        details.append({"@type": f"{_TYPE}ErrorInfo", **reason})
    if refusal.status == 429 and refusal.kind in _QUOTAS:
        violation = {"quotaId": _QUOTAS[refusal.kind]}
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [violation]})
    if refusal.retry_after_s is not None:
        delay = f"{ceil(refusal.retry_after_s * 1000) / 1000:g}s"
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
    error: JsonObject = {
        "code": refusal.status,
        "message": refusal.message,
        "status": _STATUS.get(refusal.status, "UNKNOWN"),
    }
    return orjson.dumps({"error": {**error, "details": details} if details else error})


CANNED: Mapping[Operation, bytes] = MappingProxyType(
    {
        "chat": b'{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},'
        b'"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,'
        b'"candidatesTokenCount":1,"totalTokenCount":2},"modelVersion":"simulated"}',
        "embed": b'{"embedding":{"values":[1.0,0.0]}}',
        "models": b'{"models":[]}',
    }
)
"""Fixed bodies of the right shape for measuring everything but the simulator."""
