"""OpenAI's Responses wire: requests of input items, read strictly as the real one reads them.

Stateless: nothing is stored, so earlier responses and items without their content are not found.
Source: https://developers.openai.com/api/reference/resources/responses, 2026-11.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from penstock_worker.simulator.request import JsonObject, SimTool, invalid, is_object, part_of

from .openai import OPENAI, authorise, input_usage, limit_charge
from .openai_answers import render_error, render_models
from .responses_answers import CANNED, ResponsesRequest, render_response, stream_response
from .responses_input import read_input
from .strictness import check_strict
from .wire import Operation, Wire, WireCall, check_range, last_subject, model_of, positive

_PARAMETERS = frozenset(
    [
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
_MOVED = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_EFFORTS = frozenset(["none", "minimal", "low", "medium", "high", "xhigh"])
_SEALED = "reasoning.encrypted_content"
_REASONING = re.compile(r"^(?:o\d|gpt-[5-9](?!.*chat)|codex)")
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_FEWEST_TOKENS = 16
_PATHS = frozenset({"/v1/responses", "/responses"})


def speaks(path: str) -> bool:
    """Whether a path below a provider's prefix belongs to this wire."""
    return path in _PATHS


def route(method: str, path: str) -> Operation | None:
    """What a method and path ask for, None for an unknown address."""
    return "chat" if method == "POST" and path in _PATHS else None


def parse_chat(call: WireCall) -> ResponsesRequest:
    """The request in the simulator's words; 400 for what the provider would refuse."""
    body = call.body
    _check_names(body)
    model = model_of(body)
    thinks = _check_model(body, model)
    read = read_input(body, stored=body.get("store") is not False)
    schema, json_mode = _format(body)
    if json_mode and schema is None and "json" not in " ".join(read.parts).lower():
        raise invalid(
            "Response input messages must contain the word 'json' in some form to use"
            " 'text.format' of type 'json_object'.",
            param="input",
        )
    tools = _tools(body)
    forced, must_call = _tool_choice(body, tools)
    instructions = str(body.get("instructions") or "")
    parts = [orjson.dumps(body["tools"]).decode()] if tools else []
    parts += [orjson.dumps(schema).decode()] if schema is not None else []
    parts += [instructions, *read.parts] if instructions else read.parts
    return ResponsesRequest(
        model=model,
        prompt="\n".join(parts),
        user_text=last_subject(read.user_texts),
        system="\n".join([part for part in (instructions, *read.system) if part]),
        tools=() if body.get("tool_choice") == "none" else tools,
        forced_tool=forced,
        must_call=must_call,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_mode=json_mode,
        tool_results=tuple(read.results),
        max_tokens=_limit(body),
        stream=bool(body.get("stream")),
        thinks=thinks and part_of(body, "reasoning").get("effort") != "none",
        sealed=_SEALED in (body.get("include") or ()),
        summarised=bool(part_of(body, "reasoning").get("summary")),
        asked=body,
    )


def _check_names(body: JsonObject) -> None:
    for name in body:
        if moved := _MOVED.get(name):
            raise invalid(
                f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved"
                f" to '{moved}'.",
                param=name,
                code="unsupported_parameter",
            )
        if name not in _PARAMETERS:
            raise invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if identity := body.get("previous_response_id"):
        raise invalid(
            f"Previous response with id '{identity}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )


def _check_model(body: JsonObject, model: str) -> bool:
    """Whether the model reasons; 400 for parameters that its kind does not take."""
    check_range(body, "temperature", 0, 2)
    check_range(body, "top_p", 0, 1)
    effort = part_of(body, "reasoning").get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise invalid(
            f"Invalid value: '{effort}'. Supported values are: {', '.join(sorted(_EFFORTS))}.",
            param="reasoning.effort",
            code="invalid_value",
        )
    if _REASONING.match(model.rpartition("/")[2]):
        for name in ("temperature", "top_p"):
            if body.get(name) not in (None, 1) and effort != "none":
                raise _not_with_this_model(name)
        return True
    if effort is not None:
        raise _not_with_this_model("reasoning.effort")
    if _SEALED in (body.get("include") or ()):
        raise invalid("Encrypted content is not supported with this model.", param="include")
    return False


def _not_with_this_model(name: str) -> Exception:
    return invalid(
        f"Unsupported parameter: '{name}' is not supported with this model.",
        param=name,
        code="unsupported_parameter",
    )


def _limit(body: JsonObject) -> int | None:
    most = positive(body, "max_output_tokens")
    if most is not None and most < _FEWEST_TOKENS:
        raise invalid(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >="
            f" {_FEWEST_TOKENS}, but got {most} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    return most


def _format(body: JsonObject) -> tuple[JsonObject | None, bool]:
    wanted = part_of(part_of(body, "text"), "format")
    kind = wanted.get("type", "text")
    if kind == "text":
        return None, False
    if kind == "json_object":
        return None, True
    if kind != "json_schema":
        raise invalid(f"Invalid value: '{kind}'.", param="text.format.type", code="invalid_value")
    name = str(wanted.get("name") or "")
    if not _NAME.match(name) or not is_object(wanted.get("schema")):
        missing = "schema" if _NAME.match(name) else "name"
        raise invalid(
            f"Missing required parameter: 'text.format.{missing}'.",
            param=f"text.format.{missing}",
            code="missing_required_parameter",
        )
    if wanted.get("strict"):
        check_strict(wanted["schema"], f"response_format '{name}'")
    return wanted["schema"], True


def _tools(body: JsonObject) -> tuple[SimTool, ...]:
    tools: list[SimTool] = []
    for index, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") != "function":
            raise invalid(
                f"Invalid value: '{tool.get('type')}'. The simulator has function tools only.",
                param=f"tools[{index}].type",
                code="invalid_value",
            )
        name = str(tool.get("name") or "")
        if not _NAME.match(name):
            raise invalid(
                f"Missing required parameter: 'tools[{index}].name'.",
                param=f"tools[{index}].name",
                code="missing_required_parameter",
            )
        schema = part_of(tool, "parameters") or {"type": "object", "properties": {}}
        if schema.get("type") == "object" and "properties" not in schema:
            raise invalid(
                f"Invalid schema for function '{name}': In context=(), object schema missing"
                " properties.",
                param=f"tools[{index}].parameters",
                code="invalid_function_parameters",
            )
        if tool.get("strict"):
            check_strict(schema, f"function '{name}'")
        tools.append(SimTool(name, str(tool.get("description") or ""), schema))
    return tuple(tools)


def _tool_choice(body: JsonObject, tools: tuple[SimTool, ...]) -> tuple[str | None, bool]:
    choice: Any = body.get("tool_choice")
    if not tools and choice not in (None, "none", "auto"):
        raise invalid("Tool choices other than 'auto' need 'tools'.", param="tool_choice")
    if not is_object(choice):
        return None, choice == "required"
    name = choice.get("name")
    if choice.get("type") != "function" or all(tool.name != name for tool in tools):
        raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return str(name), True


RESPONSES = Wire(
    name="openai_responses",
    route=route,
    authorise=authorise,
    parse_chat=parse_chat,
    input_usage=input_usage,
    limit_charge=limit_charge,
    render_chat=render_response,
    stream_chat=stream_response,
    parse_embed=None,
    render_embed=None,
    render_models=render_models,
    render_error=render_error,
    canned=CANNED,
    request_id_header=OPENAI.request_id_header,
)
