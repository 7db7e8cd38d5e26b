"""Reads Chat Completions answers, those of the providers that bend the format included.

The read half of `openai_chat`.
Source: https://developers.openai.com/api/reference/resources/chat (2026-11-21)
"""

from __future__ import annotations

import httpx

from penstock_schemas.jobs import TextJob
from penstock_schemas.messages import ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import Said, answer_of, decoded, estimated_usage, malformed
from penstock_worker.providers.failures import InvalidAnswer, classify_error_body
from penstock_worker.providers.openai_reasoning import reasoning_parts
from penstock_worker.providers.protocol import Answer, Call
from penstock_worker.providers.reading import (
    Object,
    as_count,
    as_list,
    as_object,
    as_text,
    content_text,
)
from penstock_worker.providers.tool_wire import read_call

#: What providers write for a finish reason, in lower case. The rest is UNKNOWN.
FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
}

#: Finish reasons that say that the provider failed in the middle of the answer.
#: Source: https://api-docs.deepseek.com/api/create-chat-completion (2026-11-21)
#: Source: https://openrouter.ai/docs/api-reference/errors (2026-11-21)
_FAILURES = {
    "insufficient_system_resource": ErrorKind.OVERLOADED,
    "error": ErrorKind.SERVER_ERROR,
    "network_error": ErrorKind.SERVER_ERROR,
}


def read_answer(call: Call, job: TextJob, response: httpx.Response) -> Answer:
    """The answer of a 2xx response; raises as `OpenAIChat.parse` does."""
    return read_body(call, job, decoded(call, response), response)


def read_body(call: Call, job: TextJob, body: Object, response: httpx.Response) -> Answer:
    """The answer that a decoded body holds, however it came; raises as `OpenAIChat.parse` does."""
    choice = first_choice(body)
    usage = read_usage(usage_in(body, choice))
    if (failed := error_in(body, choice)) is not None:
        raise classify_error_body(call, failed, response, usage or Usage())
    message = as_object(choice.get("message"))
    if not message:
        raise malformed(call, response, "it has no message")
    text = content_text(message.get("content"))
    stated = as_text(choice.get("finish_reason")).lower()
    if kind := _FAILURES.get(stated):
        raise InvalidAnswer(
            kind,
            f"{call.provider.name} broke off its answer: {stated}",
            provider=call.provider.name,
            usage=usage or estimated_usage(job, text),
            text=text,
            code=stated,
        )
    said = Said(
        text=text,
        calls=_calls(call, job, message),
        usage=usage,
        finish=FINISH_REASONS.get(stated, FinishReason.UNKNOWN),
        refusal=as_text(message.get("refusal")),
        reasoning=reasoning_parts(call, message),
    )
    return answer_of(call, said)


def first_choice(body: Object) -> Object:
    """The one choice that was asked for; an empty object where there is none."""
    for given in as_list(body.get("choices")):
        choice = as_object(given)
        if not choice.get("index"):
            return choice
    return {}


def error_in(body: Object, choice: Object) -> Object | None:
    """What holds the error of a body or chunk that came with a success status, or None.

    `choice` is its `first_choice`.
    """
    if body.get("error") or body.get("object") == "error":
        return body
    return choice if choice.get("error") else None


def usage_in(body: Object, choice: Object) -> Object:
    """The usage of a body or chunk, wherever the provider puts it (Groq, Moonshot).

    `choice` is its `first_choice`.
    """
    return (
        as_object(body.get("usage"))
        or as_object(as_object(body.get("x_groq")).get("usage"))
        or as_object(choice.get("usage"))
    )


def read_usage(given: object) -> Usage | None:
    """Inclusive usage, or None where the provider gave no figures.

    Cached input is inside the prompt count. Reasoning is inside the completion count for OpenAI;
    where the total says that it is not (xAI, Gemini), the total counts.
    """
    fields = as_object(given)
    prompt = as_count(fields.get("prompt_tokens"))
    completion = as_count(fields.get("completion_tokens"))
    total = as_count(fields.get("total_tokens"))
    if not (prompt or completion or total):
        return None
    inputs = as_object(fields.get("prompt_tokens_details"))
    outputs = as_object(fields.get("completion_tokens_details"))
    cached = as_count(inputs.get("cached_tokens")) or as_count(
        fields.get("prompt_cache_hit_tokens")
    )
    written = as_count(inputs.get("cache_write_tokens"))
    output = max(completion, total - prompt) if prompt else completion
    return Usage(
        input_tokens=prompt or max(total - completion, 0),
        output_tokens=output,
        cache_read_tokens=min(cached, prompt),
        cache_write_tokens=min(written, max(prompt - cached, 0)),
        reasoning_tokens=min(as_count(outputs.get("reasoning_tokens")), output),
    )


def _calls(call: Call, job: TextJob, message: Object) -> tuple[ToolCall, ...]:
    rows = [as_object(row) for row in as_list(message.get("tool_calls"))]
    if not rows and (legacy := as_object(message.get("function_call"))):
        rows = [{"function": legacy}]
    found: list[ToolCall] = []
    for index, row in enumerate(rows):
        function = as_object(row.get("function"))
        if not (name := as_text(function.get("name"))):
            continue
        made = read_call(
            call_id=row.get("id"),
            name=name,
            arguments=function.get("arguments"),
            tools=job.tools,
            fallback_id=f"call_{call.request_id[-12:]}_{index}",
        )
        if signature := _signature(row):
            signed = {"signature": signature, "signed_by": call.provider.name}
            made = made.model_copy(update=signed)
        found.append(made)
    return tuple(found)


def _signature(row: Object) -> str:
    """What Gemini's OpenAI-compatible endpoints want back with a call."""
    google = as_object(as_object(row.get("extra_content")).get("google"))
    return as_text(google.get("thought_signature"))
