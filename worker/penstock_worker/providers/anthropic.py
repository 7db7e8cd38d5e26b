"""Anthropic Messages: how a job is written on this wire, and read back.

Source: https://platform.claude.com/docs/en/api/messages (2026-11-21)
"""

from __future__ import annotations

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, TextJob
from penstock_schemas.messages import NamedTool
from penstock_worker.providers.anthropic_answers import read_answer
from penstock_worker.providers.anthropic_messages import anthropic_messages
from penstock_worker.providers.anthropic_stream import MessagesDecoder
from penstock_worker.providers.anthropic_thinking import Thinking, thinking_of
from penstock_worker.providers.conversation import conversation_of, has_images
from penstock_worker.providers.failures import classify_response
from penstock_worker.providers.protocol import Answer, Built, Call, StreamDecoder
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import lacks, parameters_of, request_of, unsupported
from penstock_worker.providers.schema_dialects import ANTHROPIC
from penstock_worker.providers.stream_events import is_event_stream
from penstock_worker.providers.structured import BadSchema, Shape, not_enforced, shape_of
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, OUTPUT_TOOL_DESCRIPTION, wire_name

_PATH = "/v1/messages"
_HEADERS = (("anthropic-version", "2023-06-01"),)
#: `max_tokens` is required here: what a call gets that names none, for a model of unknown size.
_DEFAULT_MAX_TOKENS = 4096
#: Above this an answer that is not streamed may outlast the connection.
_MOST_UNASKED_TOKENS = 16_384
_HOTTEST = 1.0


class AnthropicMessages:
    """The adapter of this wire. It has no state."""

    def build(self, call: Call) -> Built:
        """The request of a call. Raises ProviderError(UNSUPPORTED), which names the field."""
        return _build(call, _text_job(call))

    def parse(self, call: Call, response: httpx.Response) -> Answer:
        """The answer of a 2xx response.

        Raises ProviderError(MALFORMED_ANSWER), and InvalidAnswer for an answer that was paid but
        cannot be used, or for an error that came with a success status.
        """
        job = _text_job(call)
        if is_event_stream(response):
            decoder = MessagesDecoder(call, job)
            decoder.feed(response.content)
            return decoder.finish()
        return read_answer(call, job, response)

    def decoder(self, call: Call) -> StreamDecoder:
        """A decoder for the streamed answer to a call that was built with `stream`."""
        return MessagesDecoder(call, _text_job(call))

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        return classify_response(call, response)


def _text_job(call: Call) -> TextJob:
    if isinstance(call.job, Embed):
        raise unsupported(call, "type", "this wire has no embeddings")
    return call.job


def _build(call: Call, job: TextJob) -> Built:
    try:
        shape = shape_of(job)
    except BadSchema as error:
        raise unsupported(call, "schema", str(error)) from None
    form, words = _form_of(call, job, shape) if shape else ({}, ())
    conversation = conversation_of(job, words, call.repair)
    held = shape is not None and shape.in_dialect(ANTHROPIC) is not None
    warnings = [*conversation.warnings, *not_enforced(call, shape, held=held)]
    if "vision" not in call.model.capabilities and has_images(conversation.messages):
        raise unsupported(call, "messages", "this model takes no images")
    thinking = thinking_of(call, job, conversation.messages, warnings)
    body: Object = {
        "model": call.model.wire_id,
        "max_tokens": _max_tokens(call, job, thinking),
        "messages": anthropic_messages(call, conversation.messages, warnings),
    }
    if conversation.system:
        body["system"] = _system(conversation.system, cached=job.cache_system)
    body |= _parameters(call, job, thinking, warnings)
    body |= _tools(call, job, form, thinking, warnings)
    body |= thinking.fields
    effort = {"effort": thinking.effort} if thinking.effort else {}
    if output_config := {**effort, **form.get("output_config", {})}:
        body["output_config"] = output_config
    if call.stream:
        body["stream"] = True
    return request_of(call, _PATH, body, headers=_HEADERS, warnings=warnings)


def _max_tokens(call: Call, job: TextJob, thinking: Thinking) -> int:
    largest = call.model.max_output_tokens
    asked = call.max_tokens or job.max_tokens
    if asked:
        return asked
    if largest is None:
        return _DEFAULT_MAX_TOKENS + thinking.budget_tokens
    return min(largest, _MOST_UNASKED_TOKENS + thinking.budget_tokens)


def _system(text: str, *, cached: bool) -> str | list[Object]:
    if not cached:
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _parameters(call: Call, job: TextJob, thinking: Thinking, warnings: list[str]) -> Object:
    found = parameters_of(call, job, warnings)
    if thinking.is_on:
        refused = [name for name in ("temperature", "top_p") if found.pop(name, None) is not None]
        warnings += [f"{name}: not sent, this wire takes none with thinking" for name in refused]
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


def _tools(
    call: Call, job: TextJob, form: Object, thinking: Thinking, warnings: list[str]
) -> Object:
    output_tool = form.get("tool")
    if not job.tools and output_tool is None:
        return {}
    if job.tools and "tools" not in call.model.capabilities:
        raise unsupported(call, "tools", "this model calls no tools")
    choice = _choice(job, forces_output=output_tool is not None)
    offered = list(job.tools)
    free = thinking.is_on or lacks(call, "forced_tool_choice")
    if free and choice and choice["type"] in ("any", "tool"):
        if isinstance(job.tool_choice, NamedTool):
            offered = [tool for tool in offered if tool.name == job.tool_choice.name]
        if job.tool_choice not in (None, "auto", "none"):
            why = "while it thinks" if thinking.is_on else "at all"
            told = f"this model cannot be forced to call a tool {why}"
            warnings.append(f"tool_choice: sent as auto, {told}")
        choice = {"type": "auto"}
    if job.parallel_tool_calls is False and (choice or {}).get("type") != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
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
