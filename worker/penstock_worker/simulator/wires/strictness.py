"""What providers refuse in the schema of a structured output, as pure checks.

Source: https://platform.openai.com/docs/guides/structured-outputs and
https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs, 2026-11.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from penstock_worker.simulator.request import JsonObject, Refusal, invalid, is_object, part_of

_NOT_ALLOWED = ("oneOf", "allOf", "not", "if", "dependentRequired", "patternProperties", "default")
_NOT_IN_ANTHROPIC = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "maxItems", "oneOf",
)  # fmt: skip


def check_strict(schema: JsonObject, name: str) -> None:
    """Raise a 400 that names the first place where a schema breaks OpenAI's strict subset."""
    fault = _strict_fault(orjson.dumps(schema), name)
    if fault is not None:
        raise invalid(fault)


@lru_cache(maxsize=1024)
def _strict_fault(written: bytes, name: str) -> str | None:
    try:
        _check_root(orjson.loads(written), f"Invalid schema for {name}")
    except Refusal as refusal:
        return refusal.message
    return None


def _check_root(schema: JsonObject, where: str) -> None:
    if schema.get("type") != "object" or "anyOf" in schema:
        raise invalid(f"{where}: schema must be of type 'object', without a root anyOf.")
    _check(schema, where, ())


def _check(schema: Any, where: str, path: tuple[str, ...]) -> None:
    if not is_object(schema):
        return
    context = f"In context={path}"
    for keyword in _NOT_ALLOWED:
        if keyword in schema:
            raise invalid(f"{where}: {context}, '{keyword}' is not permitted.")
    if "$ref" in schema and len(schema) > 1:
        raise invalid(f"{where}: {context}, $ref cannot have sibling keywords.")
    if schema.get("type") == "object" or "properties" in schema:
        _check_object(schema, where, context)
    if schema.get("type") == "array" and "items" not in schema:
        raise invalid(f"{where}: {context}, array schema missing items.")
    for keyword in ("properties", "$defs", "definitions"):
        for name, child in part_of(schema, keyword).items():
            _check(child, where, (*path, keyword, name))
    for index, branch in enumerate(schema.get("anyOf") or ()):
        _check(branch, where, (*path, "anyOf", str(index)))
    _check(schema.get("items"), where, (*path, "items"))


def _check_object(schema: JsonObject, where: str, context: str) -> None:
    if schema.get("additionalProperties") is not False:
        raise invalid(
            f"{where}: {context}, 'additionalProperties' is required to be supplied and to be"
            " false."
        )
    required = schema.get("required") or ()
    for name in part_of(schema, "properties"):
        if name not in required:
            raise invalid(
                f"{where}: {context}, 'required' is required to be supplied and to be an array"
                f" including every key in properties. Missing '{name}'."
            )


def check_anthropic(schema: JsonObject, where: str) -> None:
    """Raise a 400 where a schema uses what Anthropic's structured outputs do not support."""
    fault = _anthropic_fault(orjson.dumps(schema), where)
    if fault is not None:
        raise invalid(fault)


@lru_cache(maxsize=1024)
def _anthropic_fault(written: bytes, where: str) -> str | None:
    try:
        _check_anthropic(orjson.loads(written), where)
    except Refusal as refusal:
        return refusal.message
    return None


def _check_anthropic(schema: Any, where: str) -> None:
    if not is_object(schema):
        return
    kind = schema.get("type")
    used = [keyword for keyword in _NOT_IN_ANTHROPIC if keyword in schema]
    if used:
        raise invalid(f"{where}: For '{kind}' type, properties {', '.join(used)} are not supported")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise invalid(
            f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )
    for keyword in ("properties", "$defs", "definitions"):
        for child in part_of(schema, keyword).values():
            _check_anthropic(child, where)
    for keyword in ("anyOf", "allOf"):
        for branch in schema.get(keyword) or ():
            _check_anthropic(branch, where)
    _check_anthropic(schema.get("items"), where)
