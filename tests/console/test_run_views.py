"""What a run's page shows, from how it stands and the plan of its skill."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock_client.pipelines.skill import Skill
from penstock_gateway.console.run_views import RunShown, item_shown, run_shown
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.runs import (
    ItemResult,
    RunId,
    RunResult,
    RunState,
    StepState,
    StepStatus,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SKILL = Skill.parse(
    {
        "name": "triage",
        "steps": [
            {"name": "load", "function": "examples.triage:load"},
            {
                "name": "judge-every-record-of-the-input",
                "type": "classify",
                "for_each": "{load.output}",
                "text": "{item}",
                "labels": ["a", "b"],
                "on_failure": "continue",
            },
            {
                "name": "report",
                "type": "generate",
                "prompt": "{judge-every-record-of-the-input.output}",
                "model": "openai/gpt-4o",
            },
        ],
    }
)


def shown(*, status: RunState = RunState.RUNNING, **of_judge: int | None) -> RunShown:
    """A run of which the first step is done."""
    steps = (
        StepStatus(
            name="load", type="compute", status=StepState.SUCCEEDED, items=1, begun=1, succeeded=1
        ),
        StepStatus(
            name="judge-every-record-of-the-input",
            type="classify",
            status=StepState.RUNNING,
            **of_judge,  # type: ignore[arg-type]
        ),
        StepStatus(name="report", type="generate", status=StepState.WAITING),
    )
    result = RunResult(
        run_id=RunId("019aa0a4-0000-7000-8000-000000000000"),
        workspace=WorkspaceId("acme"),
        skill="triage",
        digest="d",
        status=status,
        steps=steps,
        created_at=NOW,
        output={"a": 1},
    )
    return run_shown(result, SKILL.plan)


def test_run_shows_steps_with_what_they_do_and_come_after() -> None:
    load, judge, report = shown(items=8).steps
    assert load.does == "calls examples.triage:load"
    assert judge.does == "asks the model for classify"
    assert report.does == "asks openai/gpt-4o"
    assert (load.after, judge.after) == ((), ("load",))
    assert judge.rules[0] == "once for each of {load.output}"


def test_run_shows_how_far_a_fan_out_is() -> None:
    judge = shown(items=8, begun=7, succeeded=4, failed=1).steps[1]
    assert (judge.counts, judge.running, judge.done, judge.lost) == ("5 of 8", 2, 0.5, 0.125)
    assert judge.told == "judge-every-record-of-the-input, classify, running, 5 of 8, 1 failed"


def test_run_shows_no_counts_of_a_step_without_a_fan_out() -> None:
    assert shown(items=8).steps[0].counts == ""


def test_run_shows_no_counts_before_they_are_known() -> None:
    judge = shown(items=None).steps[1]
    assert (judge.counts, judge.done, judge.lost) == ("", 0.0, 0.0)


def test_run_shortens_names_to_what_fits_into_the_drawing() -> None:
    judge = shown(items=8).steps[1]
    assert judge.short == "judge-every-record-o…"
    assert judge.shorter == "judge-every-rec…"


def test_run_draws_each_step_once() -> None:
    run = shown(items=8)
    for drawing in (run.wide, run.upright):
        assert [box.position for box in drawing.boxes] == [0, 1, 2]


def test_run_can_be_resumed_only_after_it_failed_or_was_cancelled() -> None:
    can = {state.label for state in RunState if shown(status=state, items=1).can_resume}
    assert can == {"failed", "cancelled"}


def test_run_counts_its_steps_that_are_over() -> None:
    assert shown(items=8).steps_over == 1


def test_item_shows_the_beginning_of_its_answer() -> None:
    item = ItemResult(
        step="judge",
        item=3,
        status=StepState.SUCCEEDED,
        output={"why": "x" * 500},
        provider="openai",
        model="gpt-4o",
        simulated=True,
    )
    row = item_shown(item)
    assert row.preview is not None
    assert row.preview.startswith('{"why":"xxx')
    assert len(row.preview) == 160
    assert (row.model, row.simulated, row.state) == ("openai/gpt-4o", True, "succeeded")
