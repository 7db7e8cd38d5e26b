"""OpenAI's answers: completions, chunks, embeddings, models and errors as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any

import orjson

from penstock_worker.simulator.embeddings import as_base64
from penstock_worker.simulator.request import (
    Finish,
    JsonObject,
    Refusal,
    SimAnswer,
    SimEmbedding,
    SimRequest,
    SimUsage,
)

from .wire import Operation

_CREATED = 1_700_000_000
_CHUNK_CHARACTERS = 24
FINISH: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
}
_ERROR_TYPES = {
    "authentication": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "not_found": "invalid_request_error",
    "rate_limit_requests": "requests",
    "rate_limit_tokens": "tokens",
    "request_too_large": "tokens",
    "insufficient_quota": "insufficient_quota",
    "overloaded": "server_error",
    "server_error": "server_error",
}
_MODELS: dict[str, tuple[str, ...]] = {
    "openai": ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "text-embedding-3-large"),
    "deepseek": ("deepseek-chat", "deepseek-reasoner"),
    "fireworks": ("accounts/fireworks/models/deepseek-v3",),
}
_ids = count(1)


def render_chat(request: SimRequest, answer: SimAnswer) -> bytes:
    """A `chat.completion` object."""
    message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message["content"] = answer.text or None
        message["tool_calls"] = _tool_calls(answer)
    return orjson.dumps(
        {
            "id": f"chatcmpl-sim{next(_ids)}",
            "object": "chat.completion",
            "created": _CREATED,
            "model": request.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": FINISH[answer.finish],
                }
            ],
            "usage": usage_of(answer.usage),
            "system_fingerprint": "fp_simulated",
        }
    )


def _tool_calls(answer: SimAnswer) -> list[JsonObject]:
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in answer.tool_calls
    ]


def usage_of(usage: SimUsage) -> JsonObject:
    """The `usage` object; cached tokens are inside the prompt's."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def stream_chat(request: SimRequest, answer: SimAnswer) -> list[bytes]:
    """`chat.completion.chunk` events, then `[DONE]`; usage last where it was asked for."""
    base: JsonObject = {
        "id": f"chatcmpl-sim{next(_ids)}",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": request.model,
        "system_fingerprint": "fp_simulated",
    }
    deltas: list[JsonObject] = [{"role": "assistant", "content": ""}]
    text = answer.text
    deltas += [
        {"content": text[at : at + _CHUNK_CHARACTERS]}
        for at in range(0, len(text), _CHUNK_CHARACTERS)
    ]
    for index, call in enumerate(_tool_calls(answer)):
        arguments = call["function"]["arguments"]
        call["function"] = {"name": call["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, **call}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 24]}}]}
            for at in range(0, len(arguments), _CHUNK_CHARACTERS)
        ]
    choices: list[list[Any]] = [[{"index": 0, "delta": d, "finish_reason": None}] for d in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": FINISH[answer.finish]}])
    chunks = [{**base, "choices": choice} for choice in choices]
    if request.include_usage:
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({**base, "choices": [], "usage": usage_of(answer.usage)})
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def render_embed(request: SimEmbedding, vectors: Sequence[list[float]], input_tokens: int) -> bytes:
    """A list of embeddings, as floats or base64."""
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": as_base64(vector) if request.base64 else vector,
                }
                for index, vector in enumerate(vectors)
            ],
            "model": request.model,
            "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
        }
    )


def render_models(provider: str) -> bytes:
    """The list of models, a few per provider."""
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": _CREATED, "owned_by": provider}
                for name in _MODELS.get(provider, (f"{provider}-simulated",))
            ],
        }
    )


def render_error(refusal: Refusal) -> bytes:
    """The `{"error": {message, type, param, code}}` body."""
    return orjson.dumps(
        {
            "error": {
                "message": refusal.message,
                "type": _ERROR_TYPES.get(refusal.kind, refusal.kind),
                "param": refusal.param,
                "code": refusal.code,
            }
        }
    )


CANNED: Mapping[Operation, bytes] = MappingProxyType(
    {
        "chat": b'{"id":"chatcmpl-sim","object":"chat.completion","created":1700000000,'
        b'"model":"simulated","choices":[{"index":0,"message":{"role":"assistant",'
        b'"content":"ok"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}',
        "embed": b'{"object":"list","data":[{"object":"embedding","index":0,'
        b'"embedding":[1.0,0.0]}],"model":"simulated",'
        b'"usage":{"prompt_tokens":1,"total_tokens":1}}',
        "models": b'{"object":"list","data":[]}',
    }
)
"""Fixed bodies of the right shape for measuring everything but the simulator."""
