"""The playground's form: what it makes of what was filled in, and what it says of mistakes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock_gateway.console.playground_form import DEADLINE, SKILL, Form, Mistakes
from penstock_schemas.jobs import Classify, Embed, Extract, Generate

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def mistakes_of(form: Form) -> dict[str, str]:
    """What a form is told."""
    with pytest.raises(Mistakes) as refused:
        form.job("acme", now=NOW)
    return dict(refused.value.told)


def test_form_asks_for_a_streamed_job_that_is_tagged_and_ends() -> None:
    job = Form.of({"kind": "generate", "text": " Tell me of rivers. "}).job("acme", now=NOW)
    assert job == Generate(
        workspace="acme",
        prompt="Tell me of rivers.",
        stream=True,
        skill=SKILL,
        deadline=NOW + DEADLINE,
    )


def test_form_takes_labels_by_line() -> None:
    form = Form.of({"kind": "classify", "text": "hot", "labels": "warm\r\n\r\n cold \r\n"})
    job = form.job("acme", now=NOW)
    assert isinstance(job, Classify)
    assert (job.labels, job.multi, job.text) == (("warm", "cold"), False, "hot")


def test_form_passes_on_pin_strategy_and_measures() -> None:
    filled = {
        "kind": "reason",
        "capability": "judge",
        "text": "why?",
        "strategy": "cost",
        "max_tokens": "50",
        "temperature": "0.5",
    }
    job = Form.of(filled).job("acme", now=NOW)
    assert not isinstance(job, Embed)
    assert (job.capability, job.strategy, job.max_tokens) == ("judge", "cost", 50)
    assert job.temperature == pytest.approx(0.5)


def test_form_leaves_out_what_another_kind_has() -> None:
    """What was filled in before the kind was changed does no harm."""
    filled = {"kind": "embed", "text": "a\nb", "labels": "x", "schema": "{", "system": "s"}
    job = Form.of({**filled, "strategy": "cost", "max_tokens": "5"}).job("acme", now=NOW)
    assert isinstance(job, Embed)
    assert (job.input, job.strategy) == (("a", "b"), None)


@pytest.mark.parametrize(
    ("filled", "field", "told"),
    [
        ({"kind": "generate"}, "text", "Write what to ask."),
        ({"kind": "classify", "labels": "a"}, "text", "Write the text to work on."),
        ({"kind": "classify", "text": "x"}, "labels", "Write the labels to choose from"),
        ({"kind": "classify", "text": "x", "labels": "a\na"}, "labels", "must be distinct"),
        ({"kind": "extract", "text": "x"}, "schema", "Write the JSON Schema to fill."),
        ({"kind": "extract", "text": "x", "schema": "{"}, "schema", "This is not JSON."),
        ({"kind": "extract", "text": "x", "schema": "[]"}, "schema", "JSON Schema"),
        ({"kind": "embed", "text": " \n"}, "text", "Write a text, or several"),
        ({"kind": "generate", "text": "x", "max_tokens": "many"}, "max_tokens", "integer"),
        ({"kind": "generate", "text": "x", "temperature": "9"}, "temperature", "less than"),
        ({"kind": "generate", "text": "x", "strategy": "luck"}, "strategy", "'cost'"),
    ],
)
def test_form_says_what_is_wrong_at_its_field(
    filled: dict[str, str], field: str, told: str
) -> None:
    found = mistakes_of(Form.of(filled))
    assert list(found) == [field]
    assert told.lower() in found[field].lower()
    assert found[field].endswith(".")


def test_form_of_a_kind_that_is_none_is_that_of_generate() -> None:
    assert Form.of({"kind": "destroy", "other": "x"}) == Form(kind="generate")


@pytest.mark.parametrize(
    "filled",
    [
        {"kind": "generate", "text": "a\nb", "system": "be brief", "temperature": "0.5"},
        {"kind": "classify", "text": "t", "prompt": "how?", "labels": "a\nb", "multi": "on"},
        {"kind": "extract", "text": "t", "schema": '{\n  "type": "object"\n}'},
        {"kind": "embed", "text": "a\nb", "model": "openai/text-embedding-3-small"},
    ],
)
def test_form_about_a_job_asks_for_the_same_again(filled: dict[str, str]) -> None:
    form = Form.of({**filled, "workspace": "acme"})
    again = Form.about(form.job("acme", now=NOW))
    assert again == form
    assert isinstance(again.job("acme", now=NOW), (Generate, Classify, Extract, Embed))
