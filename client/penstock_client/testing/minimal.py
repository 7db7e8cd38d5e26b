"""Pure: a JSON Schema -> the smallest value that fits it, for answers that a test does not give.

Takes the keywords that structured output is asked by. A value for one that has others, such as
`pattern`, may not fit; whoever answers checks it against the schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

#: Nested further, optional parts are left out and lists are as short as they may be.
_DEEPEST: Final = 30
_FORMATS: Final = {
    "date-time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_WORD: Final = "simulated"


def minimal_value(schema: Mapping[str, Any]) -> Any:
    """A value that fits the schema: what is required, at its first choice or its least."""
    return _value(schema, schema, depth=0)


def _value(schema: Any, root: Mapping[str, Any], *, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    known = cast("Mapping[str, Any]", schema)
    if "const" in known:
        return known["const"]
    if known.get("enum"):
        return known["enum"][0]
    if "default" in known:
        return known["default"]
    if "$ref" in known:
        return _value({**_target(known["$ref"], root), **_rest(known)}, root, depth=depth + 1)
    for several in ("anyOf", "oneOf"):
        if known.get(several):
            first: Any = known[several][0]
            return _value({**_rest(known, several), **first}, root, depth=depth + 1)
    if known.get("allOf"):
        return _value(_merged(known, root), root, depth=depth + 1)
    return _typed(known, root, depth=depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], *, depth: int) -> Any:
    kind: Any = schema.get("type") or _implied(schema)
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        kind = next((each for each in kinds if each != "null"), "null")
    match kind:
        case "object":
            return _object(schema, root, depth=depth)
        case "array":
            return _array(schema, root, depth=depth)
        case "string":
            return _string(schema)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return False
        case _:
            return None


def _implied(schema: Mapping[str, Any]) -> str:
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "object" if "properties" in schema or "required" in schema else "null"


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required: Sequence[str] = schema.get("required") or ()
    return {name: _value(properties.get(name, {}), root, depth=depth + 1) for name in required}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], *, depth: int) -> list[Any]:
    first: Sequence[Any] = schema.get("prefixItems") or ()
    values = [_value(each, root, depth=depth + 1) for each in first]
    missing = int(schema.get("minItems") or 0) - len(values)
    return values + [_value(schema.get("items"), root, depth=depth + 1) for _ in range(missing)]


def _string(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), _WORD)
    text = text.ljust(int(schema.get("minLength") or 0), "x")
    return text[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """The value nearest to 0 within the bounds, as a multiple where one is asked for."""
    unit: float = schema.get("multipleOf") or 1
    least: float = schema.get("minimum", -math.inf)
    most: float = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if not whole and None not in (above, below) and "multipleOf" not in schema:
        return (cast("float", above) + cast("float", below)) / 2
    if above is not None:
        least = max(least, (math.floor(above / unit) + 1) * unit)
    if below is not None:
        most = min(most, (math.ceil(below / unit) - 1) * unit)
    if least > 0:
        found = math.ceil(least / unit) * unit if whole else least
    elif most < 0:
        found = math.floor(most / unit) * unit if whole else most
    else:
        found = 0
    return int(found) if whole else found


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.lstrip("#").strip("/").split("/"):
        if part:
            found = found[part.replace("~1", "/").replace("~0", "~")]
    return cast("Mapping[str, Any]", found)


def _rest(schema: Mapping[str, Any], left_out: str = "$ref") -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != left_out}


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """All parts of an `allOf` as one schema: properties and required names together."""
    whole = _rest(schema, "allOf")
    for part in cast("Sequence[Mapping[str, Any]]", schema["allOf"]):
        given = _target(part["$ref"], root) if "$ref" in part else part
        properties = {**whole.get("properties", {}), **given.get("properties", {})}
        required = [*whole.get("required", ()), *given.get("required", ())]
        whole |= given
        if properties:
            whole["properties"] = properties
        if required:
            whole["required"] = list(dict.fromkeys(required))
    return whole
