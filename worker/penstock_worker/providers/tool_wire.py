"""Tool names and call IDs between Penstock and a wire that restricts them.

Both mappings are functions of the original alone, so that no state has to travel with a job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, cast

import orjson
from pydantic import ValidationError

from penstock_schemas.messages import Tool, ToolCall
from penstock_worker.providers.reading import as_object, json_text

#: The tool through which a structured answer is forced where a wire has no schemas.
OUTPUT_TOOL = "penstock_record_answer"
OUTPUT_TOOL_DESCRIPTION = "Records the answer. Call it exactly once, with the whole answer."

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True)
class IdRule:
    """Which tool call IDs a wire takes; others are replaced by a digest of `digest_chars`."""

    accepted: re.Pattern[str]
    digest_chars: int


#: Source: https://developers.openai.com/api/reference/resources/chat (2026-11-21)
OPENAI_IDS = IdRule(re.compile(r".{1,40}", re.DOTALL), 24)
#: Source: https://docs.mistral.ai/api/ (2026-11-21)
MISTRAL_IDS = IdRule(re.compile(r"[a-zA-Z0-9]{9}"), 9)
#: Source: https://platform.claude.com/docs/en/api/messages (2026-11-21)
ANTHROPIC_IDS = IdRule(re.compile(r"[a-zA-Z0-9_-]{1,64}"), 24)


@lru_cache(maxsize=1024)
def wire_name(name: str) -> str:
    """The name under which a tool travels: its own where wires take it, else a stable alias."""
    if _TOOL_NAME.fullmatch(name) and name != OUTPUT_TOOL:
        return name
    return f"{_NOT_IN_NAME.sub('_', name)[:51]}_{_digest(name, 12)}"


def own_name(name: str, tools: Iterable[Tool]) -> str:
    """The caller's name of a tool that was called by its wire name; a stranger's stays as it is."""
    return next((tool.name for tool in tools if wire_name(tool.name) == name), name)


def wire_call_id(call_id: str, rule: IdRule) -> str:
    """The ID of a tool call as the wire takes it: the same for a call and its result."""
    return call_id if rule.accepted.fullmatch(call_id) else _digest(call_id, rule.digest_chars)


def read_call(
    *, call_id: object, name: str, arguments: object, tools: Iterable[Tool], fallback_id: str
) -> ToolCall:
    """A tool call as Penstock keeps it; arguments that are no JSON object stay as raw text."""
    found, raw = _read_arguments(arguments)
    name = own_name(name, tools)
    call_id = call_id if isinstance(call_id, str) and call_id else fallback_id
    try:
        return ToolCall(id=call_id, name=name, arguments=found, raw_arguments=raw)
    except ValidationError:  # nested deeper than can be kept as an object
        text = arguments if isinstance(arguments, str) else json_text(found or {})
        return ToolCall(id=call_id, name=name, raw_arguments=text)


def arguments_text(call: ToolCall) -> str:
    """The arguments of an earlier call for a wire that wants a string."""
    if call.arguments is not None:
        return orjson.dumps(call.arguments).decode()
    return call.raw_arguments or "{}"


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """The arguments of an earlier call for a wire that wants an object."""
    if call.arguments is not None:
        return cast("dict[str, Any]", call.arguments)
    return {"raw_arguments": call.raw_arguments} if call.raw_arguments else {}


def _read_arguments(arguments: object) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(arguments, dict):
        return as_object(cast("object", arguments)), None
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return {}, None
    raw = arguments if isinstance(arguments, str) else json_text(arguments)
    try:
        decoded: object = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, raw
    if isinstance(decoded, dict):
        return as_object(cast("object", decoded)), None
    return ({}, None) if decoded is None else (None, raw)


def _digest(text: str, chars: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()[:chars]
