"""Anthropic Messages: how a job is written on this wire, and read back.

Source: https://platform.claude.com/docs/en/api/messages (2026-11-21)
"""

from __future__ import annotations

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, TextJob
from penstock_schemas.messages import NamedTool, ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import Said, answer_of, decoded, estimated_usage, malformed
from penstock_worker.providers.anthropic_messages import anthropic_messages
from penstock_worker.providers.conversation import conversation_of, has_images
from penstock_worker.providers.failures import (
    InvalidAnswer,
    classify_error_body,
    classify_response,
)
from penstock_worker.providers.protocol import Answer, Built, Call
from penstock_worker.providers.reading import Object, as_count, as_list, as_object, as_text
from penstock_worker.providers.requests import lacks, parameters_of, request_of, unsupported
from penstock_worker.providers.schema_dialects import ANTHROPIC
from penstock_worker.providers.structured import BadSchema, Shape, shape_of
from penstock_worker.providers.tool_wire import (
    OUTPUT_TOOL,
    OUTPUT_TOOL_DESCRIPTION,
    read_call,
    wire_name,
)

_PATH = "/v1/messages"
_HEADERS = (("anthropic-version", "2023-06-01"),)
#: `max_tokens` is required here: what a call gets that names none, for a model of unknown size.
_DEFAULT_MAX_TOKENS = 4096
#: Above this an answer that is not streamed may outlast the connection.
_MOST_UNASKED_TOKENS = 16_384
_HOTTEST = 1.0

_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSE,
}


class AnthropicMessages:
    """The adapter of this wire. It has no state."""

    def build(self, call: Call) -> Built:
        """The request of a call. Raises ProviderError(UNSUPPORTED), which names the field."""
        if isinstance(call.job, Embed):
            raise unsupported(call, "type", "this wire has no embeddings")
        return _build(call, call.job)

    def parse(self, call: Call, response: httpx.Response) -> Answer:
        """The answer of a 2xx response.

        Raises ProviderError(MALFORMED_ANSWER), and InvalidAnswer for an answer that was paid but
        cannot be used, or for an error that came with a success status.
        """
        return _read(call, response)

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        return classify_response(call, response)


def _build(call: Call, job: TextJob) -> Built:
    try:
        shape = shape_of(job)
    except BadSchema as error:
        raise unsupported(call, "schema", str(error)) from None
    form, words = _form_of(call, job, shape) if shape else ({}, ())
    conversation = conversation_of(job, words)
    warnings = list(conversation.warnings)
    if "vision" not in call.model.capabilities and has_images(conversation.messages):
        raise unsupported(call, "messages", "this model takes no images")
    body: Object = {
        "model": call.model.wire_id,
        "max_tokens": _max_tokens(call, job),
        "messages": anthropic_messages(call, conversation.messages, warnings),
    }
    if conversation.system:
        body["system"] = _system(conversation.system, cached=job.cache_system)
    body |= _parameters(call, job, warnings)
    body |= _tools(call, job, form, warnings)
    if "output_config" in form:
        body["output_config"] = form["output_config"]
    return request_of(call, _PATH, body, headers=_HEADERS, warnings=warnings)


def _max_tokens(call: Call, job: TextJob) -> int:
    largest = call.model.max_output_tokens
    asked = call.max_tokens or job.max_tokens
    return asked or min(largest or _DEFAULT_MAX_TOKENS, _MOST_UNASKED_TOKENS)


def _system(text: str, *, cached: bool) -> str | list[Object]:
    if not cached:
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _parameters(call: Call, job: TextJob, warnings: list[str]) -> Object:
    found = parameters_of(call, job, warnings)
    if (heat := found.get("temperature")) is not None and heat > _HOTTEST:
        found["temperature"] = _HOTTEST
        warnings.append(f"temperature: sent as {_HOTTEST:g} instead of {heat:g}, the most it takes")
    if "temperature" in found and "top_p" in found:
        del found["top_p"]
        warnings.append("top_p: not sent, this wire takes either temperature or top_p")
    if stops := found.pop("stop", None):
        if not all(stop.strip() for stop in stops):
            raise unsupported(call, "stop", "a sequence of white space only")
        found["stop_sequences"] = stops
    return found


def _form_of(call: Call, job: TextJob, shape: Shape) -> tuple[Object, tuple[str, ...]]:
    """The fields that hold the answer to its shape, and the words that must go with them."""
    means = call.model.structured_output or call.provider.structured_output
    if shape.wire_schema is None or means in ("prompt", "json_object"):
        return {}, (shape.task, shape.asking)
    if means == "json_schema" and (schema := shape.in_dialect(ANTHROPIC)) is not None:
        held = {"format": {"type": "json_schema", "schema": schema}}
        return {"output_config": held}, (shape.task,)
    if isinstance(job.tool_choice, NamedTool):
        return {}, (shape.task, shape.asking)
    words = (shape.task, f"Give your answer by calling the tool {OUTPUT_TOOL}.")
    tool: Object = {
        "name": OUTPUT_TOOL,
        "description": OUTPUT_TOOL_DESCRIPTION,
        "input_schema": shape.rooted_schema,
    }
    return {"tool": tool}, words


def _tools(call: Call, job: TextJob, form: Object, warnings: list[str]) -> Object:
    output_tool = form.get("tool")
    if not job.tools and output_tool is None:
        return {}
    if job.tools and "tools" not in call.model.capabilities:
        raise unsupported(call, "tools", "this model calls no tools")
    choice = _choice(job, forces_output=output_tool is not None)
    offered = list(job.tools)
    if choice and choice["type"] in ("any", "tool") and lacks(call, "forced_tool_choice"):
        if choice["type"] == "tool" and isinstance(job.tool_choice, NamedTool):
            offered = [tool for tool in offered if tool.name == job.tool_choice.name]
        if job.tool_choice not in (None, "auto", "none"):
            warnings.append("tool_choice: sent as auto, this model cannot be forced to call a tool")
        choice = {"type": "auto"}
    tools: list[Object] = [
        {
            "name": wire_name(tool.name),
            "input_schema": {"type": "object", **tool.parameters},
            **({"description": tool.description} if tool.description else {}),
        }
        for tool in offered
    ]
    if output_tool is not None:
        tools.append(output_tool)
    return {"tools": tools, "tool_choice": choice} if choice else {"tools": tools}


def _choice(job: TextJob, *, forces_output: bool) -> Object | None:
    if isinstance(job.tool_choice, NamedTool):
        return {"type": "tool", "name": wire_name(job.tool_choice.name)}
    if forces_output:
        free = bool(job.tools) and job.tool_choice != "none"
        return {"type": "any"} if free else {"type": "tool", "name": OUTPUT_TOOL}
    return {"required": {"type": "any"}, "none": {"type": "none"}}.get(job.tool_choice or "auto")


def _read(call: Call, response: httpx.Response) -> Answer:
    body = decoded(call, response)
    usage = _usage(body.get("usage"))
    if body.get("type") == "error" or body.get("error"):
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
            usage=usage or estimated_usage(call.job, text),
            text=text,
            code=reason,
        )
    said = Said(
        text=text,
        calls=_calls(call, blocks),
        usage=usage,
        finish=_FINISH_REASONS.get(reason, FinishReason.UNKNOWN),
    )
    return answer_of(call, said)


def _calls(call: Call, blocks: list[Object]) -> tuple[ToolCall, ...]:
    tools = () if isinstance(call.job, Embed) else call.job.tools
    return tuple(
        read_call(
            call_id=block.get("id"),
            name=as_text(block.get("name")),
            arguments=block.get("input"),
            tools=tools,
            fallback_id=f"call_{call.request_id[-12:]}_{index}",
        )
        for index, block in enumerate(blocks)
        if block.get("type") == "tool_use"
    )


def _usage(given: object) -> Usage | None:
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
