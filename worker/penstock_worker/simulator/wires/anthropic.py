"""Anthropic's wire: the Messages API and the list of models.

Source: https://docs.anthropic.com/en/api/messages and /en/api/errors, 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_worker.simulator.caching import PromptCache
from penstock_worker.simulator.request import (
    JsonObject,
    Refusal,
    SimRequest,
    SimTool,
    SimUsage,
    invalid,
    is_array,
    is_object,
    part_of,
    tokens_of,
)

from .anthropic_answers import CANNED, render_chat, render_error, render_models, stream_chat
from .strictness import check_anthropic
from .wire import (
    Operation,
    Wire,
    WireCall,
    check_range,
    last_subject,
    model_of,
    positive,
    refuse_key,
)

_MOST_BREAKPOINTS = 4
#: Models that cannot be forced to call a tool, and those that cannot be told not to think.
#: Source: https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5,
#: https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5 and, for the message,
#: https://github.com/can1357/oh-my-pi/issues/12939 (2026-11-21)
_NEVER_FORCED = re.compile(r"claude-(?:(?:opus|sonnet)-5-5|fable-5-1)")
_ALWAYS_THINKS = re.compile(r"claude-(?:opus-5-5|fable-5-1)")
_ROUTES: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/messages"): "chat",
    ("GET", "/v1/models"): "models",
}


def route(method: str, path: str) -> Operation | None:
    """What a method and path ask for, None for an unknown address."""
    return _ROUTES.get((method, path))


def authorise(_provider: str, headers: Mapping[str, str]) -> None:
    """401 without a usable `x-api-key` or bearer key, 400 without `anthropic-version`."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    refuse_key(
        headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else None),
        keyless=False,
        missing="x-api-key header is required",
        wrong="invalid x-api-key",
    )
    if not headers.get("anthropic-version"):
        raise invalid("anthropic-version: header is required")


@dataclass(slots=True)
class _Reading:
    """What is gathered while the blocks of a request are read in caching order."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    breakpoints: list[int] = field(default_factory=list)
    long_lived: bool = False

    def add(self, text: str, block: JsonObject) -> None:
        self.parts.append(text)
        self.length += len(text) + 1
        self.mark(block.get("cache_control"))

    def mark(self, control: Any) -> None:
        if control:
            self.breakpoints.append(self.length - 1)
            self.long_lived = control.get("ttl") == "1h"


def parse_chat(call: WireCall) -> SimRequest:
    """The request in the simulator's words; 400 for what the provider would refuse."""
    body = call.body
    model = model_of(body)
    if body.get("max_tokens") is None:
        raise invalid("max_tokens: Field required")
    check_range(body, "temperature", 0, 1)
    check_range(body, "top_p", 0, 1)
    for name in ("seed", "presence_penalty", "frequency_penalty", "response_format", "stop"):
        if name in body:
            raise invalid(f"{name}: Extra inputs are not permitted")
    reading = _Reading()
    schema = _schema(body)
    if schema is not None:
        reading.add(orjson.dumps(schema).decode(), {})
    tools = _tools(body, reading)
    forced, must_call = _tool_choice(body, tools)
    system = _system(body, reading)
    user_texts, results = _messages(body, reading)
    reading.mark(body.get("cache_control"))
    if len(reading.breakpoints) > _MOST_BREAKPOINTS:
        raise invalid(
            f"A maximum of {_MOST_BREAKPOINTS} blocks with cache_control may be provided."
            f" Found {len(reading.breakpoints)}."
        )
    return SimRequest(
        model=model,
        prompt="\n".join(reading.parts),
        user_text=last_subject(user_texts),
        system=system,
        tools=() if part_of(body, "tool_choice").get("type") == "none" else tools,
        forced_tool=forced,
        must_call=must_call,
        parallel=not part_of(body, "tool_choice").get("disable_parallel_tool_use"),
        schema=schema,
        json_mode=schema is not None,
        tool_results=results,
        max_tokens=positive(body, "max_tokens"),
        stop=tuple(body.get("stop_sequences") or ()),
        stream=bool(body.get("stream")),
        breakpoints=tuple(reading.breakpoints),
        cache_ttl="1h" if reading.long_lived else "5m",
    )


def _tools(body: JsonObject, reading: _Reading) -> tuple[SimTool, ...]:
    tools: list[SimTool] = []
    for index, tool in enumerate(body.get("tools") or ()):
        reading.add(orjson.dumps(tool).decode(), tool)
        if not tool.get("name"):
            raise invalid(f"tools.{index}.custom.name: Field required")
        if "input_schema" not in tool and tool.get("type", "custom") == "custom":
            raise invalid(f"tools.{index}.custom.input_schema: Field required")
        schema = tool.get("input_schema") or {}
        tools.append(SimTool(tool["name"], str(tool.get("description") or ""), schema))
    return tuple(tools)


def _tool_choice(body: JsonObject, tools: tuple[SimTool, ...]) -> tuple[str | None, bool]:
    choice = part_of(body, "tool_choice")
    kind = choice.get("type")
    if kind and not tools:
        raise invalid("tool_choice: may only be specified while providing tools")
    _check_thinking(body, forced=kind in ("any", "tool"))
    if kind == "tool":
        if all(tool.name != choice.get("name") for tool in tools):
            raise invalid(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
        return choice["name"], True
    return None, kind == "any"


def _check_thinking(body: JsonObject, *, forced: bool) -> None:
    model, thinking = str(body.get("model")), part_of(body, "thinking")
    kind = thinking.get("type")
    if forced and _NEVER_FORCED.match(model):
        raise invalid('tool_choice: type "tool" and "any" are not supported for this model.')
    if kind in ("enabled", "disabled") and _ALWAYS_THINKS.match(model):
        raise invalid(
            f'"thinking.type.{kind}" is not supported for this model. Use'
            ' "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
    if kind != "enabled":
        return
    if forced:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if (thinking.get("budget_tokens") or 0) >= body["max_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _system(body: JsonObject, reading: _Reading) -> str:
    system: Any = body.get("system")
    if not system:
        return ""
    blocks: list[JsonObject] = [{"text": system}] if isinstance(system, str) else system
    for block in blocks:
        text = str(block.get("text") or "")
        if not text.strip():
            raise invalid("system: text content blocks must be non-empty")
        reading.add(text, block)
    return "\n".join(str(block["text"]) for block in blocks)


def _messages(body: JsonObject, reading: _Reading) -> tuple[list[str], tuple[str, ...]]:
    """(user texts, tool results after the last user text)."""
    messages: Any = body.get("messages")
    if messages is None:
        raise invalid("messages: Field required")
    if not is_array(messages) or not messages:
        raise invalid("messages: at least one message is required")
    user_texts: list[str] = []
    results: list[str] = []
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in ("user", "assistant"):
            raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        if index == 0 and role != "user":
            raise invalid('messages: first message must use the "user" role')
        blocks = _blocks(message, index, last=index == len(messages) - 1)
        _check_results(blocks, open_calls, index)
        open_calls = {str(b.get("id")) for b in blocks if b.get("type") == "tool_use"}
        texts: list[str] = []
        for block in blocks:
            text = _block_text(block)
            reading.add(text, block)
            if block.get("type") == "text" and role == "user":
                texts.append(text)
        if texts:
            user_texts.append("\n".join(texts))
            results.clear()
        results += [_block_text(b) for b in blocks if b.get("type") == "tool_result"]
    if open_calls:
        raise _unanswered(open_calls, len(messages) - 1)
    return user_texts, tuple(results)


def _blocks(message: JsonObject, index: int, *, last: bool) -> list[JsonObject]:
    content: Any = message.get("content")
    closing = last and message["role"] == "assistant"
    if not content and not closing:
        raise invalid(
            f"messages.{index}: all messages must have non-empty content except for the optional"
            " final assistant message"
        )
    if isinstance(content, str):
        blocks: list[JsonObject] = [{"type": "text", "text": content}]
    else:
        blocks = content or []
    for block in blocks:
        if block.get("type") == "text":
            text = str(block.get("text") or "")
            if not text.strip() and not closing:
                raise invalid("messages: text content blocks must be non-empty")
            if closing and text != text.rstrip():
                raise invalid(
                    "messages: final assistant content cannot end with trailing whitespace"
                )
    return blocks


def _check_results(blocks: list[JsonObject], open_calls: set[str], index: int) -> None:
    answered = [str(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"]
    unknown = [identity for identity in answered if identity not in open_calls]
    if unknown:
        raise invalid(
            f"messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks:"
            f" {', '.join(unknown)}."
        )
    if open_calls - set(answered):
        raise _unanswered(open_calls - set(answered), index - 1)
    kinds = [block.get("type") == "tool_result" for block in blocks]
    if kinds != sorted(kinds, reverse=True):
        raise invalid(f"messages.{index}: `tool_result` blocks must come before other content")


def _unanswered(identities: set[str], index: int) -> Refusal:
    return invalid(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately"
        f" after: {', '.join(sorted(identities))}."
    )


def _block_text(block: JsonObject) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text") or "")
        case "tool_use":
            return orjson.dumps(block.get("input") or {}).decode()
        case "tool_result":
            content: Any = block.get("content")
            if is_array(content):
                return "\n".join(str(part.get("text") or "") for part in content)
            return str(content or "")
        case "thinking":
            return str(block.get("thinking") or "")
        case _:
            return ""


def _schema(body: JsonObject) -> JsonObject | None:
    body_format: Any = part_of(body, "output_config").get("format")
    wanted: Any
    for place, wanted in (
        ("output_config.format", body_format),
        ("output_format", body.get("output_format")),
    ):
        if wanted:
            if wanted.get("type") != "json_schema" or not is_object(wanted.get("schema")):
                raise invalid(f"{place}: Input should be of type 'json_schema' with a schema")
            check_anthropic(wanted["schema"], f"{place}.schema")
            return wanted["schema"]
    return None


def input_usage(cache: PromptCache, scope: str, request: SimRequest) -> SimUsage:
    """Only marked prefixes are cached."""
    return cache.marked(scope, request)


def limit_charge(request: SimRequest) -> int:
    """Input tokens only: `max_tokens` does not count."""
    return tokens_of(len(request.prompt))


ANTHROPIC = Wire(
    name="anthropic",
    route=route,
    authorise=authorise,
    parse_chat=parse_chat,
    input_usage=input_usage,
    limit_charge=limit_charge,
    render_chat=render_chat,
    stream_chat=stream_chat,
    parse_embed=None,
    render_embed=None,
    render_models=render_models,
    render_error=render_error,
    canned=CANNED,
    request_id_header="request-id",
)
