"""A JSON Schema in the two forms that Gemini takes: JSON Schema itself, and the older `Schema`.

Models from 2.5 on take JSON Schema (`responseJsonSchema`, `parametersJsonSchema`), in a subset
that `schema_dialects.GEMINI` names; older ones an OpenAPI-like `Schema` without references,
constants, `allOf` and lists of types. Pure.
Source: https://ai.google.dev/gemini-api/docs/structured-output (2026-11-21)
Source: https://ai.google.dev/api/caching#Schema (2026-11-21)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock_worker.providers.reading import (
    Object,
    as_list,
    as_object,
    as_text,
    is_list,
    is_object,
)
from penstock_worker.providers.schema_dialects import Inexpressible, resolve

_KEPT = (
    "title",
    "description",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
)
_FORMATS = frozenset(["date-time", "enum", "float", "double", "int32", "int64"])
_MOST_NESTED = 32
#: References make a schema larger as they are inlined; beyond this many parts none is sent.
_MOST_PARTS = 2_000


@dataclass(slots=True)
class _Walk:
    """One conversion: where references lead, and how many parts there are so far."""

    root: Object
    parts: int = 0


def older_schema(schema: Object) -> Object:
    """The schema as an OpenAPI-like `Schema`, references inlined.

    What it cannot say is left out: the answer is checked against the caller's own schema in any
    case. Raises Inexpressible for a schema that refers to itself or nests too deeply.
    """
    return _node(schema, _Walk(schema), (), 0)


def _node(node: Object, walk: _Walk, trail: tuple[str, ...], depth: int) -> Object:
    walk.parts += 1
    if depth > _MOST_NESTED or walk.parts > _MOST_PARTS:
        raise Inexpressible("a schema this large")
    node, trail = _followed(node, walk, trail)
    node, trail = _merged(node, walk, trail)
    branches = as_list(node.get("anyOf")) or as_list(node.get("oneOf"))
    kinds = _kinds(node)
    if branches:
        return _union(node, [as_object(branch) for branch in branches], walk, trail, depth)
    if len(kinds - {"null"}) > 1:
        parts: list[Object] = [{**node, "type": kind} for kind in sorted(kinds)]
        return _union({}, parts, walk, trail, depth)
    out: Object = {key: node[key] for key in _KEPT if key in node}
    if node.get("format") in _FORMATS:
        out["format"] = node["format"]
    kind = next(iter(kinds - {"null"}), "string")
    out["type"] = kind
    if "null" in kinds:
        out["nullable"] = True
    return out | _closed(node, kind) | _inner(node, kind, walk, trail, depth)


def _followed(node: Object, walk: _Walk, trail: tuple[str, ...]) -> tuple[Object, tuple[str, ...]]:
    """The node that a reference leads to, with the words that stood beside the reference."""
    while isinstance(ref := node.get("$ref"), str):
        target = resolve(walk.root, ref)
        if target is None or ref in trail:
            raise Inexpressible("a schema that refers to itself")
        trail = (*trail, ref)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**target, **beside}
    return node, trail


def _merged(node: Object, walk: _Walk, trail: tuple[str, ...]) -> tuple[Object, tuple[str, ...]]:
    """The node with the parts of its `allOf` made one."""
    whole: Object = {key: value for key, value in node.items() if key != "allOf"}
    for part in as_list(node.get("allOf")):
        added, trail = _followed(as_object(part), walk, trail)
        if "allOf" in added:
            added, trail = _merged(added, walk, trail)
        properties = as_object(whole.get("properties")) | as_object(added.get("properties"))
        required = [*as_list(whole.get("required")), *as_list(added.get("required"))]
        whole = {**added, **whole}
        if properties:
            whole |= {"properties": properties, "required": list(dict.fromkeys(required))}
    return whole, trail


def _kinds(node: Object) -> set[str]:
    given = node.get("type")
    if isinstance(given, str):
        kinds = {given}
    else:
        kinds = {kind for kind in as_list(given) if isinstance(kind, str)}
    values = _values(node)
    if not kinds and values is not None:
        kinds = {_kind_of(value) for value in values}
    if values is not None and None in values:
        kinds = kinds | {"null"}
    if kinds:
        return kinds
    return {"object"} if "properties" in node else {"array"} if "items" in node else {"string"}


_KIND_OF = {"bool": "boolean", "int": "integer", "float": "number", "NoneType": "null"}


def _kind_of(value: object) -> str:
    return _KIND_OF.get(type(value).__name__, "string")


def _values(node: Object) -> list[Any] | None:
    if "const" in node:
        return [node["const"]]
    return as_list(node["enum"]) if "enum" in node else None


def _closed(node: Object, kind: str) -> Object:
    """The values of an enum: `Schema` has them for strings only, others go into the words."""
    values = [value for value in _values(node) or () if value is not None]
    if not values:
        return {}
    if kind == "string":
        return {"format": "enum", "enum": [str(value) for value in values]}
    told = f"One of: {', '.join(map(str, values))}."
    return {"description": " ".join(filter(None, (as_text(node.get("description")), told)))}


def _inner(node: Object, kind: str, walk: _Walk, trail: tuple[str, ...], depth: int) -> Object:
    if kind == "array":
        items = as_object(node.get("items")) or {"type": "string"}
        return {"items": _node(items, walk, trail, depth + 1)}
    if kind != "object":
        return {}
    properties = {
        name: _node(as_object(field), walk, trail, depth + 1)
        for name, field in as_object(node.get("properties")).items()
    }
    required = [name for name in as_list(node.get("required")) if name in properties]
    out: Object = {"properties": properties, "propertyOrdering": list(properties)}
    return out | ({"required": required} if required else {})


def _union(
    node: Object, branches: list[Object], walk: _Walk, trail: tuple[str, ...], depth: int
) -> Object:
    """Branches as `anyOf`; one that is null becomes `nullable`, a single one stands for itself."""
    real = [branch for branch in branches if branch.get("type") != "null"]
    parts = [_node(branch, walk, trail, depth + 1) for branch in real]
    words: Object = {key: node[key] for key in ("title", "description") if key in node}
    out: Object = {**parts[0], **words} if len(parts) == 1 else {"anyOf": parts, **words}
    return out | {"nullable": True} if len(real) < len(branches) else out


def json_schema(schema: Object) -> Object:
    """The schema in JSON form without lists of types: `anyOf` says the same to every model."""
    return as_object(_plain(schema))


def _plain(node: Any) -> Any:
    if is_list(node):
        return [_plain(part) for part in node]
    if not is_object(node):
        return node
    out = {
        key: {name: _plain(field) for name, field in as_object(value).items()}
        if key in ("properties", "$defs", "definitions") and is_object(value)
        else value
        if key in ("enum", "required", "type")
        else _plain(value)
        for key, value in node.items()
    }
    kinds = as_list(out.get("type"))
    if not kinds:
        return out
    words = {key: out.pop(key) for key in ("title", "description") if key in out}
    return {**words, "anyOf": [_branch(out, kind) for kind in kinds]}


def _branch(node: Object, kind: Any) -> Object:
    if kind == "null":
        return {"type": "null"}
    out = {**node, "type": kind}
    if "enum" in node:
        fits = [value for value in as_list(node["enum"]) if _kind_of(value) == kind]
        out["enum"] = fits
    return out
