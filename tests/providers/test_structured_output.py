"""Schemas in the providers' dialects, and answers checked against the caller's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.json_text import Mismatch, read_json
from penstock_worker.providers.schema_check import quick_check
from penstock_worker.providers.schema_dialects import (
    ANTHROPIC,
    COMPATIBLE,
    OPENAI,
    Inexpressible,
    to_dialect,
)
from penstock_worker.providers.schema_nulls import without_added_nulls
from penstock_worker.providers.structured import shape_of
from tests.providers.wire_calls import built, chat, generate, parsed


class Line(BaseModel):
    sku: str
    note: str | None = None
    amount: float = 1.0


class Order(BaseModel):
    customer: str
    lines: list[Line]
    priority: int = 0


def read(schema: dict[str, Any], text: str) -> Any:
    shape = shape_of(generate(prompt="x", schema=schema))
    assert shape is not None
    return shape.read(text)[0]


def test_a_pydantic_schema_becomes_strict_at_every_level() -> None:
    strict = to_dialect(Order.model_json_schema(), OPENAI)
    assert strict["required"] == ["customer", "lines", "priority"]
    line = strict["$defs"]["Line"]
    assert line["additionalProperties"] is False
    assert line["properties"]["amount"]["type"] == ["number", "null"]
    assert line["properties"]["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert "default" not in str(strict)


def test_nulls_that_strict_mode_added_are_undone_and_own_nulls_stay() -> None:
    text = '{"customer":"a","lines":[{"sku":"s","note":null,"amount":null}],"priority":null}'
    value = read(Order.model_json_schema(), text)
    assert value == {"customer": "a", "lines": [{"sku": "s", "note": None}]}


def test_limits_move_into_the_description_where_they_are_refused() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "description": "count"}},
        "required": ["n"],
    }
    assert to_dialect(schema, OPENAI)["properties"]["n"]["minimum"] == 1
    for dialect in (COMPATIBLE, ANTHROPIC):
        told = to_dialect(schema, dialect)["properties"]["n"]
        assert told == {"type": "integer", "description": "count (minimum: 1)"}


def test_one_of_becomes_any_of() -> None:
    choice = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    schema = {"type": "object", "properties": {"c": choice}, "required": ["c"]}
    for dialect in (OPENAI, ANTHROPIC):
        assert to_dialect(schema, dialect)["properties"]["c"] == {"anyOf": choice["oneOf"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"const": "x"}]}}},
    ],
)
def test_what_a_dialect_lacks_is_inexpressible_and_still_asked_for(schema: dict[str, Any]) -> None:
    with pytest.raises(Inexpressible):
        to_dialect(schema, OPENAI)
    content = built(generate(prompt="x", schema=schema)).request.content
    assert b'"strict":false' in content


def test_a_schema_that_is_no_object_travels_inside_one() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    assert to_dialect(schema, OPENAI)["required"] == ["value"]
    assert read(schema, '{"value":[1,2]}') == [1, 2]
    assert read(schema, "[1,2]") == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"a": 1}\n```',
        'Sure! Here it is:\n```\n{"a": 1}\n```\nAnything else?',
        'The answer is {"a": 1}.',
        '<think>{not this}</think>\n{"a": 1}',
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": 1',
    ],
)
def test_json_is_found_in_what_a_model_wrote(text: str) -> None:
    assert read_json(text)[0] == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "no json here", "[" * 400 + "]" * 400, '{"a": NaN}', '{"a": -Infinity,}', "NaN"]
)
def test_what_is_no_json_is_a_mismatch(text: str) -> None:
    with pytest.raises(Mismatch):
        read_json(text)


def test_reasons_name_the_place_and_not_the_whole_answer() -> None:
    schema = Order.model_json_schema()
    filler = "z" * 500
    text = f'{{"customer": 5, "lines": [{{"note": "{filler}"}}], "priority": "{filler}"}}'
    with pytest.raises(Mismatch) as caught:
        read(schema, text)
    told = str(caught.value)
    assert "$.customer: 5 is not of type 'string'" in told
    assert "zzz" not in told


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "thing"},
        {"$ref": "https://example.org/schema.json"},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone"}}},
    ],
)
def test_an_unusable_schema_is_refused_before_it_costs(schema: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="schema") as caught:
        built(generate(prompt="x", schema=schema))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_a_repaired_answer_says_so() -> None:
    answer = parsed(generate(prompt="x", json=True), chat('{"a": 1,}'))
    assert answer.output == {"a": 1}
    assert "repaired" in answer.warnings[0]


def test_json_mode_takes_no_bare_value() -> None:
    with pytest.raises(ProviderError) as caught:
        parsed(generate(prompt="x", json=True), chat('"just a string"'))
    assert caught.value.kind is ErrorKind.INVALID_OUTPUT


_LEAVES = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": ["a", "b"]}])


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("pqrs"), children, min_size=1, max_size=4)
    return st.builds(
        lambda fields, count: {
            "type": "object",
            "properties": fields,
            "required": sorted(fields)[:count],
        },
        properties,
        st.integers(0, 4),
    )


_SCHEMAS = _objects(
    st.recursive(
        _LEAVES,
        lambda inner: _objects(inner) | inner.map(lambda item: {"type": "array", "items": item}),
        max_leaves=6,
    )
)


def _least(schema: dict[str, Any]) -> Any:
    """The value of a strict schema with every nullable property null."""
    kind = schema.get("type")
    if (isinstance(kind, list) and "null" in kind) or {"type": "null"} in schema.get("anyOf", ()):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: _least(field) for name, field in schema["properties"].items()}
    return [_least(schema["items"])] if kind == "array" else {"string": "x", "integer": 1}[kind]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1) | st.floats(0, 1) | st.sampled_from("abx"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pqrs"), inner),
    max_leaves=8,
)


@given(_SCHEMAS, _VALUES)
def test_quick_check_never_takes_what_the_full_check_refuses(
    schema: dict[str, Any], value: Any
) -> None:
    check = quick_check(schema)
    assert check is not None
    assert not check(value) or Draft202012Validator(schema).is_valid(value)


def test_quick_check_takes_a_plain_answer() -> None:
    check = quick_check(Order.model_json_schema())
    assert check is not None
    assert check({"customer": "a", "lines": [{"sku": "s", "note": None, "amount": 2.5}]})
    assert not check({"customer": "a", "lines": [{"sku": 1}]})
    assert not check({"customer": "a"})


@pytest.mark.parametrize(
    "keyword", [{"minimum": 1}, {"not": {}}, {"enum": [1, 2]}, {"type": "integer", "const": 1}]
)
def test_quick_check_leaves_other_keywords_to_the_full_check(keyword: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", **keyword}}}
    assert quick_check(schema) is None


@given(_SCHEMAS)
def test_any_answer_in_strict_form_fits_the_callers_schema_once_nulls_are_undone(
    schema: dict[str, Any],
) -> None:
    value = _least(to_dialect(schema, COMPATIBLE))
    Draft202012Validator(schema).validate(without_added_nulls(value, schema, schema))
