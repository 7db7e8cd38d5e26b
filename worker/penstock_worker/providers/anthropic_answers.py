"""Reads Messages answers: content blocks, stop reasons, usage.

The read half of `anthropic`; the stream decoder puts its events together into the same body.
Source: https://platform.claude.com/docs/en/api/messages (2026-11-21)
"""

from __future__ import annotations

import httpx

from penstock_schemas.jobs import TextJob
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import Said, answer_of, decoded, estimated_usage, malformed
from penstock_worker.providers.failures import InvalidAnswer, classify_error_body
from penstock_worker.providers.protocol import Answer, Call
from penstock_worker.providers.reading import Object, as_count, as_list, as_object, as_text
from penstock_worker.providers.tool_wire import read_call

_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSE,
}


def read_answer(call: Call, job: TextJob, response: httpx.Response) -> Answer:
    """The answer of a 2xx response; raises as `AnthropicMessages.parse` does."""
    return read_body(call, job, decoded(call, response), response)


def read_body(call: Call, job: TextJob, body: Object, response: httpx.Response) -> Answer:
    """The answer of a decoded body, however it came; raises as `AnthropicMessages.parse` does."""
    usage = read_usage(body.get("usage"))
    if is_error(body):
        raise classify_error_body(call, body, response, usage or Usage())
    if not isinstance(body.get("content"), list):
        raise malformed(call, response, "it has no content")
    blocks = [as_object(block) for block in as_list(body["content"])]
    text = "".join(as_text(b.get("text")) for b in blocks if b.get("type") == "text")
    reason = as_text(body.get("stop_reason"))
    if reason == "model_context_window_exceeded":
        raise InvalidAnswer(
            ErrorKind.CONTEXT_LENGTH,
            "the answer ran into the end of the model's context window",
            provider=call.provider.name,
            usage=usage or estimated_usage(job, text),
            text=text,
            code=reason,
        )
    said = Said(
        text=text,
        calls=_calls(call, job, blocks),
        usage=usage,
        finish=_FINISH_REASONS.get(reason, FinishReason.UNKNOWN),
        reasoning=_reasoning(call, blocks),
    )
    return answer_of(call, said)


def is_error(body: Object) -> bool:
    """Whether a body or event that came with a success status is an error."""
    return body.get("type") == "error" or bool(body.get("error"))


def read_usage(given: object) -> Usage | None:
    """Inclusive usage: this wire counts cache reads and writes beside its input, not inside."""
    fields = as_object(given)
    read = as_count(fields.get("cache_read_input_tokens"))
    written = as_count(fields.get("cache_creation_input_tokens"))
    plain = as_count(fields.get("input_tokens"))
    output = as_count(fields.get("output_tokens"))
    if not (plain or output or read or written):
        return None
    details = as_object(fields.get("output_tokens_details"))
    return Usage(
        input_tokens=plain + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=min(as_count(details.get("thinking_tokens")), output),
    )


def _reasoning(call: Call, blocks: list[Object]) -> tuple[ReasoningPart, ...]:
    """Each thinking block on its own, with its own signature: they must not be merged."""
    found: list[ReasoningPart] = []
    provider = call.provider.name
    for block in blocks:
        if block.get("type") == "thinking":
            text, signature = as_text(block.get("thinking")), as_text(block.get("signature"))
            if text or signature:
                part = ReasoningPart(provider=provider, text=text, signature=signature or None)
                found.append(part)
        elif block.get("type") == "redacted_thinking" and (data := as_text(block.get("data"))):
            found.append(ReasoningPart(provider=provider, data=data))
    return tuple(found)


def _calls(call: Call, job: TextJob, blocks: list[Object]) -> tuple[ToolCall, ...]:
    return tuple(
        read_call(
            call_id=block.get("id"),
            name=name,
            arguments=block.get("input"),
            tools=job.tools,
            fallback_id=f"call_{call.request_id[-12:]}_{index}",
        )
        for index, block in enumerate(blocks)
        if block.get("type") == "tool_use" and (name := as_text(block.get("name")))
    )
