"""Whether a JSON Schema is one, before anything is recorded or asked with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from penstock_schemas.errors import InvalidJob


def schema_problem(schema: Mapping[str, Any]) -> str | None:
    """What keeps a JSON object from being a JSON Schema; None where nothing does."""
    try:
        return _problem(orjson.dumps(schema))
    except (RecursionError, orjson.JSONEncodeError) as error:
        return f": {'nested too deeply' if isinstance(error, RecursionError) else error}"


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse what is no JSON Schema; raises InvalidJob."""
    problem = schema_problem(schema)
    if problem is not None:
        raise InvalidJob(f"schema: is not a JSON Schema{problem}", field="schema")


@lru_cache(maxsize=512)  # thousands of jobs share few schemas
def _problem(encoded: bytes) -> str | None:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    schema: Any = orjson.loads(encoded)
    try:
        validator_for(schema).check_schema(schema)  # pyright: ignore[reportUnknownMemberType]
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path)
        at = f" at {place}" if place else ""
        return f"{at}: {error.message}"
    return None
