"""The smallest value that fits a JSON Schema."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from jsonschema import validate
from pydantic import BaseModel, Field

from penstock_client.testing.minimal import minimal_value


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    at: date
    ratio: float = Field(gt=0, lt=1)


class Outer(BaseModel):
    id: UUID
    colour: Colour
    inner: Inner
    several: list[Inner] = Field(min_length=2)
    pair: tuple[int, str]
    maybe: str | None
    count: Annotated[int, Field(ge=3, multiple_of=2)]
    price: Decimal
    code: Annotated[str, Field(min_length=12, max_length=14)]
    by_name: dict[str, int]
    left_out: str = "x"


def test_minimal_value_is_accepted_by_its_model() -> None:
    found = Outer.model_validate(minimal_value(Outer.model_json_schema()))

    assert found.count == 4
    assert len(found.several) == 2


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "exclusiveMinimum": 2},
        {"type": "integer", "maximum": -3},
        {"type": "number", "exclusiveMaximum": 0},
        {"type": ["null", "string"]},
        {"const": {"a": 1}},
        {"enum": [7]},
        {"oneOf": [{"type": "boolean"}, {"type": "string"}]},
        {"properties": {"a": {"type": "string", "format": "email"}}, "required": ["a"]},
        {
            "$defs": {"a": {"properties": {"x": {"type": "integer"}}, "required": ["x"]}},
            "allOf": [
                {"$ref": "#/$defs/a"},
                {"properties": {"y": {"type": "boolean"}}, "required": ["y"]},
            ],
        },
    ],
)
def test_minimal_value_fits(schema: dict[str, Any]) -> None:
    validate(minimal_value(schema), schema)


def test_minimal_value_of_a_schema_that_contains_itself_ends() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}},
        "required": ["next"],
    }

    assert "next" in minimal_value(schema)
