"""What the fake keeps of a run and its items; a run as everybody sees it is made of that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.progress import Standing
from penstock_client.pipelines.rows import run_result, run_row
from penstock_client.pipelines.skill import Skill
from penstock_schemas.results import Result
from penstock_schemas.runs import RunId, RunResult, RunRow, RunState, StepState
from penstock_schemas.usage import NO_USAGE


@dataclass(slots=True, kw_only=True)
class Item:
    """One call of a step: a job, or a call of a function."""

    item: int
    state: StepState = StepState.RUNNING
    job_id: str | None = None
    result: Result | None = None
    output: bytes | None = None
    error: str | None = None
    starts: int = 0
    finished_at: datetime | None = None

    def row(self) -> dict[str, Any]:
        """As the rows that `step_values` and `item_result` read."""
        result = self.result
        return {
            "item": self.item,
            "state": self.state,
            "job_id": self.job_id,
            "body": None if result is None else result.encode(),
            "output": self.output,
            "error": self.error,
            "provider": None if result is None else result.provider,
            "model": None if result is None else result.model,
            "attempts": 0 if result is None else result.attempts,
            "starts": self.starts,
            "finished_at": self.finished_at,
        }


@dataclass(slots=True, kw_only=True)
class FakeRun:
    """A run. `moved` is set, and replaced, whenever something has changed."""

    run_id: RunId
    workspace: str
    skill: Skill
    options: RunOptions
    inputs: Any
    steps: tuple[Standing, ...]
    items: dict[int, dict[int, Item]] = field(default_factory=dict[int, dict[int, Item]])
    state: RunState = RunState.RUNNING
    output: bytes | None = None
    error: str | None = None
    epoch: int = 0
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None
    started: dict[int, datetime] = field(default_factory=dict[int, datetime])
    ended: dict[int, datetime] = field(default_factory=dict[int, datetime])
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def items_of(self, position: int) -> list[Item]:
        """The items of a step that have begun, in order."""
        return [item for _, item in sorted(self.items.get(position, {}).items())]

    def move(self, steps: Sequence[Standing]) -> None:
        """Note how the steps stand now, and tell who waits for a change."""
        now = datetime.now(UTC)
        for step in steps:
            if step.state is not StepState.WAITING:
                self.started.setdefault(step.position, now)
            if step.state.is_terminal:
                self.ended.setdefault(step.position, now)
            else:
                self.ended.pop(step.position, None)
        changed = tuple(steps) != self.steps
        self.steps = tuple(steps)
        if changed or self.state.is_terminal:
            self.tell()

    def end(
        self, state: RunState, *, error: str | None = None, output: bytes | None = None
    ) -> None:
        """The run ends so."""
        self.state, self.error, self.output = state, error, output
        self.finished_at = datetime.now(UTC)
        self.tell()

    def tell(self) -> None:
        """Wake who waits for a change."""
        self.moved.set()
        self.moved = asyncio.Event()

    def seen(self) -> RunResult:
        """The run as everybody sees it."""
        steps = [_step_row(self, step) for step in self.steps]
        usage = [_usage_row(self, step) for step in self.steps]
        return run_result(self._row(), steps, [row for row in usage if row["calls"]])

    def listed(self) -> RunRow:
        """The run in a list."""
        return run_row(self._row())

    def _row(self) -> dict[str, Any]:
        return {
            "id": self.run_id,
            "workspace": self.workspace,
            "skill": self.skill.name,
            "digest": self.skill.digest,
            "definition": self.skill.encode().decode(),
            "state": self.state,
            "output": self.output,
            "error": self.error,
            "epoch": self.epoch,
            "options": self.options.model_dump_json(),
            "kept": True,
            "steps": len(self.steps),
            "ended": sum(step.state.is_terminal for step in self.steps),
            "created_at": self.created_at,
            "finished_at": self.finished_at,
        }


def _step_row(run: FakeRun, step: Standing) -> dict[str, Any]:
    return {
        "state": step.state,
        "items": step.items,
        "begun": step.begun,
        "succeeded": step.succeeded,
        "failed": step.failed,
        "error": step.error,
        "started_at": run.started.get(step.position),
        "finished_at": run.ended.get(step.position),
    }


def _usage_row(run: FakeRun, step: Standing) -> dict[str, Any]:
    results = [item.result for item in run.items_of(step.position) if item.result is not None]
    costs = [result.cost_usd for result in results]
    return {
        "step": run.skill.steps[step.position].name,
        "calls": sum(result.attempts for result in results),
        "cost_usd": None if None in costs else sum((c for c in costs if c), start=Decimal(0)),
        "simulated": any(result.simulated for result in results),
        **sum((result.usage for result in results), NO_USAGE).model_dump(),
    }
