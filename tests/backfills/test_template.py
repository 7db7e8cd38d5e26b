"""Prompt templates: placeholders, escapes, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.backfill import Template
from penstock_schemas.errors import InvalidJob


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@given(st.text())
def test_template_gives_escaped_text_back(text: str) -> None:
    assert Template.parse(escaped(text)).render({}) == text


@given(st.text(), st.text(), st.text())
def test_template_keeps_a_value_as_it_is(before: str, value: str, after: str) -> None:
    template = Template.parse(f"{escaped(before)}{{name}}{escaped(after)}")
    assert template.render({"name": value}) == before + value + after


def test_template_writes_other_values_as_json() -> None:
    fields = {"n": 1.5, "list": ["a"], "none": None}
    assert Template.parse("{n} {list} {none}").render(fields) == '1.5 ["a"] null'


def test_template_names_the_field_that_a_row_lacks() -> None:
    with pytest.raises(InvalidJob, match="'kind'"):
        Template.parse("Sort {kind}").render({"id": 1})


@pytest.mark.parametrize("text", ["{", "}", "{}", '{"a": 1}', "{a[0]}", "{a!r}", "{{a}"])
def test_template_refuses_what_is_no_placeholder(text: str) -> None:
    with pytest.raises(InvalidJob, match="p: line 2"):
        Template.parse(f"first\n{text}", origin="p")
