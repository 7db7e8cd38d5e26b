"""JSON Schema in the forms that Gemini takes."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_worker.providers.gemini_schema import json_schema, older_schema
from penstock_worker.providers.schema_dialects import Inexpressible


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 1}),
        ({"const": "x"}, {"type": "string", "format": "enum", "enum": ["x"]}),
        ({"type": ["null", "integer"]}, {"type": "integer", "nullable": True}),
        ({"enum": [1, 2]}, {"type": "integer", "description": "One of: 1, 2."}),
        (
            {"enum": ["a", None]},
            {"type": "string", "nullable": True, "format": "enum", "enum": ["a"]},
        ),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        (
            {"type": ["string", "integer"]},
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
            {"type": "string", "description": "d", "nullable": True},
        ),
        (
            {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "propertyOrdering": ["a"],
                "required": ["a"],
            },
        ),
        ({"type": "string", "format": "uuid", "$comment": "x"}, {"type": "string"}),
    ],
)
def test_older_schema_says_it_in_its_own_words(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert older_schema(given) == made


def test_older_schema_inlines_references() -> None:
    given = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "first"}},
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "string"}},
    }
    assert older_schema(given)["properties"] == {"a": {"type": "string", "description": "first"}}


@pytest.mark.parametrize(
    "definitions",
    [
        {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}},
        {"A": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/A"}]}},
        {"A": {"$ref": "#/$defs/A"}},
        {"A": {"allOf": [{"$ref": "#/$defs/A"}]}},
    ],
)
def test_older_schema_refuses_one_that_refers_to_itself(definitions: dict[str, Any]) -> None:
    with pytest.raises(Inexpressible):
        older_schema({"$ref": "#/$defs/A", "$defs": definitions})


def test_older_schema_refuses_one_that_would_grow_without_bound() -> None:
    levels = {
        f"L{n}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/L{n + 1}"} for side in ("a", "b")},
        }
        for n in range(30)
    }
    levels["L30"] = {"type": "string"}
    with pytest.raises(Inexpressible):
        older_schema({"$ref": "#/$defs/L0", "$defs": levels})


def test_json_schema_has_no_lists_of_types() -> None:
    given = {
        "type": "object",
        "properties": {"type": {"type": ["string", "null"], "enum": ["a", None]}},
        "required": ["type"],
    }
    assert json_schema(given)["properties"]["type"] == {
        "anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]
    }
