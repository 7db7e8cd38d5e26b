"""Placeholders: what they lead to, what they keep of a type, what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.pipelines.templates import Scope, Template, rendered, templates_in
from penstock_schemas.errors import InvalidJob

SCOPE = Scope(
    inputs={"name": "Ada", "deals": [{"value": 3}, {"value": 5}], "last name": "L"},
    steps={"read-notes": {"output": ["a", {"b": None}], "text": "t"}},
).at({"id": 7}, 1)


def filled(text: str) -> Any:
    return Template.parse(text, origin="prompt").value(SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{inputs.name}", "Ada"),
        ("{inputs.last name}", "L"),
        ("{inputs.deals}", [{"value": 3}, {"value": 5}]),
        ("{inputs.deals[0].value}", 3),
        ("{inputs.deals[index].value}", 5),
        ("{read-notes.output[1].b}", None),
        ("{read-notes.output[1].b.c.d}", None),
        ("{item}", {"id": 7}),
        ("{ item.id }", 7),
        ("{index}", 1),
        ("Dear {inputs.name}, {item.id}", "Dear Ada, 7"),
        ("deals: {inputs.deals}", 'deals: [{"value":3},{"value":5}]'),
        ("{read-notes.output[1].b}!", "null!"),
        ("{{inputs.name}}", "{inputs.name}"),
        ("", ""),
    ],
)
def test_template_gives_the_value(text: str, value: Any) -> None:
    assert filled(text) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{inputs.nam}", "{inputs.nam}: there is no 'nam', only name, deals, last name"),
        ("{inputs.deals[2]}", "{inputs.deals[2]}: there is no [2], a list of 2"),
        ("{inputs.name.first}", "there is no 'first', a str, which has no parts"),
        ("{inputs.deals.value}", "there is no 'value', a list of 2"),
    ],
)
def test_path_that_ends_early_says_where(text: str, told: str) -> None:
    with pytest.raises(InvalidJob) as raised:
        filled(text)
    assert told in str(raised.value)


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a b}", "{.x}", "{inputs.}", "{a[}", "{a[-1]}"])
def test_text_that_is_no_template_says_in_which_line(text: str) -> None:
    with pytest.raises(InvalidJob, match="prompt: line 2: "):
        Template.parse(f"fine\n{text}", origin="prompt")


def test_document_keeps_types_and_what_is_no_text() -> None:
    document = {"a": ["{item.id}", 5, None], "b": {"c": "{inputs.name}!"}, "d": True}
    assert rendered(document, SCOPE) == {"a": [7, 5, None], "b": {"c": "Ada!"}, "d": True}


def test_templates_of_a_document_are_found_with_their_place() -> None:
    with pytest.raises(InvalidJob, match=r"step x: arguments\.a\.1: line 1"):
        list(templates_in({"a": ["{item}", "{"]}, origin="step x: arguments"))


@given(st.text())
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert filled(escaped) == text
