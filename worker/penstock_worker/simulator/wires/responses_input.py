"""The input items of a Responses request, as texts; refusals for items that do not belong.

The reading half of `responses`.
Source: https://developers.openai.com/api/reference/resources/responses, 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock_worker.simulator.request import JsonObject, Refusal, invalid, is_array, is_object

from .responses_answers import is_sealed

_ROLES = frozenset({"user", "assistant", "system", "developer"})
_INPUT_PARTS = frozenset({"input_text", "input_image", "input_file"})
_OUTPUT_PARTS = frozenset({"output_text", "refusal"})
_LONGEST_CALL_ID = 64


@dataclass(slots=True)
class Input:
    """What the items say: all texts in order, and by whom; results since the last user turn."""

    system: list[str] = field(default_factory=list[str])
    user_texts: list[str] = field(default_factory=list[str])
    results: list[str] = field(default_factory=list[str])
    parts: list[str] = field(default_factory=list[str])
    open_calls: set[str] = field(default_factory=set[str])
    calls: set[str] = field(default_factory=set[str])


def read_input(body: JsonObject, *, stored: bool) -> Input:
    """The request's input; 400 for what the provider would refuse, 404 for unknown items."""
    given: Any = body.get("input")
    read = Input()
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not is_array(given) or not given:
        raise invalid(
            "Missing required parameter: 'input'.",
            param="input",
            code="missing_required_parameter",
        )
    for index, item in enumerate(given):
        if not is_object(item):
            raise invalid(f"Invalid type for 'input[{index}]'.", param=f"input[{index}]")
        _take(read, item, index, stored=stored)
        if item.get("type") == "reasoning":
            _check_followed(item, given[index + 1 :])
    if read.open_calls:
        missing = ", ".join(sorted(read.open_calls))
        raise invalid(f"No tool output found for function call {missing}.", param="input")
    return read


def _take(read: Input, item: JsonObject, index: int, *, stored: bool) -> None:
    match item.get("type", "message"):
        case "message":
            _message(read, item, index)
        case "function_call":
            identity = _call_id(item, index)
            read.calls.add(identity)
            read.open_calls.add(identity)
            for name in ("name", "arguments"):
                if not isinstance(item.get(name), str):
                    raise _missing(f"input[{index}].{name}")
            read.parts.append(item["arguments"])
        case "function_call_output":
            identity = _call_id(item, index)
            if identity not in read.calls:
                raise invalid(
                    f"No tool call found for function call output with call_id {identity}.",
                    param="input",
                )
            read.open_calls.discard(identity)
            text = _text(item.get("output"), f"input[{index}].output", _INPUT_PARTS)
            read.results.append(text)
            read.parts.append(text)
        case "reasoning":
            _check_reasoning(item, index, stored=stored)
        case other:
            raise invalid(
                f"Invalid value: '{other}'.", param=f"input[{index}].type", code="invalid_value"
            )


def _message(read: Input, item: JsonObject, index: int) -> None:
    role = item.get("role")
    if role not in _ROLES:
        where = f"input[{index}].role" if "role" in item else f"input[{index}]"
        raise invalid(f"Invalid value: '{role}'.", param=where, code="invalid_value")
    accepted = _OUTPUT_PARTS if role == "assistant" else _INPUT_PARTS
    text = _text(item.get("content"), f"input[{index}].content", accepted)
    if role == "user":
        read.user_texts.append(text)
        read.results.clear()
    elif role != "assistant":
        read.system.append(text)
    read.parts.append(text)


def _text(content: Any, where: str, accepted: frozenset[str]) -> str:
    if isinstance(content, str):
        return content
    if not is_array(content):
        raise _missing(where)
    for index, part in enumerate(content):
        kind = part.get("type") if is_object(part) else None
        if kind not in accepted:
            supported = ", ".join(f"'{name}'" for name in sorted(accepted))
            raise invalid(
                f"Invalid value: '{kind}'. Supported values are: {supported}.",
                param=f"{where}[{index}]",
                code="invalid_value",
            )
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)


def _call_id(item: JsonObject, index: int) -> str:
    identity = item.get("call_id")
    if not isinstance(identity, str) or not identity:
        raise _missing(f"input[{index}].call_id")
    if len(identity) > _LONGEST_CALL_ID:
        raise invalid(
            f"Invalid 'input[{index}].call_id': string too long. Expected a string with maximum"
            f" length {_LONGEST_CALL_ID}.",
            param=f"input[{index}].call_id",
            code="string_above_max_length",
        )
    return identity


def _check_reasoning(item: JsonObject, index: int, *, stored: bool) -> None:
    if not is_array(item.get("summary")):
        raise _missing(f"input[{index}].summary")
    sealed = item.get("encrypted_content")
    if not sealed:
        hint = "" if stored else " Items are not persisted when `store` is set to false."
        raise Refusal(
            404,
            "not_found",
            f"Item with id '{item.get('id')}' not found.{hint}",
            param="input",
        )
    if not is_sealed(sealed):
        raise invalid(
            f"The encrypted content for item {item.get('id')} could not be verified.",
            param="input",
            code="invalid_encrypted_content",
        )


def _check_followed(item: JsonObject, after: list[Any]) -> None:
    """A reasoning item goes with what the model did next: text, a call, or more reasoning."""
    follower: JsonObject = after[0] if after and is_object(after[0]) else {}
    own = follower.get("type") in ("function_call", "reasoning")
    if not own and follower.get("role") != "assistant":
        raise invalid(
            f"Item '{item.get('id')}' of type 'reasoning' was provided without its required"
            " following item.",
            param="input",
        )


def _missing(where: str) -> Refusal:
    return invalid(
        f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter"
    )
