"""Filling a schema from a text: always valid, and the right value where the text has it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_worker.simulator.filling import filler
from penstock_worker.simulator.passage import Passage

ORDER = (
    "Order 4711 from Jane Smith (jane.smith@example.com) on March 12, 2024: 3 blue mugs, total"
    " $45.90. She wants delivery by 2024-03-20 to Berlin. The parcel is not insured."
    " See https://shop.example/o/4711."
)
NAMES = st.sampled_from(
    ["name", "total_price", "isUrgent", "date", "summary", "tags", "email", "x"]
)


def fill(schema: dict[str, Any], text: str = ORDER) -> Any:
    return filler(schema).fill(Passage(text), 0)


def bounded(low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def ordered(pair: tuple[Any, Any]) -> dict[str, Any]:
        given_ = [v for v in pair if v is not None]
        swapped = len(given_) == 2 and given_[0] > given_[1]
        first, second = (pair[1], pair[0]) if swapped else pair
        both = {low: first, high: second}
        return {key: value for key, value in both.items() if value is not None}

    return st.tuples(st.none() | values, st.none() | values).map(ordered)


def joined(*parts: Any) -> st.SearchStrategy[dict[str, Any]]:
    made = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*made).map(lambda dicts: {k: v for d in dicts for k, v in d.items()})


SCALARS = st.one_of(
    joined({"type": "string"}, bounded("minLength", "maxLength", st.integers(0, 40))),
    st.sampled_from(["date", "date-time", "email", "uri", "uuid", "ipv4"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.sampled_from(
        [r"^[A-Z]{2}\d{4}$", r"^(red|green)-[a-f0-9]+$", r"^CVE-\d{4}-\d{4,}$", r"^\S+@\S+\.\w+$"]
    ).map(lambda pattern: {"type": "string", "pattern": pattern}),
    joined({"type": "integer"}, bounded("minimum", "maximum", st.integers(-50, 5000))),
    joined({"type": "integer", "multipleOf": 5}, {"minimum": -7}),
    joined({"type": "number"}, bounded("minimum", "maximum", st.floats(-10, 10))),
    st.just({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"const": 7}),
    st.lists(st.sampled_from(["red", "green", "card_arrival", 1, True, None]), min_size=1).map(
        lambda values: {"enum": values}
    ),
    st.just({"type": ["string", "null"]}),
    st.just({"$ref": "#/$defs/leaf"}),
    st.just({"$ref": "#/$defs/tree"}),
)


def wider(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(NAMES, inner, max_size=4).flatmap(
        lambda properties: joined(
            {"type": "object", "properties": properties},
            st.lists(st.sampled_from(sorted(properties) or ["x"]), unique=True).map(
                lambda names: {"required": names}
            ),
            st.sampled_from([{}, {"additionalProperties": False}] if properties else [{}]),
        )
    )
    arrays = joined(
        {"type": "array"},
        inner.map(lambda item: {"items": item}),
        bounded("minItems", "maxItems", st.integers(0, 4)),
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
    maps = joined(
        {"type": "object", "minProperties": 2}, inner.map(lambda s: {"additionalProperties": s})
    )
    return st.one_of(objects, arrays, unions, maps)


DEFS = {
    "leaf": {"type": "string", "maxLength": 9},
    "tree": {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
        },
        "required": ["value", "children", "next"],
        "additionalProperties": False,
    },
}
SCHEMAS = st.recursive(SCALARS, wider, max_leaves=8).map(lambda schema: {**schema, "$defs": DEFS})


@given(
    schema=SCHEMAS, text=st.sampled_from([ORDER, "", "- a: 1\n- b: 2", "x"]) | st.text(max_size=80)
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fill_always_satisfies_the_schema(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(fill(schema, text), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "allOf": [
                {"type": "object", "required": ["a"]},
                {"properties": {"a": {"type": "integer"}}},
            ]
        },
        {"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": k}, k: {}},
                    "required": ["kind", k],
                }
                for k in ("cat", "dog")
            ]
        },
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]},
    ],
)
def test_fill_satisfies_combinations(schema: dict[str, Any]) -> None:
    jsonschema.validate(fill(schema), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [
        ("name", {"type": "string"}, "Jane Smith"),
        ("email", {"type": "string"}, "jane.smith@example.com"),
        ("order_id", {"type": "integer"}, 4711),
        ("quantity", {"type": "integer", "description": "number of mugs"}, 3),
        ("total", {"type": "number"}, 45.9),
        ("orderDate", {"type": "string", "format": "date"}, "2024-03-12"),
        ("delivery_date", {"type": "string"}, "2024-03-20"),
        ("insured", {"type": "boolean"}, False),
        ("url", {"type": "string"}, "https://shop.example/o/4711"),
        ("phone", {"type": ["string", "null"]}, None),
        ("kind", {"enum": ["order", "complaint", "question"]}, "order"),
    ],
)
def test_fill_finds_the_value_in_the_text(name: str, schema: dict[str, Any], expected: Any) -> None:
    whole = {"type": "object", "properties": {name: schema}, "required": [name]}
    assert fill(whole) == {name: expected}


def test_fill_prefers_labelled_lines() -> None:
    schema = {
        "type": "object",
        "properties": {"severity": {"type": "string"}, "affected_version": {"type": "string"}},
        "required": ["severity", "affected_version"],
    }
    text = "Version 9.9.9 of the tool came out.\nSeverity: high\nAffected version: 1.2.3"
    assert fill(schema, text) == {"severity": "high", "affected_version": "1.2.3"}


def test_fill_collects_all_identifiers_into_an_array() -> None:
    schema = {
        "type": "object",
        "properties": {"aliases": {"type": "array", "items": {"type": "string"}}},
    }
    text = "Known as CVE-2021-12345 and CVE-2022-1111."
    assert fill(schema, text) == {"aliases": ["CVE-2021-12345", "CVE-2022-1111"]}


def test_fill_leaves_out_optional_properties_without_evidence() -> None:
    schema = {
        "type": "object",
        "properties": {"phone": {"type": "string"}, "email": {"type": "string"}},
    }
    assert fill(schema) == {"email": "jane.smith@example.com"}


def test_fill_picks_several_labels_for_an_array_of_an_enum() -> None:
    schema = {"type": "array", "items": {"enum": ["billing", "shipping_delay", "login"]}}
    assert fill(schema, "My billing is wrong and shipping has a delay") == [
        "shipping_delay",
        "billing",
    ]


ITEMS = {
    "type": "object",
    "properties": {
        "order_number": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["order_number", "items"],
}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Order A-10423: 2 oak trays and linen napkins.", ["2 oak trays", "linen napkins"]),
        (
            "In order A-10423 I bought a lamp, a chair and two tables for my flat.",
            ["a lamp", "a chair", "two tables"],
        ),
        ("Order A-10423:\n- 2 oak trays\n- linen napkins", ["2 oak trays", "linen napkins"]),
        ("Order A-10423 failed and was replaced on Monday.", []),
        ("Order A-10423 waited 3 weeks and 2 days.", []),
    ],
)
def test_filling_finds_items_that_a_sentence_lists(text: str, items: list[str]) -> None:
    assert fill(ITEMS, text) == {"order_number": "A-10423", "items": items}


def test_filling_takes_a_number_after_the_word_order_for_its_number() -> None:
    assert fill(ITEMS)["order_number"] == "4711"


def test_filling_takes_no_identifier_for_a_part_of_a_name() -> None:
    schema = {"type": "object", "properties": {"customer": {"type": "string"}}}
    assert fill(schema, "Order A-10423 is for Jane O'Neil.") == {"customer": "Jane O'Neil"}
