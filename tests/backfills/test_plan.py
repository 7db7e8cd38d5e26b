"""What a plan makes of a row: its job, and the key that a second run finds it by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client.backfill import Asked, Example, Plan, Template, load_labels, load_schema
from penstock_client.backfill.several import parts
from penstock_client.backfill.source import Row, key_of
from penstock_schemas.errors import InvalidJob

PLAN = Plan(workspace="acme", kind="classify", labels=("a", "b"))


def row(row_id: str | int = 1, **fields: Any) -> Row:
    return Row(1, row_id, key_of(row_id), {"id": row_id, **fields})


def test_plan_is_the_same_after_it_was_kept() -> None:
    plan = Plan(
        workspace="acme",
        kind="classify",
        labels=("a", "b"),
        template=Template.parse("Mind {tone}"),
        examples=(Example("x", "a"),),
        max_tokens=5,
        run="second",
    )
    assert Plan.of("acme", orjson.loads(orjson.dumps(plan.document()))) == plan


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace": "other"},
        {"labels": ("a", "c")},
        {"labels": ("b", "a")},
        {"model": "openai/gpt-4o-mini"},
        {"configuration": "careful"},
        {"max_tokens": 5},
        {"template": Template.parse("Mind the tone")},
        {"examples": (Example("x", "a"),)},
        {"rows_per_call": 5},
        {"run": "second"},
    ],
)
def test_identity_changes_with_every_setting_that_changes_answers(changes: dict[str, Any]) -> None:
    assert replace(PLAN, **changes).identity != PLAN.identity


def test_digest_is_the_same_for_the_same_question_only() -> None:
    asked = [Asked("x", None), Asked("x", None), Asked("y", None), Asked("x", "y"), Asked("", "x")]
    one, same, *others = [PLAN.digest(each) for each in asked]
    assert one == same
    assert len({one, *others}) == 4


def test_examples_stand_before_the_question() -> None:
    job = replace(PLAN, examples=(Example("so good", "a"),)).job(Asked("x", "Be quick"))
    assert job.prompt is not None
    assert job.prompt.index('"so good"') < job.prompt.index("Be quick")


def test_several_rows_are_asked_in_one_job_and_taken_apart() -> None:
    plan = replace(PLAN, rows_per_call=3)
    job = plan.job_of_several([Asked("x", None), Asked("y", None)])
    assert orjson.loads(job.text or "") == {"1": "x", "2": "y"}
    assert (job.capability, job.lane) == ("classify", "bulk")
    assert parts({"2": "b", "7": "a"}, 2) == [None, "b"]


def test_jobs_of_a_backfill_run_in_the_bulk_lane() -> None:
    assert PLAN.job(Asked("x", None)).lane == "bulk"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "has no 'text'"),
        ({"text": None}, "has no 'text'"),
        ({"text": ""}, "'text' is empty"),
        ({"text": " \n"}, "'text' is empty"),
        ({"text": 5}, "'text' is not text"),
    ],
)
def test_row_without_a_usable_text_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJob, match=message):
        PLAN.asked(row(**fields))


def test_template_makes_the_whole_prompt_of_generate() -> None:
    plan = Plan(workspace="acme", kind="generate", template=Template.parse("Greet {name}"))
    assert plan.job(plan.asked(row(name="Ada"))).prompt == "Greet Ada"


def test_template_is_instructions_beside_a_text_to_classify() -> None:
    plan = replace(PLAN, template=Template.parse("It is about {topic}"))
    job = plan.job(plan.asked(row(text="x", topic="ships")))
    assert (getattr(job, "text", None), job.prompt) == ("x", "It is about ships")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "classify"}, "labels-file"),
        ({"kind": "extract"}, "schema-file"),
        ({"kind": "generate", "labels": ("a",)}, "labels-file"),
        ({"kind": "classify", "labels": ("a",), "schema": {"type": "object"}}, "schema-file"),
        ({"kind": "generate", "workspace": "No Name"}, "workspace"),
        ({"kind": "generate", "rows_per_call": 2}, "rows-per-call"),
        ({"kind": "generate", "examples": (Example("x", "a"),)}, "examples"),
        ({"kind": "classify", "labels": ("a",), "examples": (Example("x", "b"),)}, "'b' is none"),
        (
            {"kind": "extract", "schema": {"$ref": "#/$defs/a"}, "rows_per_call": 2},
            "rows-per-call",
        ),
    ],
)
def test_plan_refuses_settings_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJob, match=message):
        Plan(**{"workspace": "acme", **fields})


@pytest.mark.parametrize("text", ['["a", "b"]', "a\nb\n", "\ufeffa\r\n\r\n b \r\n"])
def test_labels_come_from_json_or_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(text.encode())
    assert load_labels(path) == ("a", "b")


@pytest.mark.parametrize(
    "text", ["", "\n", "[]", '["a", "a"]', "a\na\n", '["a", 1]', '["a"', '["a", ""]']
)
def test_bad_labels_are_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels"
    path.write_text(text)
    with pytest.raises(InvalidJob, match=f"labels-file: {path}"):
        load_labels(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "true", '{"type": "objct"}', '{"required": 1}']
)
def test_bad_schema_is_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(InvalidJob, match=f"schema-file: {path}"):
        load_schema(path)
