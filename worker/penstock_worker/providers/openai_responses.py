"""OpenAI Responses: the wire of models that reason and call tools in one turn.

Some models speak only this one; the catalogue says which (`Model.wire`). Calls are stateless:
nothing is stored at the provider, and reasoning travels as its encrypted content.
Source: https://developers.openai.com/api/reference/resources/responses (2026-11-21)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, TextJob
from penstock_schemas.messages import NamedTool, Tool
from penstock_worker.providers.answers import decoded
from penstock_worker.providers.conversation import conversation_of
from penstock_worker.providers.failures import classify_response
from penstock_worker.providers.openai_responses_answers import read_response
from penstock_worker.providers.openai_responses_effort import nearest_effort
from penstock_worker.providers.openai_responses_items import input_items
from penstock_worker.providers.openai_responses_stream import ResponsesDecoder
from penstock_worker.providers.protocol import Answer, Built, Call, StreamDecoder
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import (
    PARAMETERS,
    lacks,
    parameters_of,
    request_of,
    unsupported,
)
from penstock_worker.providers.schema_dialects import OPENAI, Inexpressible, to_dialect
from penstock_worker.providers.structured import BadSchema, Shape, not_enforced, shape_of
from penstock_worker.providers.tool_wire import wire_name

_PATH = "/responses"
#: The wire refuses a smaller limit.
_FEWEST_TOKENS = 16
#: The sampling parameters that this wire has at all, by their names in jobs and on the wire.
_TAKEN = frozenset({"temperature", "top_p"})


class OpenAIResponses:
    """The adapter of this wire, for text jobs. It has no state."""

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
        return read_response(call, decoded(call, response), response)

    def decoder(self, call: Call) -> StreamDecoder:
        """A decoder for the streamed answer to a call that was built with `stream`."""
        return ResponsesDecoder(call)

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        return classify_response(call, response)


def _build(call: Call, job: TextJob) -> Built:
    try:
        shape = shape_of(job)
    except BadSchema as error:
        raise unsupported(call, "schema", str(error)) from None
    form, words, asking = _form_of(call, shape) if shape else ({}, (), "")
    conversation = conversation_of(job, words, call.repair)
    held = shape is not None and shape.in_dialect(OPENAI) is not None
    warnings = [*conversation.warnings, *not_enforced(call, shape, held=held)]
    items = input_items(call, conversation.messages, warnings)
    if not items and not conversation.system:
        raise unsupported(call, "messages", "there is nothing to say")
    if asking:
        items.insert(0, {"role": "developer", "content": asking})
    body: Object = {"model": call.model.wire_id, "store": False, "input": items}
    if conversation.system:
        body["instructions"] = conversation.system
    if not items:
        body["input"] = [{"role": "developer", "content": body.pop("instructions")}]
    body |= _limit(call, job, warnings)
    body |= _parameters(call, job, warnings)
    body |= _reasoning(call, job, warnings)
    body |= form
    if job.tools:
        body |= _tools(call, job, warnings)
    if call.stream:
        body["stream"] = True
        if call.provider.name == "openai":
            # Every delta would otherwise carry padding of up to its own length.
            body["stream_options"] = {"include_obfuscation": False}
    return request_of(call, _PATH, body, warnings=warnings)


def _limit(call: Call, job: TextJob, warnings: list[str]) -> Object:
    asked = call.max_tokens or job.max_tokens
    if asked is None:
        return {}
    if asked < _FEWEST_TOKENS:
        warnings.append(f"max_tokens: sent as {_FEWEST_TOKENS}, the least that this wire takes")
    return {"max_output_tokens": max(asked, _FEWEST_TOKENS)}


def _parameters(call: Call, job: TextJob, warnings: list[str]) -> Object:
    found = parameters_of(call, job, warnings)
    for name in [name for name in found if name not in _TAKEN]:
        if PARAMETERS[name] == "refuse":
            raise unsupported(call, name, "the Responses wire has no place for it")
        del found[name]
        warnings.append(f"{name}: not sent, the Responses wire has no place for it")
    return found


def _reasoning(call: Call, job: TextJob, warnings: list[str]) -> Object:
    """How hard to think, and the wish to get the thoughts in a form that can be sent back."""
    body: Object = {"include": ["reasoning.encrypted_content"]} if call.model.reasoning else {}
    if job.effort is None:
        return body
    if not call.model.reasoning and "reasoning" not in call.model.capabilities:
        warnings.append(f"effort: not sent, {call.model.ref} does not reason")
        return body
    effort = nearest_effort(call.model.wire_id, job.effort)
    if effort != job.effort:
        warnings.append(f"effort: sent as {effort}, {call.model.ref} does not take {job.effort}")
    return body | {"reasoning": {"effort": effort}}


def _form_of(call: Call, shape: Shape) -> tuple[Object, tuple[str, ...], str]:
    """The field that holds the answer to its shape, the words to go with it, and the message.

    The message is for JSON without a schema: this wire wants the word in its input, and does not
    look for it in the instructions.
    """
    means = call.model.structured_output or call.provider.structured_output
    if means == "prompt":
        return {}, (shape.task, shape.asking), ""
    if shape.wire_schema is None or means == "json_object":
        return {"text": {"format": {"type": "json_object"}}}, (shape.task,), shape.asking
    strict = shape.in_dialect(OPENAI)
    held: Object = {
        "type": "json_schema",
        "name": "answer",
        "schema": shape.rooted_schema if strict is None else strict,
        "strict": strict is not None,
    }
    return {"text": {"format": held}}, (shape.task,), ""


def _tools(call: Call, job: TextJob, warnings: list[str]) -> Object:
    if lacks(call, "tools") or "tools" not in call.model.capabilities:
        raise unsupported(call, "tools", "this model calls no tools")
    choice = job.tool_choice
    body: Object = {"tools": [_tool(tool) for tool in job.tools]}
    if job.parallel_tool_calls is not None:
        if lacks(call, "parallel_tool_calls"):
            warnings.append(f"parallel_tool_calls: not sent, {call.model.ref} does not take it")
        else:
            body["parallel_tool_calls"] = job.parallel_tool_calls
    if choice is None or choice == "auto":
        return body
    if choice == "none" and lacks(call, "tool_choice"):
        return {}
    if lacks(call, "tool_choice") or (choice != "none" and lacks(call, "forced_tool_choice")):
        raise unsupported(call, "tool_choice", "this model takes none but auto")
    if isinstance(choice, NamedTool):
        body["tool_choice"] = {"type": "function", "name": wire_name(choice.name)}
    else:
        body["tool_choice"] = choice
    return body


def _tool(tool: Tool) -> Object:
    parameters: dict[str, Any] = tool.parameters
    if parameters.get("type") == "object" and "properties" not in parameters:
        parameters = {**parameters, "properties": {}}
    made: Object = {
        "type": "function",
        "name": wire_name(tool.name),
        "parameters": parameters,
        # Left out, it would mean true here, and optional arguments would be refused.
        "strict": _is_strict(orjson.dumps(parameters)),
    }
    return made | {"description": tool.description} if tool.description else made


@lru_cache(maxsize=512)
def _is_strict(schema: bytes) -> bool:
    """Whether a schema can be enforced as it is, with no change to what the caller meant."""
    given = orjson.loads(schema)
    try:
        return given.get("type") == "object" and to_dialect(given, OPENAI) == given
    except Inexpressible:
        return False
