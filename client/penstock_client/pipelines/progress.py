"""Pure: (plan, how its steps stand) -> which of them settle, are skipped or begin, and the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock_client.pipelines.plan import Plan, Planned
from penstock_schemas.runs import RunState, StepState

_OVER = frozenset({StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a step of a run stands. `items` None: it has not begun."""

    position: int
    state: StepState = StepState.WAITING
    items: int | None = None
    begun: int = 0
    succeeded: int = 0
    failed: int = 0
    error: str | None = None

    def counted(self, *, succeeded: int, failed: int, error: str | None) -> Standing:
        """The same once so many more of its items have ended."""
        return replace(
            self,
            succeeded=self.succeeded + succeeded,
            failed=self.failed + failed,
            error=self.error or error,
        )


@dataclass(frozen=True, slots=True)
class Moves:
    """What follows from how the steps stand.

    `steps` are all of them as they stand now, `ready` the positions of those that can begin, `more`
    of those that have items left to begin; `ends` is how the run ends, None while it goes on.
    """

    steps: tuple[Standing, ...]
    ready: tuple[int, ...] = ()
    more: tuple[int, ...] = ()
    ends: RunState | None = None


def moves(plan: Plan, standings: Sequence[Standing]) -> Moves:
    """Settle what is done, skip what cannot run any more, and say what can go on."""
    steps = {each.position: _settled(plan.steps[each.position], each) for each in standings}
    if any(_fails_run(plan.steps[at], step) for at, step in steps.items()):
        stopped = tuple(map(_stopped, steps.values()))
        return Moves(stopped, ends=RunState.FAILED)
    ready: list[int] = []
    changed = True
    while changed:  # a skip may lead to others
        changed, ready = False, []
        for planned in plan.steps:
            if steps[planned.position].state is not StepState.WAITING:
                continue
            reason = _skipped_by(plan, planned, steps)
            if reason is not None:
                steps[planned.position] = skipped(steps[planned.position], reason)
                changed = True
            elif all(steps[at].state in _OVER for at in planned.before):
                ready.append(planned.position)
    more = [
        at
        for at, step in steps.items()
        if step.state is StepState.RUNNING and step.begun < (step.items or 0)
    ]
    over = all(step.state in _OVER for step in steps.values())
    return Moves(
        tuple(steps.values()), tuple(ready), tuple(more), RunState.SUCCEEDED if over else None
    )


def skipped(step: Standing, reason: str) -> Standing:
    """The step, skipped for that reason."""
    return replace(step, state=StepState.SKIPPED, items=0, error=reason)


def begun(step: Standing, *, items: int) -> Standing:
    """The step, which has so many items to run; without any it is done."""
    state = StepState.RUNNING if items else StepState.SUCCEEDED
    return replace(step, state=state, items=items, error=None)


def failed(step: Standing, error: str) -> Standing:
    """The step, which could not begin."""
    return replace(step, state=StepState.FAILED, error=error)


def _settled(planned: Planned, step: Standing) -> Standing:
    """A running step whose items have all ended takes its end; one that fails the run, at once."""
    if step.state is not StepState.RUNNING:
        return step
    policy = planned.step.on_failure
    if step.failed and policy == "fail":
        return replace(step, state=StepState.FAILED)
    if step.succeeded + step.failed < (step.items or 0):
        return step
    lives = not step.failed or (policy == "continue" and planned.step.for_each is not None)
    return replace(step, state=StepState.SUCCEEDED if lives else StepState.FAILED)


def _fails_run(planned: Planned, step: Standing) -> bool:
    return step.state is StepState.FAILED and planned.step.on_failure == "fail"


def _stopped(step: Standing) -> Standing:
    """A step of a run that has ended before it."""
    return step if step.state.is_terminal else replace(step, state=StepState.CANCELLED)


def stopped(steps: Sequence[Standing]) -> tuple[Standing, ...]:
    """The steps of a run that was cancelled."""
    return tuple(map(_stopped, steps))


def _skipped_by(plan: Plan, planned: Planned, steps: Mapping[int, Standing]) -> str | None:
    """Why a step that waits is skipped; None when it is not, or not yet."""
    lost = [at for at in planned.before if _is_lost(plan.steps[at], steps[at])]
    if not lost or (planned.step.needs == "any" and len(lost) < len(planned.before)):
        return None
    first = plan.steps[lost[0]].step.name
    ended = "failed" if steps[lost[0]].state is StepState.FAILED else "was skipped"
    return f"{first} {ended}"


def _is_lost(planned: Planned, step: Standing) -> bool:
    """Whether those that need a step have to go without its output."""
    if step.state is StepState.FAILED:
        return planned.step.on_failure == "skip"
    return step.state is StepState.SKIPPED


def again(planned: Planned, step: Standing) -> Standing:
    """How a step of a failed or cancelled run stands once the run is resumed.

    What succeeded, and a failure that the run lives with, stay. Its items that ended otherwise are
    not counted any more: they start again.
    """
    passed = step.state is StepState.FAILED and planned.step.on_failure == "continue"
    if step.state is StepState.SUCCEEDED or passed:
        return step
    if not step.items or not step.begun:
        return Standing(position=step.position)
    return replace(step, state=StepState.RUNNING, failed=0, error=None)
