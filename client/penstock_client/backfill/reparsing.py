"""Reading kept answers again under another schema, without a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from penstock_client.backfill.exporting import Exported

#: The `error.kind` of a row whose answer does not fit the new schema.
DOES_NOT_FIT: Final = "does_not_fit"


@dataclass(slots=True)
class Fitting:
    """How many answers fit the new schema; `problems` counts what was wrong with the others."""

    fit: int = 0
    misfit: int = 0
    without_answer: int = 0
    problems: Counter[str] = field(default_factory=Counter[str])


class Reparser:
    """Reads answers under a schema; `fitting` counts.

    An answer fits as it is, or after what the new schema does not know was left out of its objects.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        kind: Any = validator_for(cast("Any", schema))
        self._validator: Validator = kind(schema)
        self.fitting = Fitting()

    async def rows(self, rows: AsyncIterator[Exported]) -> AsyncIterator[Exported]:
        """Rows with their answers as the new schema has them, or why they do not fit."""
        async for row in rows:
            yield Exported(row.number, row.line, self.read(row.answer))

    def read(self, answer: dict[str, Any]) -> dict[str, Any]:
        """One answer under the new schema."""
        if answer["error"] is not None:
            self.fitting.without_answer += 1
            return {**_as_output(answer), "output": None}
        given = _value(answer)
        problem = ""
        for value in (given, _known(given, self._schema)):
            problem = self._problem(value)
            if not problem:
                self.fitting.fit += 1
                return {**_as_output(answer), "output": value}
        self.fitting.misfit += 1
        self.fitting.problems[problem] += 1
        error = {"kind": DOES_NOT_FIT, "message": problem}
        return {**_as_output(answer), "output": None, "error": error}

    def _problem(self, value: Any) -> str:
        """What is wrong first, in words that are the same for all answers; empty if nothing is."""
        found: Any = cast("Any", self._validator).iter_errors(value)
        error = next(iter(found), None)
        if error is None:
            return ""
        place = "/".join(str(part) for part in error.absolute_path)
        if error.validator in {"required", "additionalProperties"}:
            return str(error.message)[:200]
        return f"{place or 'the answer'}: breaks {error.validator!r} of the schema"


def _as_output(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with `output` where it had `text`, in its place."""
    return {("output" if name == "text" else name): value for name, value in answer.items()}


def _value(answer: Mapping[str, Any]) -> Any:
    if "text" not in answer:
        return answer["output"]
    try:
        return orjson.loads(answer["text"] or "")
    except orjson.JSONDecodeError:
        return answer["text"]


def _known(value: Any, schema: Any) -> Any:
    """A value without the properties that its schema does not name."""
    if not isinstance(schema, Mapping):
        return value
    known = cast("Mapping[str, Any]", schema)
    if isinstance(value, dict) and isinstance(known.get("properties"), Mapping):
        given, names = cast("dict[str, Any]", value), known["properties"]
        return {name: _known(each, names[name]) for name, each in given.items() if name in names}
    if isinstance(value, list) and "items" in known:
        return [_known(each, known["items"]) for each in cast("list[Any]", value)]
    return cast("Any", value)
