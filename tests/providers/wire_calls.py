"""Calls and simulated responses for the tests of the wire adapters."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from penstock_schemas.catalog import Model, Provider, catalog
from penstock_schemas.jobs import Embed, Generate
from penstock_worker.providers.protocol import Answer, AnyJob, Built, Call
from penstock_worker.providers.registry import adapter_for

KEY = "sk-simulated-0123456789abcdef"
GPT = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-haiku-4-5-20251001"
CLAUDE_BY_TOOL = "anthropic/claude-sonnet-4-20250514"


def generate(**fields: Any) -> Generate:
    return Generate.model_validate({"workspace": "acme", **fields})


def call_for(job: AnyJob, ref: str = GPT, **changes: Any) -> Call:
    model: Model = catalog().resolve(ref)
    provider: Provider = catalog().provider(model.provider)
    fields: dict[str, Any] = {
        "job": job,
        "provider": provider,
        "model": model,
        "base_url": provider.base_url if not provider.needs_base_url else "http://127.0.0.1:9/v1",
        "api_key": KEY,
        "request_id": "0190a0b0-0000-7000-8000-00000000abcd",
    }
    return Call(**(fields | changes))


def built(job: AnyJob, ref: str = GPT, **changes: Any) -> Built:
    call = call_for(job, ref, **changes)
    return adapter_for(call.provider, call.model).build(call)


def body_of(job: AnyJob, ref: str = GPT, **changes: Any) -> dict[str, Any]:
    return orjson.loads(built(job, ref, **changes).request.content)


def parsed(job: AnyJob, body: Any, ref: str = GPT, **changes: Any) -> Answer:
    call = call_for(job, ref, **changes)
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return adapter_for(call.provider, call.model).parse(call, httpx.Response(200, content=content))


def failure(
    status: int, body: Any, *, ref: str = GPT, headers: dict[str, str] | None = None
) -> Any:
    call = call_for(generate(prompt="hi"), ref)
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    response = httpx.Response(status, content=content, headers=headers)
    return adapter_for(call.provider, call.model).classify(call, response)


def chat(content: Any = "hello", *, finish: Any = "stop", **message: Any) -> dict[str, Any]:
    """A simulated Chat Completions answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


def claude(*blocks: dict[str, Any], stop: str = "end_turn", **usage: int) -> dict[str, Any]:
    """A simulated Messages answer."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": list(blocks),
        "stop_reason": stop,
        "usage": {"input_tokens": 10, "output_tokens": 4, **usage},
    }


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def embed(*texts: str, **fields: Any) -> Embed:
    return Embed.model_validate({"workspace": "acme", "input": texts, **fields})
