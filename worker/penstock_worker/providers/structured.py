"""Structured answers: what a job asks for, how to ask in words, and how to read what comes back.

Between `build` and `parse`: both ask `shape_of` for the same cached shape of a job. However an
answer was obtained, it is checked here against the caller's own schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import orjson
from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from penstock_schemas.jobs import Classify, Embed, Extract
from penstock_worker.providers.json_text import Mismatch, read_json
from penstock_worker.providers.protocol import AnyJob, Call
from penstock_worker.providers.reading import Object, as_object, is_list, is_object
from penstock_worker.providers.schema_check import Check, quick_check
from penstock_worker.providers.schema_dialects import (
    ROOT,
    Dialect,
    Inexpressible,
    is_wrapped,
    references,
    resolve,
    rooted,
    to_dialect,
)
from penstock_worker.providers.schema_nulls import without_added_nulls

#: Above this many characters a label set is told in words: providers limit their enums.
#: Source: https://developers.openai.com/api/docs/guides/structured-outputs (2026-11-21)
_LONGEST_ENUM_CHARS = 15_000
_QUOTED_ERRORS = 3


class BadSchema(ValueError):
    """The caller's schema cannot be used to check an answer."""


@dataclass(frozen=True)
class Shape:
    """What a structured answer must look like.

    `wire_schema` is what to ask for; `task` the words that always go with it; `asking` those for
    a provider that cannot be held to a schema.
    """

    wire_schema: Object | None
    task: str
    asking: str

    def read(self, text: str) -> tuple[Any, bool]:
        """The value in an answer, and whether its JSON had to be repaired. Raises Mismatch."""
        raise NotImplementedError

    @cached_property
    def rooted_schema(self) -> Object | None:
        """The schema to ask for, an object at its root; None when there is only "some JSON"."""
        return None if self.wire_schema is None else rooted(self.wire_schema)

    def in_dialect(self, dialect: Dialect) -> Object | None:
        """The schema in a provider's dialect, or None if it cannot be expressed there."""
        if dialect not in self._dialects:
            self._dialects[dialect] = self._translated(dialect)
        return self._dialects[dialect]

    @cached_property
    def _dialects(self) -> dict[Dialect, Object | None]:
        return {}

    def _translated(self, dialect: Dialect) -> Object | None:
        if self.wire_schema is None:
            return None
        try:
            return to_dialect(self.wire_schema, dialect)
        except Inexpressible:
            return None


@dataclass(frozen=True)
class SchemaShape(Shape):
    """An answer that fits the caller's JSON Schema."""

    schema: Object
    validator: Validator
    quick: Check | None
    wrapped: bool

    def read(self, text: str) -> tuple[Any, bool]:
        """The value, with optional properties that came as null left out. Raises Mismatch."""
        value, repaired = read_json(text)
        if self.wrapped and is_object(value) and value.keys() == {ROOT}:
            value = value[ROOT]
        if self.quick is not None and self.quick(value):
            return value, repaired
        if "null" in text:
            value = without_added_nulls(value, self.schema, self.schema)
        try:
            if self.validator.is_valid(value):
                return value, repaired
            raise Mismatch(_reasons(self.validator.iter_errors(value)))
        except (RecursionError, Unresolvable) as error:
            raise Mismatch(f"cannot be checked: {type(error).__name__}") from None


@dataclass(frozen=True)
class LabelShape(Shape):
    """One of a job's labels, or a list of them."""

    labels: frozenset[str]
    nearly: dict[str, str | None]
    multi: bool

    def read(self, text: str) -> tuple[Any, bool]:
        """The exact label, or list of labels. Raises Mismatch for one that is not among them."""
        try:
            value, repaired = read_json(text)
        except Mismatch:
            value, repaired = text, True
        if is_object(value):
            value = value.get(_MANY if self.multi else _ONE, value.get(_ONE, value.get(_MANY)))
        given = value if is_list(value) else [value]
        if self.multi:
            return list(dict.fromkeys(self._exact(label) for label in given)), repaired
        if len(given) != 1:
            raise Mismatch(f"expected one label, got {len(given)}")
        return self._exact(given[0]), repaired

    def _exact(self, label: object) -> str:
        if isinstance(label, str):
            if label in self.labels:
                return label
            if found := self.nearly.get(_folded(label)):
                return found
        shown = label if isinstance(label, str) else type(label).__name__
        raise Mismatch(f"{str(shown)[:80]!r} is not one of the {len(self.labels)} labels")


@dataclass(frozen=True)
class JsonShape(Shape):
    """Any JSON object or array."""

    def read(self, text: str) -> tuple[Any, bool]:
        """The value. Raises Mismatch for anything but an object or an array."""
        value, repaired = read_json(text)
        if is_object(value) or is_list(value):
            return value, repaired
        raise Mismatch("expected a JSON object")


_ONE, _MANY = "label", "labels"
_JSON_ONLY = "Answer with JSON only, without any other text"
_ANY_JSON = JsonShape(wire_schema=None, task="", asking=f"{_JSON_ONLY}.")


def shape_of(job: AnyJob) -> Shape | None:
    """What a job's answer must look like, or None for plain text. Raises BadSchema."""
    if isinstance(job, Embed):
        return None
    if isinstance(job, Classify):
        return _label_shape(job.labels, job.multi)
    if job.output_schema is not None:
        return _schema_shape(orjson.dumps(job.output_schema), isinstance(job, Extract))
    return _ANY_JSON if job.json_output else None


def not_enforced(call: Call, shape: Shape | None, *, held: bool) -> tuple[str, ...]:
    """The warning for a schema that a provider of schemas was told but is not `held` to."""
    means = call.model.structured_output or call.provider.structured_output
    if held or means != "json_schema" or shape is None or shape.wire_schema is None:
        return ()
    return (f"schema: told but not enforced by {call.model.ref}; the answer is checked here",)


@lru_cache(maxsize=512)
def _schema_shape(key: bytes, extracts: bool) -> SchemaShape:
    schema = as_object(orjson.loads(key))
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, SchemaError) else "nested too deeply"
        raise BadSchema(reason[:200]) from None
    for ref in references(schema):
        if not ref.startswith("#") or (ref.startswith("#/") and resolve(schema, ref) is None):
            raise BadSchema(f"$ref {ref[:80]!r} leads nowhere inside the schema")
        if _circles(schema, ref):
            raise BadSchema(f"$ref {ref[:80]!r} leads back to itself")
    task = "Extract what the schema asks for from the user's text." if extracts else ""
    shown = orjson.dumps(rooted(schema)).decode()
    return SchemaShape(
        wire_schema=schema,
        task=task,
        asking=f"{_JSON_ONLY}, that fits this JSON Schema:\n{shown}",
        schema=schema,
        # An own registry: references to other documents are never fetched.
        validator=kind(schema, registry=Registry()),
        quick=None if "$schema" in schema else quick_check(schema),
        wrapped=is_wrapped(schema),
    )


def _circles(schema: Object, ref: object) -> bool:
    """Whether a reference leads to nothing but references, and so says nothing."""
    seen: set[str] = set()
    while isinstance(ref, str):
        if ref in seen:
            return True
        seen.add(ref)
        ref = as_object(resolve(schema, ref)).get("$ref")
    return False


@lru_cache(maxsize=512)
def _label_shape(labels: tuple[str, ...], multi: bool) -> LabelShape:
    listed = orjson.dumps(labels).decode()
    item: Object = {"type": "string", "enum": list(labels)}
    example = f'{{"{_MANY}": ["…"]}}' if multi else f'{{"{_ONE}": "…"}}'
    task = (
        "Classify the user's text: choose every label that fits it."
        if multi
        else "Classify the user's text: choose the one label that fits it best."
    )
    if len(listed) > _LONGEST_ENUM_CHARS:
        item = {"type": "string"}
        task = f"{task}\nLabels: {listed}"
    field: Object = {"type": "array", "items": item} if multi else item
    return LabelShape(
        wire_schema={
            "type": "object",
            "properties": {_MANY if multi else _ONE: field},
            "required": [_MANY if multi else _ONE],
            "additionalProperties": False,
        },
        task=task,
        asking=f"Labels: {listed}\n{_JSON_ONLY}, like {example}.",
        labels=frozenset(labels),
        nearly=_nearly(labels),
        multi=multi,
    )


def _nearly(labels: Iterable[str]) -> dict[str, str | None]:
    """Folded label -> the exact one, or None where two labels differ by nothing else."""
    found: dict[str, str | None] = {}
    for label in labels:
        folded = _folded(label)
        found[folded] = None if folded in found else label
    return found


def _folded(label: str) -> str:
    return " ".join(label.strip(" \t\r\n\"'`.").casefold().split())


def _reasons(errors: Iterable[ValidationError]) -> str:
    found = sorted(errors, key=lambda error: (len(error.absolute_path), str(error.json_path)))
    lines = [f"{error.json_path}: {_reason(error)}" for error in found[:_QUOTED_ERRORS]]
    more = len(found) - _QUOTED_ERRORS
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _reason(error: ValidationError) -> str:
    shown = repr(error.instance)
    message = error.message
    if len(shown) > 60:
        message = message.replace(shown, "the value")
    return message if len(message) <= 200 else message[:199] + "…"
