"""OpenAI Chat Completions: the wire of OpenAI and of every provider that copied it.

What differs between them is data: their rows in the catalogue and the two tables here.
Source: https://developers.openai.com/api/reference/resources/chat (2026-11-21)
"""

from __future__ import annotations

from typing import Any

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, TextJob
from penstock_schemas.messages import NamedTool
from penstock_worker.providers.conversation import conversation_of
from penstock_worker.providers.failures import classify_response
from penstock_worker.providers.openai_answers import read_answer
from penstock_worker.providers.openai_embeddings import build_embeddings, read_embeddings
from penstock_worker.providers.openai_messages import chat_messages
from penstock_worker.providers.openai_reasoning import effort_fields
from penstock_worker.providers.openai_stream import ChatDecoder
from penstock_worker.providers.protocol import Answer, Built, Call, StreamDecoder
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import lacks, parameters_of, request_of, unsupported
from penstock_worker.providers.schema_dialects import COMPATIBLE, OPENAI, Dialect
from penstock_worker.providers.stream_events import is_event_stream
from penstock_worker.providers.structured import BadSchema, Shape, not_enforced, shape_of
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, OUTPUT_TOOL_DESCRIPTION, wire_name

_PATH = "/chat/completions"
_MOST_STOPS = 4
_DIALECTS = {"openai": OPENAI, "azure": OPENAI}

#: Providers that refuse a response format beside tools: there the schema is told in words.
#: Source: https://console.groq.com/docs/structured-outputs (2026-11-21)
_NO_FORMAT_BESIDE_TOOLS = frozenset({"groq", "cerebras"})


class OpenAIChat:
    """The adapter of this wire, for text jobs and embeddings. It has no state."""

    def build(self, call: Call) -> Built:
        """The request of a call. Raises ProviderError(UNSUPPORTED), which names the field."""
        if isinstance(call.job, Embed):
            return build_embeddings(call, call.job)
        return _build(call, call.job)

    def parse(self, call: Call, response: httpx.Response) -> Answer:
        """The answer of a 2xx response.

        Raises ProviderError(MALFORMED_ANSWER), and InvalidAnswer for an answer that was paid but
        cannot be used, or for an error that came with a success status.
        """
        if isinstance(call.job, Embed):
            return read_embeddings(call, call.job, response)
        if is_event_stream(response):
            decoder = ChatDecoder(call, call.job)
            decoder.feed(response.content)
            return decoder.finish()
        return read_answer(call, call.job, response)

    def decoder(self, call: Call) -> StreamDecoder:
        """A decoder for the streamed answer to a text job; embeddings are not streamed."""
        if isinstance(call.job, Embed):
            raise unsupported(call, "stream", "embeddings are not streamed")
        return ChatDecoder(call, call.job)

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        return classify_response(call, response)


def _build(call: Call, job: TextJob) -> Built:
    try:
        shape = shape_of(job)
    except BadSchema as error:
        raise unsupported(call, "schema", str(error)) from None
    form, words = _form_of(call, job, shape) if shape else ({}, ())
    conversation = conversation_of(job, words, call.repair)
    held = shape is not None and shape.in_dialect(_dialect(call)) is not None
    warnings = [*conversation.warnings, *not_enforced(call, shape, held=held)]
    body: Object = {
        "model": call.model.wire_id,
        "messages": chat_messages(call, conversation, warnings),
    }
    max_tokens = call.max_tokens or job.max_tokens
    if max_tokens is not None:
        reasons = call.model.reasoning
        body["max_completion_tokens" if reasons else call.provider.max_tokens_field] = max_tokens
    body |= _parameters(call, job, warnings)
    body |= effort_fields(call, job, warnings)
    if job.tools:
        body |= _tools(call, job, warnings)
    for name, value in form.items():
        body[name] = [*body.get("tools", ()), *value] if name == "tools" else value
    if call.stream:
        body["stream"] = True
        if not lacks(call, "stream_options"):
            body["stream_options"] = {"include_usage": True}
    return request_of(call, _PATH, body, warnings=warnings)


def _parameters(call: Call, job: TextJob, warnings: list[str]) -> Object:
    found = parameters_of(call, job, warnings)
    if len(found.get("stop", ())) > _MOST_STOPS:
        raise unsupported(call, "stop", f"at most {_MOST_STOPS} sequences")
    renamed = call.provider.renamed_parameters
    return {renamed.get(name, name): value for name, value in found.items()} if renamed else found


def _form_of(call: Call, job: TextJob, shape: Shape) -> tuple[Object, tuple[str, ...]]:
    """The fields that hold the answer to its shape, and the words that must go with them."""
    means = call.model.structured_output or call.provider.structured_output
    told = (shape.task, shape.asking)
    if job.tools and call.provider.name in _NO_FORMAT_BESIDE_TOOLS:
        means = "prompt"
    if shape.wire_schema is None and means in ("json_schema", "tool"):
        means = "json_object" if means == "json_schema" else "prompt"
    if means == "prompt":
        return {}, told
    if means == "json_object":
        return {"response_format": {"type": "json_object"}}, told
    strict = shape.in_dialect(_dialect(call))
    schema = shape.rooted_schema if strict is None else strict
    if means == "json_schema":
        held = {"name": "answer", "schema": schema, "strict": strict is not None}
        return {"response_format": {"type": "json_schema", "json_schema": held}}, (shape.task,)
    return _forced_tool(job, shape.rooted_schema), (shape.task,)


def _dialect(call: Call) -> Dialect:
    return _DIALECTS.get(call.provider.name, COMPATIBLE)


def _forced_tool(job: TextJob, schema: Object | None) -> Object:
    """The answer as a tool call; beside the caller's tools the model may call those instead."""
    tool = _tool(OUTPUT_TOOL, OUTPUT_TOOL_DESCRIPTION, schema or {"type": "object"})
    if job.tool_choice in ("auto", "required") or (job.tools and job.tool_choice is None):
        return {"tools": [tool], "tool_choice": "required"}
    if isinstance(job.tool_choice, NamedTool):
        return {}
    return {"tools": [tool], "tool_choice": _named(OUTPUT_TOOL)}


def _tools(call: Call, job: TextJob, warnings: list[str]) -> Object:
    if lacks(call, "tools") or "tools" not in call.model.capabilities:
        raise unsupported(call, "tools", "this model calls no tools")
    choice = job.tool_choice
    body: Object = {
        "tools": [_tool(wire_name(t.name), t.description, t.parameters) for t in job.tools]
    }
    if choice == "none" and lacks(call, "tool_choice"):
        return {}
    if job.parallel_tool_calls is not None and choice != "none":
        if not lacks(call, "parallel_tool_calls"):
            body["parallel_tool_calls"] = job.parallel_tool_calls
        elif not job.parallel_tool_calls:
            warnings.append(f"parallel_tool_calls: not sent, {call.model.ref} does not take it")
    if choice is None or choice == "auto":
        return body
    if lacks(call, "tool_choice") or (choice != "none" and lacks(call, "forced_tool_choice")):
        raise unsupported(call, "tool_choice", "this provider takes none but auto")
    body["tool_choice"] = (
        _named(wire_name(choice.name)) if isinstance(choice, NamedTool) else choice
    )
    return body


def _tool(name: str, description: str, parameters: dict[str, Any]) -> Object:
    function: Object = {"name": name, "parameters": parameters}
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def _named(name: str) -> Object:
    return {"type": "function", "function": {"name": name}}
