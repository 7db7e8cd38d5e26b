"""Folding JSON Schema combinations (`allOf`, siblings of `$ref` and `anyOf`) into one schema.

Pure. Covers the keywords that the nodes of `filling` honour; others pass through, the right-hand
one winning.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from .request import JsonObject, is_object

ANNOTATIONS = frozenset(
    ("description", "title", "default", "examples", "$comment", "$schema", "$id", "$defs",
     "definitions", "deprecated", "readOnly", "writeOnly")
)  # fmt: skip
_LARGER = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"))
_SMALLER = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"))


def resolve(root: JsonObject, pointer: str) -> JsonObject | bool:
    """What a local `$ref` points to; an unknown one accepts anything."""
    value: Any = root
    for part in pointer.lstrip("#").strip("/").split("/"):
        if part:
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key, True) if is_object(value) else True
    return value if isinstance(value, bool) or is_object(value) else True


def merge(left: JsonObject | bool, right: JsonObject | bool) -> JsonObject | bool:
    """A schema that asks for what both ask for."""
    if isinstance(left, bool) or isinstance(right, bool):
        if left is False or right is False:
            return False
        return right if left is True else left
    merged = dict(left)
    for key, value in right.items():
        merged[key] = _both(key, merged[key], value) if key in merged else value
    properties: JsonObject = merged.get("properties") or {}
    for one, other in ((left, right), (right, left)):
        extra = one.get("additionalProperties")
        if extra is not None and extra is not True:
            for name in properties:
                if name not in (one.get("properties") or {}) and name in (
                    other.get("properties") or {}
                ):
                    properties = {**properties, name: merge(properties[name], extra)}
    if properties:
        merged["properties"] = properties
    return merged


def _both(key: str, left: Any, right: Any) -> Any:
    if left == right or key in ANNOTATIONS:
        return left
    if key in _LARGER:
        return max(left, right)
    if key in _SMALLER:
        return min(left, right)
    if key == "required":
        return list(dict.fromkeys([*left, *right]))
    if key == "enum":
        return [value for value in left if value in right]
    if key == "type":
        return _types(left, right)
    if key in ("properties", "$defs"):
        names = dict.fromkeys([*left, *right])
        return {n: merge(left.get(n, True), right.get(n, True)) for n in names}
    if key in ("items", "additionalProperties"):
        return merge(left, right)
    if key == "allOf":
        return [*left, *right]
    return right


def _types(left: str | list[str], right: str | list[str]) -> list[str]:
    ours = [left] if isinstance(left, str) else left
    theirs = [right] if isinstance(right, str) else right
    both = [t for t in ours if t in theirs or (t == "integer" and "number" in theirs)]
    if "integer" in theirs and "number" in ours and "integer" not in both:
        both.append("integer")
    return both


def without(schema: JsonObject, *keys: str) -> JsonObject:
    """The schema less some keywords."""
    return {key: value for key, value in schema.items() if key not in keys}


def flatten(root: JsonObject, schema: JsonObject) -> JsonObject | bool:
    """Fold `allOf` into the schema around it; parts that are references are resolved."""
    if "allOf" not in schema:
        return schema
    parts: list[JsonObject | bool] = [without(schema, "allOf")]
    for part in schema["allOf"]:
        if is_object(part) and "$ref" in part:
            part = merge(resolve(root, part["$ref"]), without(part, "$ref"))
        parts.append(flatten(root, part) if is_object(part) else part)
    return reduce(merge, parts)
