"""Pure: how a run stands and the plan of its skill -> what its page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pydantic_core import to_json

from penstock_client.pipelines.plan import Plan, Planned
from penstock_client.pipelines.steps import ComputeStep
from penstock_gateway.console.run_graph import Drawing, drawn
from penstock_schemas.runs import ItemResult, RunResult, RunState, StepState, StepStatus
from penstock_schemas.usage import Usage

_MOST_NAME: Final = 21
_MOST_UPRIGHT_NAME: Final = 16
_MOST_PREVIEW: Final = 160
_ON_FAILURE: Final[Mapping[str, str]] = {
    "fail": "its failure fails the run",
    "skip": "after its failure, those that need it are skipped",
    "continue": "after its failure, the run goes on without its output",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShown:
    """One step of a run. `items` None: how many is not known yet.

    `does` says in a few words what it asks or calls, `rules` how it is run, `after` which steps it
    comes after.
    """

    position: int
    name: str
    short: str
    shorter: str
    type: str
    state: str
    is_fan_out: bool
    items: int | None
    begun: int
    running: int
    succeeded: int
    failed: int
    does: str
    rules: tuple[str, ...]
    after: tuple[str, ...]
    error: str | None
    calls: int
    usage: Usage
    cost_usd: Decimal | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_compute(self) -> bool:
        """Whether it calls a function and not a model."""
        return self.type == "compute"

    @property
    def counts(self) -> str:
        """How far it is, in a few characters."""
        if self.items is None or (not self.is_fan_out and self.items <= 1):
            return ""
        return f"{self.succeeded + self.failed:,} of {self.items:,}"

    @property
    def done(self) -> float:
        """The share of its items that succeeded."""
        return self.succeeded / self.items if self.items else 0.0

    @property
    def lost(self) -> float:
        """The share of its items that failed."""
        return self.failed / self.items if self.items else 0.0

    @property
    def told(self) -> str:
        """All of that as one line, for whoever cannot see the drawing."""
        parts = [self.name, self.type, self.state, self.counts]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShown:
    """A run with its steps and its drawings, one that leads to the right and one downwards."""

    result: RunResult
    steps: tuple[StepShown, ...]
    wide: Drawing
    upright: Drawing
    output: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it, but for a resume."""
        return self.result.status.is_terminal

    @property
    def can_resume(self) -> bool:
        """Whether a resume would do something."""
        return self.result.status in {RunState.FAILED, RunState.CANCELLED}

    @property
    def steps_over(self) -> int:
        """How many steps have ended."""
        over = {state.label for state in StepState if state.is_terminal}
        return sum(step.state in over for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemShown:
    """One call of a step, with the beginning of what it gave."""

    item: int
    state: str
    job_id: str | None
    preview: str | None
    error: str | None
    model: str | None
    simulated: bool
    starts: int
    finished_at: datetime | None


def run_shown(result: RunResult, plan: Plan) -> RunShown:
    """What the page of a run shows."""
    before = tuple(planned.before for planned in plan.steps)
    steps = tuple(
        _step(status, planned, plan)
        for status, planned in zip(result.steps, plan.steps, strict=True)
    )
    output = None if result.output is None else _json(result.output)
    return RunShown(
        result=result,
        steps=steps,
        wide=drawn(before),
        upright=drawn(before, upright=True),
        output=output,
    )


def item_shown(item: ItemResult) -> ItemShown:
    """What a row of a step's calls shows."""
    answer: Any = item.output if item.output is not None else item.text
    preview = None if answer is None else _short(_words(answer), _MOST_PREVIEW)
    return ItemShown(
        item=item.item,
        state=item.status.label,
        job_id=item.job_id,
        preview=preview,
        error=item.error,
        model=f"{item.provider}/{item.model}" if item.provider and item.model else None,
        simulated=item.simulated,
        starts=item.starts,
        finished_at=item.finished_at,
    )


def _step(status: StepStatus, planned: Planned, plan: Plan) -> StepShown:
    step = planned.step
    return StepShown(
        position=planned.position,
        name=status.name,
        short=_short(status.name, _MOST_NAME),
        shorter=_short(status.name, _MOST_UPRIGHT_NAME),
        type=status.type,
        state=status.status.label,
        is_fan_out=step.for_each is not None,
        items=status.items,
        begun=status.begun,
        running=max(0, status.running),
        succeeded=status.succeeded,
        failed=status.failed,
        does=_does(planned),
        rules=_rules(planned),
        after=tuple(plan.steps[at].step.name for at in planned.before),
        error=status.error,
        calls=status.calls,
        usage=status.usage,
        cost_usd=status.cost_usd,
        started_at=status.started_at,
        finished_at=status.finished_at,
    )


def _does(planned: Planned) -> str:
    step = planned.step
    if isinstance(step, ComputeStep):
        return f"calls {step.function}"
    if step.model is not None:
        return f"asks {step.model}"
    return f"asks the model for {step.capability or step.type}"


def _rules(planned: Planned) -> tuple[str, ...]:
    step = planned.step
    found = [f"once for each of {step.for_each}"] if step.for_each else []
    found += [f"only when {condition.value} fits" for condition in step.when]
    if step.needs == "any":
        found.append("goes on when any of those before it has succeeded")
    return (*found, _ON_FAILURE[step.on_failure])


def _words(answer: Any) -> str:
    return answer if isinstance(answer, str) else to_json(answer).decode()


def _json(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, indent=2).decode()


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
