"""OpenAI's wire (Chat Completions, Embeddings, Models), which most other providers speak too.

Rules that only OpenAI's own models have are applied for the prefixes `openai` and `azure` only.
Source: https://platform.openai.com/docs/api-reference/chat, 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from penstock_worker.simulator.caching import PromptCache
from penstock_worker.simulator.embeddings import dimensions_of
from penstock_worker.simulator.request import (
    JsonObject,
    Refusal,
    SimEmbedding,
    SimRequest,
    SimTool,
    SimUsage,
    invalid,
    is_array,
    is_object,
    part_of,
    tokens_of,
)

from .openai_answers import (
    CANNED,
    render_chat,
    render_embed,
    render_error,
    render_models,
    stream_chat,
)
from .openai_models import check_own
from .strictness import check_strict
from .wire import (
    KEYLESS_PROVIDERS,
    Operation,
    Wire,
    WireCall,
    check_range,
    last_subject,
    model_of,
    positive,
    refuse_key,
)

_OWN = frozenset(("openai", "azure"))
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
_LONGEST_CALL_ID = 40
#: Where Azure has its addresses for each deployment.
_DEPLOYMENT = re.compile(r"^/openai/deployments/[^/]+")
_ROUTES: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", "/chat/completions"): "chat",
    ("POST", "/v1/embeddings"): "embed",
    ("POST", "/embeddings"): "embed",
    ("GET", "/v1/models"): "models",
    ("GET", "/models"): "models",
}


def route(method: str, path: str) -> Operation | None:
    """What a method and path ask for, None for an unknown address."""
    return _ROUTES.get((method, _DEPLOYMENT.sub("", path)))


def authorise(provider: str, headers: Mapping[str, str]) -> None:
    """401 without a usable bearer key (Azure: `api-key` too)."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    usable = key.strip() if scheme.lower() == "bearer" else headers.get("api-key")
    refuse_key(
        usable,
        keyless=provider in KEYLESS_PROVIDERS,
        missing="You didn't provide an API key.",
        wrong="Incorrect API key provided.",
    )


def parse_chat(call: WireCall) -> SimRequest:
    """The request in the simulator's words; 400 for what the provider would refuse."""
    body = call.body
    model = model_of(body)
    own = call.provider in _OWN
    if own:
        check_own(body, model, call.provider)
    check_range(body, "temperature", 0, 2)
    check_range(body, "top_p", 0, 1)
    system, user_texts, results, parts = _messages(body)
    schema, json_mode = _format(body, own=own)
    if json_mode and schema is None and own and "json" not in " ".join(parts).lower():
        raise invalid(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'.",
            param="messages",
        )
    tools = _tools(body, own=own)
    forced, must_call = _tool_choice(body, tools)
    if schema is not None:
        parts.insert(0, orjson.dumps(schema).decode())
    if tools:
        parts.insert(0, orjson.dumps(body["tools"]).decode())
    stop: Any = body.get("stop") or ()
    options = part_of(body, "stream_options")
    return SimRequest(
        model=model,
        prompt="\n".join(parts),
        user_text=last_subject(user_texts),
        system=system,
        tools=() if body.get("tool_choice") == "none" else tools,
        forced_tool=forced,
        must_call=must_call,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_mode=json_mode,
        tool_results=results,
        max_tokens=positive(body, "max_completion_tokens") or positive(body, "max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
    )


def _messages(body: JsonObject) -> tuple[str, list[str], tuple[str, ...], list[str]]:
    """(system, user texts, tool results after the last user turn, all texts in order)."""
    messages: Any = body.get("messages")
    if not is_array(messages) or not messages:
        raise invalid("Missing required parameter: 'messages'.", param="messages")
    system: list[str] = []
    user_texts: list[str] = []
    results: list[str] = []
    parts: list[str] = []
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role") if is_object(message) else None
        text = _text(message.get("content"), index) if role else ""
        if open_calls and role != "tool":
            raise _unanswered(open_calls)
        match role:
            case "system" | "developer":
                system.append(text)
            case "user":
                user_texts.append(text)
                results.clear()
            case "assistant":
                open_calls = _calls(message, index, parts)
            case "tool" | "function":
                _close(open_calls, message, index)
                results.append(text)
            case _:
                raise invalid(
                    f"Invalid value for 'messages[{index}].role'.", param=f"messages[{index}].role"
                )
        parts.append(text)
    if open_calls:
        raise _unanswered(open_calls)
    return "\n".join(system), user_texts, tuple(results), parts


def _unanswered(open_calls: set[str]) -> Refusal:
    return invalid(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to"
        f" each 'tool_call_id'. No response for: {', '.join(sorted(open_calls))}",
        param="messages",
    )


def _calls(message: JsonObject, index: int, parts: list[str]) -> set[str]:
    calls: Any = message.get("tool_calls") or ()
    for call in calls:
        parts.append(str(part_of(call, "function").get("arguments", "")))
        if len(str(call.get("id") or "")) > _LONGEST_CALL_ID:
            raise invalid(
                f"Invalid 'messages[{index}].tool_calls[0].id': string too long. Expected a string"
                f" with maximum length {_LONGEST_CALL_ID}.",
                param=f"messages[{index}].tool_calls[0].id",
                code="string_above_max_length",
            )
    return {str(call.get("id")) for call in calls}


def _close(open_calls: set[str], message: JsonObject, index: int) -> None:
    identity = str(message.get("tool_call_id"))
    if message.get("role") == "tool" and identity not in open_calls:
        raise invalid(
            "Invalid parameter: messages with role 'tool' must be a response to a preceding"
            " message with 'tool_calls'.",
            param=f"messages[{index}].role",
        )
    open_calls.discard(identity)


def _text(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not is_array(content):
        raise invalid(
            f"Invalid type for 'messages[{index}].content'.", param=f"messages[{index}].content"
        )
    return "\n".join(str(part.get("text") or "") for part in content if is_object(part))


def _format(body: JsonObject, *, own: bool) -> tuple[JsonObject | None, bool]:
    wanted: Any = body.get("response_format")
    if not wanted or wanted.get("type") == "text":
        return None, False
    if wanted.get("type") == "json_object":
        schema: Any = wanted.get("schema")
        return schema if is_object(schema) else None, True
    inner: Any = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not is_object(inner):
        raise invalid("Invalid value for 'response_format'.", param="response_format")
    if own and not _NAME.match(str(inner.get("name") or "")):
        raise invalid(
            "Missing required parameter: 'response_format.json_schema.name'.",
            param="response_format.json_schema.name",
        )
    schema = inner.get("schema") or {}
    if own and inner.get("strict"):
        check_strict(schema, f"response_format '{inner.get('name')}'")
    return schema, True


def _tools(body: JsonObject, *, own: bool) -> tuple[SimTool, ...]:
    offered: Any = body.get("tools")
    if not offered:
        if body.get("tool_choice") not in (None, "none", "auto"):
            raise invalid("'tool_choice' is only allowed when 'tools' are specified.")
        return ()
    tools: list[SimTool] = []
    for index, tool in enumerate(offered):
        function = part_of(tool, "function")
        name = str(function.get("name") or "")
        if not _NAME.match(name):
            raise invalid(
                f"Invalid 'tools[{index}].function.name': expected a string that matches the"
                f" pattern '{_NAME.pattern}'.",
                param=f"tools[{index}].function.name",
            )
        schema = part_of(function, "parameters") or _NO_PARAMETERS
        if own and function.get("strict"):
            check_strict(schema, f"function '{name}'")
        tools.append(SimTool(name, str(function.get("description") or ""), schema))
    return tuple(tools)


def _tool_choice(body: JsonObject, tools: tuple[SimTool, ...]) -> tuple[str | None, bool]:
    choice: Any = body.get("tool_choice")
    if is_object(choice):
        name: Any = part_of(choice, "function").get("name")
        if all(tool.name != name for tool in tools):
            raise invalid(
                f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice"
            )
        return name, True
    return None, choice in ("required", "any")


def parse_embed(call: WireCall) -> SimEmbedding:
    """The texts to embed; 400 for no input or a size that the model cannot give."""
    model = model_of(call.body)
    given: Any = call.body.get("input")
    inputs = [given] if isinstance(given, str) else given
    if not is_array(inputs) or not inputs or "" in inputs:
        raise invalid("'$.input' is invalid: it must not be empty.", param="input")
    if all(isinstance(item, int) for item in inputs):
        inputs = [inputs]
    texts = tuple(i if isinstance(i, str) else " ".join(map(str, i)) for i in inputs)
    dimensions = positive(call.body, "dimensions")
    if dimensions is not None and dimensions > max(3072, dimensions_of(model)):
        raise invalid(f"Invalid value for 'dimensions' = {dimensions}.", param="dimensions")
    return SimEmbedding(model, texts, dimensions, call.body.get("encoding_format") == "base64")


def input_usage(cache: PromptCache, scope: str, request: SimRequest) -> SimUsage:
    """Prefixes are cached without being asked."""
    return cache.automatic(scope, request)


def limit_charge(request: SimRequest) -> int:
    """Tokens taken from the limit: the larger of `max_tokens` and the estimate."""
    return max(request.max_tokens or 0, tokens_of(len(request.prompt)))


OPENAI = Wire(
    name="openai",
    route=route,
    authorise=authorise,
    parse_chat=parse_chat,
    input_usage=input_usage,
    limit_charge=limit_charge,
    render_chat=render_chat,
    stream_chat=stream_chat,
    parse_embed=parse_embed,
    render_embed=render_embed,
    render_models=render_models,
    render_error=render_error,
    canned=CANNED,
    request_id_header="x-request-id",
)
