"""Undoes nullable optionals: strict modes make every property required and the optional ones null.

Pure; the counterpart of `schema_dialects` on the way back.
"""

from __future__ import annotations

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

_MOST_NESTED = 64


def without_added_nulls(value: Any, schema: Object, root: Object, depth: int = 0) -> Any:
    """`value` without the nulls that stand for optional properties which were made nullable.

    A null that the caller's own schema allows stays.
    """
    if depth > _MOST_NESTED:
        return value
    schema = _followed(schema, root)
    branches = [
        as_object(branch) for key in ("anyOf", "oneOf") for branch in as_list(schema.get(key))
    ]
    if is_list(value):
        items = [as_object(s.get("items")) for s in (schema, *branches) if s.get("items")]
        inner = items[0] if items else Object()
        return [without_added_nulls(row, inner, root, depth + 1) for row in value]
    if not is_object(value):
        return value
    shape = _object_shape(value, [schema, *(_followed(b, root) for b in branches)])
    properties = as_object(shape.get("properties"))
    required = as_list(shape.get("required"))
    return {
        name: without_added_nulls(field, as_object(properties.get(name)), root, depth + 1)
        for name, field in value.items()
        if field is not None
        or name in required
        or name not in properties
        or _takes_null(as_object(properties[name]), root)
    }


def _object_shape(fields: Object, shapes: list[Object]) -> Object:
    """Of several object shapes the one whose constants and property names fit best."""

    def fitness(shape: Object) -> tuple[bool, int]:
        properties = as_object(shape.get("properties"))
        known = sum(name in properties for name in fields)
        tags = (
            as_object(node).get("const", fields.get(name)) == fields.get(name)
            for name, node in properties.items()
        )
        return all(tags), known

    return max((shape for shape in shapes if "properties" in shape), key=fitness, default=Object())


def _followed(schema: Object, root: Object) -> Object:
    for _ in range(_MOST_NESTED):
        target = resolve(root, as_text(schema.get("$ref")))
        if target is None:
            break
        schema = target
    return schema


def _takes_null(schema: Object, root: Object) -> bool:
    schema = _followed(schema, root)
    if "const" in schema:
        return schema["const"] is None
    if "enum" in schema:
        return None in as_list(schema["enum"])
    if "type" in schema:
        return schema["type"] == "null" or "null" in as_list(schema["type"])
    branches = as_list(schema.get("anyOf")) + as_list(schema.get("oneOf"))
    return not branches or any(_takes_null(as_object(branch), root) for branch in branches)
