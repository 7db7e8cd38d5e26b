"""Gemini's generateContent: how a job is written on this wire, and read back.

Its messages are the matter of `gemini_conversation`, its answers that of `gemini_answers`; what
differs between models stands in `gemini_models`.
Source: https://ai.google.dev/api/generate-content (2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, Reason, TextJob
from penstock_schemas.messages import NamedTool, Tool
from penstock_worker.providers.conversation import conversation_of, has_images
from penstock_worker.providers.gemini_answers import GeminiDecoder, read_answer
from penstock_worker.providers.gemini_conversation import gemini_contents
from penstock_worker.providers.gemini_embeddings import build_embeddings, read_embeddings
from penstock_worker.providers.gemini_errors import classify_gemini
from penstock_worker.providers.gemini_models import Profile, profile_of
from penstock_worker.providers.gemini_names import gemini_name
from penstock_worker.providers.gemini_schema import json_schema, older_schema
from penstock_worker.providers.protocol import Answer, Built, Call, StreamDecoder
from penstock_worker.providers.reading import Object, as_object
from penstock_worker.providers.requests import parameters_of, request_of, unsupported
from penstock_worker.providers.schema_dialects import GEMINI, Inexpressible
from penstock_worker.providers.structured import BadSchema, Shape, not_enforced, shape_of
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, OUTPUT_TOOL_DESCRIPTION

_MOST_STOPS = 5
_LARGEST_SEED = 2**31 - 1
_RENAMED = {
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
#: Penalties go from -2 up to, but not including, 2.
_LARGEST_PENALTY = 1.99
_PENALTIES = ("presence_penalty", "frequency_penalty")
_SCHEMA_FIELDS = frozenset(["responseJsonSchema", "responseSchema"])


class GeminiContent:
    """The adapter of this wire, for text jobs and embeddings. It has no state."""

    def build(self, call: Call) -> Built:
        """The request of a call. Raises ProviderError(UNSUPPORTED), which names the field."""
        if isinstance(call.job, Embed):
            return build_embeddings(call, call.job, _path(call))
        return _build(call, call.job)

    def parse(self, call: Call, response: httpx.Response) -> Answer:
        """The answer of a 2xx response.

        Raises ProviderError(MALFORMED_ANSWER), and InvalidAnswer for an answer that was paid but
        cannot be used, or for an error that came with a success status.
        """
        if isinstance(call.job, Embed):
            return read_embeddings(call, call.job, response)
        return read_answer(call, response)

    def decoder(self, call: Call) -> StreamDecoder:
        """A decoder for the streamed answer to a call that was built with `stream`."""
        return GeminiDecoder(call)

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        return classify_gemini(call, response)


def _build(call: Call, job: TextJob) -> Built:
    try:
        shape = shape_of(job)
    except BadSchema as error:
        raise unsupported(call, "schema", str(error)) from None
    profile = profile_of(call.model.wire_id)
    form, words = _form_of(call, job, profile, shape) if shape else ({}, ())
    output_tool = form.pop("tool", None)
    conversation = conversation_of(job, words, call.repair)
    held = output_tool is not None or bool(form.keys() & _SCHEMA_FIELDS)
    warnings = [*conversation.warnings, *not_enforced(call, shape, held=held)]
    if "vision" not in call.model.capabilities and has_images(conversation.messages):
        raise unsupported(call, "messages", "this model takes no images")
    body: Object = {"contents": gemini_contents(call, conversation.messages, warnings)}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": conversation.system}]}
    body |= _tools(call, job, profile, output_tool, warnings)
    if config := _parameters(call, job, profile, warnings) | form:
        body["generationConfig"] = config
    if not call.stream:
        return request_of(call, f"{_path(call)}:generateContent", body, warnings=warnings)
    streamed = replace(call, base_url=_with_events(call.base_url))
    return request_of(streamed, f"{_path(call)}:streamGenerateContent", body, warnings=warnings)


def _path(call: Call) -> str:
    name = call.model.wire_id
    return f"/{name}" if "/" in name else f"/models/{name}"


@lru_cache(maxsize=64)
def _with_events(base_url: str) -> str:
    """The address at which a stream comes as events and not as one long array."""
    return str(httpx.URL(base_url).copy_merge_params({"alt": "sse"}))


def _parameters(call: Call, job: TextJob, profile: Profile, warnings: list[str]) -> Object:
    found = parameters_of(call, job, warnings)
    if len(found.get("stop", ())) > _MOST_STOPS:
        raise unsupported(call, "stop", f"at most {_MOST_STOPS} sequences")
    if abs(found.get("seed", 0)) > _LARGEST_SEED:
        del found["seed"]
        warnings.append("seed: not sent, this wire takes 32 bits")
    for name in _PENALTIES:
        if not profile.penalties and found.pop(name, None):
            warnings.append(f"{name}: not sent, {call.model.ref} does not take it")
        elif found.get(name, 0) > _LARGEST_PENALTY:
            found[name] = _LARGEST_PENALTY
            warnings.append(f"{name}: sent as {_LARGEST_PENALTY}, the most it takes")
    config: Object = {_RENAMED[name]: value for name, value in found.items()}
    if (max_tokens := call.max_tokens or job.max_tokens) is not None:
        config["maxOutputTokens"] = max_tokens
    if thinking := _thinking(call, job, profile, warnings):
        config["thinkingConfig"] = thinking
    return config


def _thinking(call: Call, job: TextJob, profile: Profile, warnings: list[str]) -> Object:
    """How hard to think, and whether to show it: thoughts are asked for where thinking was."""
    if profile.thinks_by is None:
        if job.effort not in (None, "none"):
            warnings.append(f"effort: not sent, {call.model.ref} does not think")
        return {}
    shown = job.effort not in (None, "none") or (job.effort is None and isinstance(job, Reason))
    thinking: Object = {"includeThoughts": True} if shown else {}
    if job.effort is None:
        return thinking
    value = profile.efforts.get(job.effort)
    if value is None:
        value = profile.least
        warnings.append(f"effort: sent as {value}, the least of {call.model.ref}")
    field = "thinkingBudget" if profile.thinks_by == "budget" else "thinkingLevel"
    return thinking | {field: value}


def _form_of(
    call: Call, job: TextJob, profile: Profile, shape: Shape
) -> tuple[Object, tuple[str, ...]]:
    """The fields that hold the answer to its shape, and the words that must go with them.

    Models before 3 refuse a response format beside functions: there the answer is one more call.
    """
    means = call.model.structured_output or call.provider.structured_output
    told = (shape.task, shape.asking)
    if means == "prompt":
        return {}, told
    if job.tools and not profile.schema_beside_tools:
        if shape.wire_schema is None or isinstance(job.tool_choice, NamedTool):
            return {}, told
        words = (shape.task, f"Give your answer by calling the tool {OUTPUT_TOOL}.")
        tool = Tool(
            name=OUTPUT_TOOL,
            description=OUTPUT_TOOL_DESCRIPTION,
            parameters=shape.rooted_schema or {},
        )
        return {"tool": tool}, words
    form: Object = {"responseMimeType": "application/json"}
    held = _held(profile, shape) if means == "json_schema" else None
    return (form, told) if held is None else (form | held, (shape.task,))


def _held(profile: Profile, shape: Shape) -> Object | None:
    """The schema in the model's own form; None where it cannot be said in it."""
    schema = shape.in_dialect(GEMINI)
    if schema is None:
        return None
    if profile.json_schema:
        return {"responseJsonSchema": json_schema(schema)}
    try:
        return {"responseSchema": older_schema(schema)}
    except Inexpressible:
        return None


def _tools(
    call: Call, job: TextJob, profile: Profile, output_tool: Tool | None, warnings: list[str]
) -> Object:
    if not job.tools and output_tool is None:
        return {}
    if job.tools and "tools" not in call.model.capabilities:
        raise unsupported(call, "tools", "this model calls no tools")
    if job.parallel_tool_calls is False:
        warnings.append("parallel_tool_calls: not sent, this wire cannot forbid them")
    declared = [_declared(call, tool, profile, gemini_name(tool.name)) for tool in job.tools]
    if output_tool is not None:
        declared.append(_declared(call, output_tool, profile, OUTPUT_TOOL))
    body: Object = {"tools": [{"functionDeclarations": declared}]}
    if choice := _choice(job, forces_output=output_tool is not None):
        body["toolConfig"] = {"functionCallingConfig": choice}
    return body


def _declared(call: Call, tool: Tool, profile: Profile, name: str) -> Object:
    declared: Object = {"name": name, "description": tool.description}
    if profile.json_schema:
        return declared | {"parametersJsonSchema": {"type": "object", **tool.parameters}}
    if not as_object(tool.parameters.get("properties")):
        return declared
    try:
        return declared | {"parameters": older_schema(as_object(tool.parameters))}
    except Inexpressible as error:
        raise unsupported(call, "tools", f"the parameters of {tool.name}: {error}") from None


def _choice(job: TextJob, *, forces_output: bool) -> Object | None:
    if isinstance(job.tool_choice, NamedTool):
        named = [gemini_name(job.tool_choice.name)]
        return {"mode": "ANY", "allowedFunctionNames": named}
    if forces_output:
        only = job.tool_choice == "none"
        return {"mode": "ANY"} | ({"allowedFunctionNames": [OUTPUT_TOOL]} if only else {})
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    return {"mode": modes[job.tool_choice]} if job.tool_choice else None
