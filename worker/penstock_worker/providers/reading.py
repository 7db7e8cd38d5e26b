"""Lenient reading of decoded JSON, shared by the wires: real answers break their own formats.

Of thousands of recorded answers some leave fields out, put numbers for strings or a list for
text. These readers give a value of the wanted type or nothing, and never raise.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import orjson

Object = dict[str, Any]


def is_object(value: object) -> TypeGuard[Object]:
    """Whether `value` is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether `value` is a JSON array."""
    return isinstance(value, list)


def as_object(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if is_list(value) else []


def as_text(value: object) -> str:
    """`value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int:
    """`value` as a number of tokens; anything but a positive number is 0."""
    if isinstance(value, float):
        value = int(value) if value == value and abs(value) < float("inf") else 0
    return value if isinstance(value, int) and value > 0 else 0


def content_text(content: object) -> str:
    """The text of a message's content: a string, a list of parts, or JSON given as an object."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if is_list(content):
        return "".join(_part_text(part) for part in content)
    return json_text(content)


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    fields = as_object(part)
    return as_text(fields.get("text")) if fields.get("type", "text") in _TEXT_PARTS else ""


_TEXT_PARTS = frozenset({"text", "output_text"})


def dump(body: object) -> bytes:
    """JSON bytes. What orjson refuses (huge integers, deep nesting) goes the slow way."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, separators=(",", ":")).encode()


def json_text(value: object) -> str:
    """JSON text of something that a provider said; nothing where it nests too deeply to be kept."""
    try:
        return dump(value).decode()
    except RecursionError:
        return ""
