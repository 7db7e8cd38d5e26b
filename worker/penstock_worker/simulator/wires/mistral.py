"""Mistral's dialect of OpenAI's wire: what it leaves out, adds and streams in its own way.

Requests are read as OpenAI's are. In streams a tool call comes whole, and the usage always stands
in the chunk that ends the answer.
Source: https://docs.mistral.ai/api and the types of Mistral's own SDK (mistralai 3.7), 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import Any
from zlib import crc32

import orjson

from penstock_worker.simulator.request import (
    JsonObject,
    Refusal,
    SimAnswer,
    SimEmbedding,
    SimRequest,
    invalid,
)

from .openai import OPENAI
from .openai_answers import FINISH, render_embed, usage_of
from .wire import Operation, WireCall

_CREATED = 1_700_000_000
_CHUNK_CHARACTERS = 24
_MODELS = ("mistral-large-latest", "codestral-latest", "mistral-embed")
_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_ids = count(1)


def _parse_chat(call: WireCall) -> SimRequest:
    """OpenAI's reading, after the one thing that is stricter here."""
    for message in call.body.get("messages") or ():
        for made in message.get("tool_calls") or ():
            if not _CALL_ID.fullmatch(str(made.get("id"))):
                raise invalid(
                    f"Tool call id was {made.get('id')} but must be a-z, A-Z, 0-9, with a length"
                    " of 9.",
                    code="3280",
                )
    return OPENAI.parse_chat(call)


def _tool_calls(answer: SimAnswer) -> list[JsonObject] | None:
    """The calls, with identifiers of nine characters and without a type; null for none."""
    calls = [
        {
            "id": f"S{crc32(f'{index}{call.id}'.encode()):08x}",
            "function": {"name": call.name, "arguments": call.arguments},
            "index": index,
        }
        for index, call in enumerate(answer.tool_calls)
    ]
    return calls or None


def _usage(answer: SimAnswer) -> JsonObject:
    usage = usage_of(answer.usage)
    return {
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": answer.usage.cache_read_tokens},
        "service_tier": "standard",
    }


def _render_chat(request: SimRequest, answer: SimAnswer) -> bytes:
    """A `chat.completion` object."""
    message = {"role": "assistant", "content": answer.text, "tool_calls": _tool_calls(answer)}
    choice = {"index": 0, "message": message, "finish_reason": FINISH[answer.finish]}
    return orjson.dumps(
        {
            "id": _identity(),
            "object": "chat.completion",
            "created": _CREATED,
            "model": request.model,
            "choices": [choice],
            "usage": _usage(answer),
        }
    )


def _stream_chat(request: SimRequest, answer: SimAnswer) -> list[bytes]:
    """`chat.completion.chunk` events, then `[DONE]`."""
    base = {
        "id": _identity(),
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": request.model,
    }
    text, calls = answer.text, _tool_calls(answer)
    pieces = [text[at : at + _CHUNK_CHARACTERS] for at in range(0, len(text), _CHUNK_CHARACTERS)]
    deltas: list[JsonObject] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    deltas.append({"content": "", "tool_calls": calls} if calls else {"content": ""})
    chunks = [_chunk(base, delta) for delta in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = FINISH[answer.finish]
    chunks[-1]["usage"] = _usage(answer)
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _chunk(base: JsonObject, delta: JsonObject) -> JsonObject:
    return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def _render_embed(
    request: SimEmbedding, vectors: Sequence[list[float]], input_tokens: int
) -> bytes:
    """OpenAI's list of embeddings, with an identifier."""
    rows: JsonObject = orjson.loads(render_embed(request, vectors, input_tokens))
    return orjson.dumps({"id": _identity(), **rows})


def _render_models(provider: str) -> bytes:
    """The list of model cards."""
    cards = [
        {
            "id": name,
            "object": "model",
            "created": _CREATED,
            "owned_by": f"{provider}ai",
            "type": "base",
            "capabilities": _capabilities(embeds="embed" in name),
        }
        for name in _MODELS
    ]
    return orjson.dumps({"object": "list", "data": cards})


def _capabilities(*, embeds: bool) -> dict[str, Any]:
    return {"completion_chat": not embeds, "function_calling": not embeds, "vision": not embeds}


def _render_error(refusal: Refusal) -> bytes:
    """A flat error; a key that is refused gets a `detail` only."""
    if refusal.status == 401:
        return orjson.dumps({"detail": refusal.message})
    return orjson.dumps(
        {
            "object": "error",
            "message": refusal.message,
            "type": refusal.kind,
            "param": refusal.param,
            "code": refusal.code,
        }
    )


def _identity() -> str:
    return f"sim{next(_ids):029x}"


_CANNED: Mapping[Operation, bytes] = MappingProxyType(
    {
        **OPENAI.canned,
        "embed": b'{"id":"sim","object":"list","data":[{"object":"embedding","index":0,'
        b'"embedding":[1.0,0.0]}],"model":"simulated",'
        b'"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}',
    }
)

MISTRAL = replace(
    OPENAI,
    name="mistral",
    parse_chat=_parse_chat,
    render_chat=_render_chat,
    stream_chat=_stream_chat,
    render_embed=_render_embed,
    render_models=_render_models,
    render_error=_render_error,
    canned=_CANNED,
    request_id_header="mistral-correlation-id",
)
