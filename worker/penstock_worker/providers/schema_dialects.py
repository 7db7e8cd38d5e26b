"""A caller's JSON Schema in the subset that a provider enforces, and the way back.

Pure. What a dialect cannot express raises `Inexpressible`; the adapter then takes a weaker means.
Limits that a provider refuses move into the description, where the model still reads them: the
answer is checked against the caller's own schema in any case (`structured`).
Source: https://developers.openai.com/api/docs/guides/structured-outputs (2026-11-21)
Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs (2026-11-21)
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

#: The property under which a schema that is not an object travels.
ROOT = "value"


class Inexpressible(ValueError):
    """The schema has a part that the dialect lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a provider takes: limits beside the structure, string formats, and how optionals go.

    With `every_property_required` optional properties become required and nullable.
    """

    limits: frozenset[str]
    formats: frozenset[str]
    every_property_required: bool
    recursion: bool


_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)

OPENAI = Dialect(
    limits=frozenset(
        [
            "pattern",
            "multipleOf",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "minItems",
            "maxItems",
        ]
    ),
    formats=_FORMATS,
    every_property_required=True,
    recursion=True,
)

#: OpenAI-compatible servers: strict mode in its narrowest reading.
COMPATIBLE = Dialect(
    limits=frozenset(), formats=frozenset(), every_property_required=True, recursion=True
)

ANTHROPIC = Dialect(
    limits=frozenset(),
    formats=_FORMATS | {"uri"},
    every_property_required=False,
    recursion=False,
)

#: Gemini's subset of JSON Schema.
#: Source: https://ai.google.dev/gemini-api/docs/structured-output (2026-11-21)
GEMINI = Dialect(
    limits=frozenset(["minimum", "maximum", "minItems", "maxItems"]),
    formats=frozenset(["date-time", "date", "time"]),
    every_property_required=False,
    recursion=False,
)

_LIMITS = frozenset(
    [
        "pattern",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "format",
    ]
)
_STRUCTURE = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "description",
    ]
)
#: Says nothing about which answers are valid.
_NOTES = frozenset(
    [
        "title",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$schema",
        "$id",
        "$comment",
        "discriminator",
        "contentEncoding",
        "contentMediaType",
    ]
)
_MOST_NESTED = 64


def to_dialect(schema: Object, dialect: Dialect) -> Object:
    """The schema as the dialect wants it, an object at its root. Raises Inexpressible."""
    root = rooted(schema)
    definitions = {
        kind: {name: _node(as_object(node), dialect, 1) for name, node in as_object(defs).items()}
        for kind in ("$defs", "definitions")
        if (defs := root.get(kind))
    }
    if not dialect.recursion and _is_recursive(definitions):
        raise Inexpressible("a schema that refers to itself")
    body = {key: value for key, value in root.items() if key not in ("$defs", "definitions")}
    return _node(body, dialect, 0) | definitions


def rooted(schema: Object) -> Object:
    """The schema with an object at its root: itself, its root `$ref` followed, or wrapped."""
    if has_object_root(schema):
        return schema
    definitions = {kind: schema[kind] for kind in ("$defs", "definitions") if kind in schema}
    target = resolve(schema, as_text(schema.get("$ref")))
    if target is not None and has_object_root(target):
        return {**target, **definitions}
    inner = {key: value for key, value in schema.items() if key not in definitions}
    return {
        "type": "object",
        "properties": {ROOT: inner},
        "required": [ROOT],
        "additionalProperties": False,
        **definitions,
    }


def has_object_root(schema: Object) -> bool:
    """Whether the schema says outright that its value is an object."""
    return schema.get("type") == "object" and "anyOf" not in schema and "oneOf" not in schema


def is_wrapped(schema: Object) -> bool:
    """Whether `rooted` puts this schema's value under `ROOT`."""
    root = rooted(schema)
    return root is not schema and set(as_object(root.get("properties"))) == {ROOT}


def resolve(root: Object, ref: str) -> Object | None:
    """The subschema that a local reference (`#/…`) names, or None."""
    if ref == "#":
        return root
    if not ref.startswith("#/"):
        return None
    node: Any = root
    for part in ref[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = as_object(node).get(key)
    return node if is_object(node) else None


def references(node: object) -> list[str]:
    """Every `$ref` in a schema."""
    if is_list(node):
        return [ref for part in node for ref in references(part)]
    fields = as_object(node)
    own = [as_text(fields["$ref"])] if isinstance(fields.get("$ref"), str) else []
    return own + [ref for value in fields.values() for ref in references(value)]


def _node(node: Object, dialect: Dialect, depth: int) -> Object:
    if depth > _MOST_NESTED:
        raise Inexpressible("nesting this deep")
    if unknown := node.keys() - _STRUCTURE - _LIMITS - _NOTES:
        raise Inexpressible(", ".join(sorted(unknown)))
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    if parts := as_list(node.get("allOf")):
        return _node(_only_part(node, parts), dialect, depth + 1)
    out: Object = {}
    if branches := as_list(node.get("anyOf")) or as_list(node.get("oneOf")):
        out["anyOf"] = [_node(as_object(branch), dialect, depth + 1) for branch in branches]
    elif "const" in node or "enum" in node:
        out |= _closed(node)
    elif "type" in node or "properties" in node:
        out |= _typed(node, dialect, depth)
    else:
        raise Inexpressible("a value of any type")
    kept, told = _limits(node, dialect)
    out |= kept
    if description := " ".join(part for part in (as_text(node.get("description")), told) if part):
        out["description"] = description
    return out


def _only_part(node: Object, parts: list[Any]) -> Object:
    if len(parts) > 1 or node.keys() & {"type", "properties", "anyOf", "oneOf", "enum", "const"}:
        raise Inexpressible("allOf")
    return {key: value for key, value in node.items() if key != "allOf"} | as_object(parts[0])


def _closed(node: Object) -> Object:
    values = [node["const"]] if "const" in node else as_list(node["enum"])
    names = sorted({_type_name(value) for value in values})
    if "" in names or not names:
        raise Inexpressible("an enum of objects or arrays")
    return {"type": names[0] if len(names) == 1 else names, "enum": values}


_TYPE_NAMES = {
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "NoneType": "null",
}


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value).__name__, "")


def _typed(node: Object, dialect: Dialect, depth: int) -> Object:
    kind = node.get("type", "object")
    kinds = {kind} if isinstance(kind, str) else set(as_list(kind))
    out: Object = {"type": kind}
    if "object" in kinds:
        out |= _object(node, dialect, depth)
    if "array" in kinds:
        items = as_object(node.get("items"))
        if not items:
            raise Inexpressible("an array of anything")
        out["items"] = _node(items, dialect, depth + 1)
    return out


def _object(node: Object, dialect: Dialect, depth: int) -> Object:
    properties = as_object(node.get("properties"))
    if node.get("additionalProperties", False) is not False:
        raise Inexpressible("an object with free keys")
    if not properties and "additionalProperties" not in node:
        raise Inexpressible("an object with free keys")
    required = as_list(node.get("required"))
    if any(name not in properties for name in required):
        raise Inexpressible("a required property that is not described")
    out = {name: _node(as_object(field), dialect, depth + 1) for name, field in properties.items()}
    if dialect.every_property_required:
        out = {n: field if n in required else _nullable(field) for n, field in out.items()}
        required = list(out)
    return {"properties": out, "required": required, "additionalProperties": False}


def _nullable(node: Object) -> Object:
    """The node with null beside what it takes; the description stays outside."""
    if "anyOf" in node:
        branches = as_list(node["anyOf"])
        has_null = any(as_object(branch).get("type") == "null" for branch in branches)
        return node if has_null else {**node, "anyOf": [*branches, {"type": "null"}]}
    kind = node.get("type")
    if kind is None or "properties" in node:
        return {"anyOf": [node, {"type": "null"}]}
    kinds = [kind] if isinstance(kind, str) else as_list(kind)
    if "null" in kinds:
        return node
    out = {**node, "type": [*kinds, "null"]}
    if "enum" in node:
        out["enum"] = [*as_list(node["enum"]), None]
    return out


def _limits(node: Object, dialect: Dialect) -> tuple[Object, str]:
    """The limits that the dialect takes, and a sentence about those that it refuses."""
    kept: Object = {}
    told: list[str] = []
    for key in node.keys() & _LIMITS:
        value = node[key]
        fits = value in dialect.formats if key == "format" else key in dialect.limits
        if fits:
            kept[key] = value
        else:
            told.append(f"{key}: {value}")
    return kept, f"({', '.join(sorted(told))})" if told else ""


def _is_recursive(definitions: dict[str, Object]) -> bool:
    edges = {
        f"#/{kind}/{name}": set(references(node))
        for kind, nodes in definitions.items()
        for name, node in nodes.items()
    }
    for start, found in edges.items():
        seen: set[str] = set()
        open_refs = list(found)
        while open_refs:
            ref = open_refs.pop()
            if ref in (start, "#"):
                return True
            if ref not in seen:
                seen.add(ref)
                open_refs.extend(edges.get(ref, ()))
    return False
