"""A quick yes for answers to plain schemas: types, properties, lists, closed sets of strings.

The full check (`jsonschema`) costs tens of microseconds; most answers fit most plain schemas.
A quick check says yes only where the full one would; anything else is left to the full one, which
also gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_worker.providers.reading import (
    Object,
    as_list,
    as_object,
    as_text,
    is_list,
    is_object,
)
from penstock_worker.providers.schema_dialects import resolve

Check = Callable[[Any], bool]

_MOST_NESTED = 16
#: Keywords that say nothing about validity (`format` is an annotation in JSON Schema).
_SILENT = frozenset(
    ["title", "description", "default", "examples", "format", "deprecated", "$defs", "definitions"]
)
_TYPES: dict[str, Check] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) is int or type(value) is float,
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
}


class _NotPlain(ValueError):
    """The schema has a part that only the full check knows."""


def quick_check(schema: Object) -> Check | None:
    """A check that is true only for values that fit `schema`; None for a schema not plain."""
    try:
        return _compile(schema, schema, 0)
    except _NotPlain:
        return None


def _compile(node: object, root: Object, depth: int) -> Check:
    if not is_object(node) or depth > _MOST_NESTED:
        raise _NotPlain
    keywords = node.keys() - _SILENT
    if keywords == {"$ref"}:
        return _compile(resolve(root, as_text(node["$ref"])), root, depth + 1)
    if keywords == {"anyOf"}:
        return _any_of([_compile(branch, root, depth + 1) for branch in as_list(node["anyOf"])])
    if keywords in ({"enum"}, {"type", "enum"}, {"const"}, {"type", "const"}):
        return _strings(node)
    if keywords == {"type", "items"} and node["type"] == "array":
        return _array(_compile(node["items"], root, depth + 1))
    if keywords <= _OBJECT_KEYWORDS and node.get("type") == "object":
        return _object(node, root, depth)
    if keywords == {"type"}:
        kinds = as_list(node["type"]) or [as_text(node["type"])]
        if all(kind in _TYPES for kind in kinds):
            return _any_of([_TYPES[kind] for kind in kinds])
    raise _NotPlain


_OBJECT_KEYWORDS = frozenset(["type", "properties", "required", "additionalProperties"])


def _any_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    return lambda value: any(check(value) for check in checks)


def _strings(node: Object) -> Check:
    values: list[Any] = [node["const"]] if "const" in node else as_list(node["enum"])
    allowed = frozenset(value for value in values if isinstance(value, str))
    if node.get("type", "string") != "string" or len(allowed) != len(values):
        raise _NotPlain
    return lambda value: type(value) is str and value in allowed


def _array(item: Check) -> Check:
    return lambda value: is_list(value) and all(map(item, value))


def _object(node: Object, root: Object, depth: int) -> Check:
    additional = node.get("additionalProperties", True)
    if not isinstance(additional, bool):
        raise _NotPlain
    fields = as_object(node.get("properties"))
    checks = {name: _compile(field, root, depth + 1) for name, field in fields.items()}
    required = frozenset(name for name in as_list(node.get("required")) if isinstance(name, str))

    def check(value: Any) -> bool:
        if not is_object(value) or not required <= value.keys():
            return False
        for name, field in value.items():
            known = checks.get(name)
            if not (additional if known is None else known(field)):
                return False
        return True

    return check
