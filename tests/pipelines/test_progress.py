"""What follows from how the steps of a run stand, for pipelines of all shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock_client import Skill
from penstock_client.pipelines.plan import Plan
from penstock_client.pipelines.progress import Standing, again, begun, moves, stopped
from penstock_schemas.runs import RunState, StepState


def plan(*steps: dict[str, Any]) -> Plan:
    declared = [{"type": "generate", "prompt": "x", **step} for step in steps]
    return Skill.parse({"name": "s", "steps": declared}).plan


def fresh(of: Plan) -> list[Standing]:
    return [Standing(position=each.position) for each in of.steps]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Acyclic pipelines with any policies."""
    steps: list[dict[str, Any]] = []
    for at in range(draw(st.integers(1, 7))):
        names = [step["name"] for step in steps]
        steps.append(
            {
                "name": f"s{at}",
                "after": draw(st.lists(st.sampled_from(names), unique=True)) if names else [],
                "on_failure": draw(st.sampled_from(["fail", "skip", "continue"])),
                "needs": draw(st.sampled_from(["all", "any"])),
                "for_each": "{inputs.of}" if draw(st.booleans()) else None,
            }
        )
    return plan(*draw(st.permutations(steps)))


@given(plans(), st.data())
def test_every_run_ends_and_begins_each_step_once_after_those_before_it(
    given_plan: Plan, data: st.DataObject
) -> None:
    steps, began = fresh(given_plan), list[int]()
    over = {StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED}
    for _ in range(200):
        moved = moves(given_plan, steps)
        steps = list(moved.steps)
        if moved.ends is not None:
            break
        for at in moved.ready:
            assert at not in began
            began.append(at)
            assert all(steps[other].state in over for other in given_plan.steps[at].before)
            fan_out = given_plan.steps[at].step.for_each is not None
            items = data.draw(st.integers(0, 3)) if fan_out else 1
            steps[at] = begun(steps[at], items=items)
        running = [step for step in steps if step.state is StepState.RUNNING]
        if running:
            step = data.draw(st.sampled_from(running))
            well = data.draw(st.booleans())
            steps[step.position] = replace(
                step, begun=step.items or 0,
                succeeded=step.succeeded + well, failed=step.failed + (not well),
            )  # fmt: skip
    else:
        raise AssertionError("it did not end")
    fatal = [
        step
        for step in steps
        if step.state is StepState.FAILED
        and given_plan.steps[step.position].step.on_failure == "fail"
    ]
    assert (moved.ends is RunState.FAILED) is bool(fatal)
    assert all(step.state.is_terminal for step in steps)


@given(plans(), st.data())
def test_resumed_run_keeps_what_succeeded(given_plan: Plan, data: st.DataObject) -> None:
    ends = st.sampled_from([state for state in StepState if state.is_terminal])
    steps = [replace(step, state=data.draw(ends), items=1, begun=1) for step in fresh(given_plan)]
    for old, planned in zip(steps, given_plan.steps, strict=True):
        new = again(planned, old)
        kept = old.state is StepState.SUCCEEDED or (
            old.state is StepState.FAILED and planned.step.on_failure == "continue"
        )
        assert (new == old) is kept
        assert kept or not new.state.is_terminal


def test_run_fails_at_once_while_others_are_under_way() -> None:
    both = plan({"name": "a"}, {"name": "b"})
    steps = [begun(step, items=1) for step in fresh(both)]
    steps[0] = replace(steps[0], begun=1, failed=1)
    moved = moves(both, steps)
    assert moved.ends is RunState.FAILED
    assert [step.state for step in moved.steps] == [StepState.FAILED, StepState.CANCELLED]


def test_step_that_needs_any_runs_when_one_of_its_branches_is_left() -> None:
    joined = plan({"name": "a"}, {"name": "b"}, {"name": "c", "after": ["a", "b"], "needs": "any"})
    steps = fresh(joined)
    steps[0] = replace(steps[0], state=StepState.SKIPPED)
    assert moves(joined, steps).ready == (1,)
    steps[1] = replace(steps[1], state=StepState.SUCCEEDED)
    assert moves(joined, steps).ready == (2,)
    steps[1] = replace(steps[1], state=StepState.SKIPPED)
    assert moves(joined, steps).steps[2].error == "a was skipped"


def test_stopped_run_cancels_what_has_not_ended() -> None:
    steps = [Standing(position=0, state=StepState.SUCCEEDED), Standing(position=1)]
    assert [step.state for step in stopped(steps)] == [StepState.SUCCEEDED, StepState.CANCELLED]
