"""Reads Responses answers: the output items of a response, its usage, and how it ended.

The read half of `openai_responses`; a stream ends in the same response (`openai_responses_stream`).
Source: https://developers.openai.com/api/reference/resources/responses (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import Said, answer_of, estimated_usage, malformed
from penstock_worker.providers.failures import (
    InvalidAnswer,
    classify_error_body,
    redact,
    shorten,
)
from penstock_worker.providers.protocol import Answer, Call
from penstock_worker.providers.reading import Object, as_count, as_list, as_object, as_text
from penstock_worker.providers.structured import BadSchema, shape_of
from penstock_worker.providers.tool_wire import read_call

#: Why an answer is incomplete. The rest is UNKNOWN.
_INCOMPLETE = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_FINISHED = {"completed": FinishReason.STOP, "": FinishReason.UNKNOWN}
_UNFINISHED = frozenset({"queued", "in_progress"})
#: Codes of failures that lie in the request: trying again cannot help.
_REQUEST_FAULTS = {
    "invalid_prompt": ErrorKind.CONTENT_FILTER,
    "image_content_policy_violation": ErrorKind.CONTENT_FILTER,
    **dict.fromkeys(
        [
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "invalid_image_mode",
            "image_file_too_large",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        ],
        ErrorKind.INVALID_REQUEST,
    ),
}
#: Text between the parts of a summary.
PART_BREAK = "\n\n"


def read_response(call: Call, body: Object, response: httpx.Response) -> Answer:
    """The answer that a response object holds; raises as `OpenAIResponses.parse` does."""
    status = as_text(body.get("status"))
    items = [as_object(item) for item in as_list(body.get("output"))]
    text = answer_text(call, items)
    if body.get("error") or status == "failed" or body.get("type") == "error":
        raise failure_of(call, body, response, text)
    usage = read_usage(body.get("usage"))
    if status == "cancelled":
        raise broken_off(call, "the provider cancelled its answer", usage, text)
    if not isinstance(body.get("output"), list) or status in _UNFINISHED:
        raise malformed(call, response, "it holds no finished answer")
    reason = as_text(as_object(body.get("incomplete_details")).get("reason"))
    finish = (
        _INCOMPLETE.get(reason, FinishReason.UNKNOWN)
        if status == "incomplete"
        else _FINISHED.get(status, FinishReason.UNKNOWN)
    )
    said = Said(
        text=text,
        calls=_calls(call, items),
        usage=usage,
        finish=finish,
        refusal=_refusal(items),
        reasoning=_reasoning(call, items),
    )
    return answer_of(call, said)


def failure_of(call: Call, body: Object, response: httpx.Response, text: str) -> InvalidAnswer:
    """The error that a response or an error event states; `text` is what was said before it."""
    if not as_object(body.get("error")) and not isinstance(body.get("error"), str):
        body = {"error": body if body.get("message") else {"message": "the response failed"}}
    usage = read_usage(body.get("usage"))
    if usage is None:
        usage = estimated_usage(call.job, text) if text else Usage()
    error = as_object(body.get("error"))
    code = as_text(error.get("code"))
    if kind := _REQUEST_FAULTS.get(code):
        message = shorten(redact(as_text(error.get("message")), call.api_key)) or code
        return InvalidAnswer(kind, message, provider=call.provider.name, usage=usage, code=code)
    return classify_error_body(call, body, response, usage)


def broken_off(call: Call, what: str, usage: Usage | None, text: str = "") -> ProviderError:
    """An answer that did not come to its end. It may have been paid."""
    error = (
        ProviderError(ErrorKind.INTERRUPTED, what, provider=call.provider.name)
        if usage is None
        else InvalidAnswer(
            ErrorKind.INTERRUPTED, what, provider=call.provider.name, usage=usage, text=text
        )
    )
    error.possibly_billed = True
    return error


def read_usage(given: object) -> Usage | None:
    """Inclusive usage, or None where the provider gave no figures.

    Cached input is inside the input count and reasoning inside the output count; where the total
    says that reasoning stands beside, the total counts.
    """
    fields = as_object(given)
    total = as_count(fields.get("total_tokens"))
    stated = as_count(fields.get("output_tokens"))
    input_tokens = as_count(fields.get("input_tokens")) or max(total - stated, 0)
    output = max(stated, total - input_tokens)
    if not (input_tokens or output):
        return None
    inputs = as_object(fields.get("input_tokens_details"))
    outputs = as_object(fields.get("output_tokens_details"))
    cached = min(as_count(inputs.get("cached_tokens")), input_tokens)
    written = min(as_count(inputs.get("cache_write_tokens")), input_tokens - cached)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=min(as_count(outputs.get("reasoning_tokens")), output),
    )


def is_aside(call: Call, item: Object) -> bool:
    """Whether a message is the model's remark on its way to an answer that must fit a schema."""
    if item.get("phase") != "commentary":
        return False
    try:
        return shape_of(call.job) is not None
    except BadSchema:
        return False


def answer_text(call: Call, items: Iterable[Object]) -> str:
    """The text of all messages but asides, in order."""
    return "".join(
        as_text(part.get("text"))
        for item in items
        if item.get("type") == "message" and not is_aside(call, item)
        for part in map(as_object, as_list(item.get("content")))
        if part.get("type") in ("output_text", "text")
    )


def _refusal(items: Iterable[Object]) -> str:
    return "".join(
        as_text(part.get("refusal"))
        for item in items
        if item.get("type") == "message"
        for part in map(as_object, as_list(item.get("content")))
        if part.get("type") == "refusal"
    )


def _reasoning(call: Call, items: Iterable[Object]) -> tuple[ReasoningPart, ...]:
    return tuple(
        ReasoningPart(
            provider=call.provider.name,
            text=reasoning_text(item),
            data=as_text(item.get("encrypted_content")) or None,
            id=as_text(item.get("id")) or None,
        )
        for item in items
        if item.get("type") == "reasoning"
    )


def reasoning_text(item: Object) -> str:
    """What a reasoning item shows: its own words where it has them, else their summary."""
    for field in ("content", "summary"):
        parts = [as_text(as_object(part).get("text")) for part in as_list(item.get(field))]
        if any(parts):
            return PART_BREAK.join(part for part in parts if part)
    return ""


def _calls(call: Call, items: Iterable[Object]) -> tuple[ToolCall, ...]:
    """The tool calls; one that directly follows reasoning is marked with it, to go back with it."""
    tools = () if isinstance(call.job, Embed) else call.job.tools
    found: list[ToolCall] = []
    thought = ""
    for item in items:
        kind = item.get("type")
        if kind == "reasoning":
            thought = as_text(item.get("id"))
        elif kind == "message":
            thought = ""
        elif kind == "function_call" and (name := as_text(item.get("name"))):
            made = read_call(
                call_id=item.get("call_id") or item.get("id"),
                name=name,
                arguments=item.get("arguments"),
                tools=tools,
                fallback_id=f"call_{call.request_id[-12:]}_{len(found)}",
            )
            if thought:
                mark = {"signature": thought, "signed_by": call.provider.name}
                made = made.model_copy(update=mark)
            found.append(made)
            thought = ""
    return tuple(found)
