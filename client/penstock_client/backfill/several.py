"""Several rows in one call: the question that shows them all, and the parts of its answer. Pure.

Rows are shown as a JSON object by their numbers from 1, and answered as one. No number has to be
there: a row without a part is asked alone, which costs less than asking all of them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import orjson

_REF: Final = "#/$defs/answer"


def refused_schema(schema: Mapping[str, Any]) -> str | None:
    """Why answers to several rows cannot have this schema; None where they can."""
    if b'"$ref"' in orjson.dumps(schema):
        return "the schema has a $ref, which means something else within another schema"
    return None


def several_fields(
    texts: Sequence[str],
    *,
    instructions: str | None,
    labels: Sequence[str],
    schema: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The fields of the job that asks several rows."""
    what = (
        "Each value of the input is a text of its own. Choose the one label that fits it best."
        if labels
        else "Each value of the input is a text of its own. Extract what the schema asks from it."
    )
    told = f"{what} Answer with a JSON object that has, for each key of the input, its answer."
    return {
        "text": orjson.dumps({str(at): text for at, text in enumerate(texts, 1)}).decode(),
        "prompt": f"{instructions}\n\n{told}" if instructions else told,
        "output_schema": {
            "type": "object",
            "properties": {str(at): {"$ref": _REF} for at in range(1, len(texts) + 1)},
            "additionalProperties": False,
            "$defs": {"answer": {"type": "string", "enum": list(labels)} if labels else schema},
        },
    }


def parts(output: Any, count: int) -> list[Any]:
    """The answers of so many rows, in their order; None where one has none."""
    if not isinstance(output, dict):
        return [None] * count
    found = cast("dict[str, Any]", output)
    return [found.get(str(at)) for at in range(1, count + 1)]
