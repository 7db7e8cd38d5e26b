"""Kept answers under another schema."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.backfill.reparsing import DOES_NOT_FIT, Reparser

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {
        "type": "object", "properties": {"id": {"type": "integer"}},
        "additionalProperties": False}}},
    "required": ["name"],
    "additionalProperties": False,
}  # fmt: skip


def answer(output: Any = None, **changes: Any) -> dict[str, Any]:
    return {"id": 1, "output": output, "model": "m", "error": None} | changes


def test_answer_that_fits_stays_as_it_is() -> None:
    reparser = Reparser(SCHEMA)
    assert reparser.read(answer({"name": "x"}))["output"] == {"name": "x"}
    assert reparser.fitting.fit == 1


def test_what_the_schema_does_not_know_is_left_out_at_any_depth() -> None:
    given = {"name": "x", "age": 4, "parts": [{"id": 1, "more": 2}]}
    assert Reparser(SCHEMA).read(answer(given))["output"] == {"name": "x", "parts": [{"id": 1}]}


def test_text_is_read_as_json() -> None:
    given = {"id": 1, "text": '{"name": "x"}', "model": "m", "error": None}
    assert Reparser(SCHEMA).read(given) == answer({"name": "x"})


@pytest.mark.parametrize("output", [{}, {"name": 5}, "x", None])
def test_answer_that_does_not_fit_says_why_and_is_counted(output: Any) -> None:
    reparser = Reparser(SCHEMA)
    read = reparser.read(answer(output))
    assert (read["output"], read["error"]["kind"]) == (None, DOES_NOT_FIT)
    assert sum(reparser.fitting.problems.values()) == reparser.fitting.misfit == 1


def test_row_without_an_answer_keeps_its_error() -> None:
    reparser = Reparser(SCHEMA)
    assert reparser.read(answer(error={"kind": "refusal"}))["error"] == {"kind": "refusal"}
    assert reparser.fitting.without_answer == 1
