"""Carries a run of `FakePenstock` to its end: a task that does what the pure core says follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from penstock_client.background import end
from penstock_client.pipelines.beginning import arguments_for, job_for, opening
from penstock_client.pipelines.plan import Plan, Planned
from penstock_client.pipelines.progress import Moves, Standing, begun, failed, moves, skipped
from penstock_client.pipelines.steps import ComputeStep, LLMStep
from penstock_client.pipelines.templates import Scope
from penstock_client.pipelines.values import error_of, step_values
from penstock_client.routing import AnyJob
from penstock_client.testing.functions import CallFailed, call_function
from penstock_client.testing.run_record import FakeRun, Item
from penstock_schemas.errors import ConfigurationError, InvalidJob
from penstock_schemas.results import Result
from penstock_schemas.runs import RunState, StepState

#: Submits a job, or starts it again; tells its ID at once, and gives its result.
RunJob = Callable[[AnyJob, Callable[[str], None]], Awaitable[Result]]


class Driver:
    """Drives one run; items that ended in an earlier epoch stay as they are."""

    def __init__(self, run: FakeRun, run_job: RunJob) -> None:
        self._run, self._run_job = run, run_job
        self._under_way: dict[asyncio.Task[None], tuple[int, Item]] = {}

    @property
    def _plan(self) -> Plan:
        return self._run.skill.plan

    async def drive(self) -> None:
        """Go on until the run has ended; a cancelled run's items are cancelled with it."""
        try:
            self._start_again()
            while not self._run.state.is_terminal:
                self._follow()
                if self._under_way and not self._run.state.is_terminal:
                    await self._next_ends()
        except Exception as error:  # noqa: BLE001 - a run that nobody drives would never end
            self._run.end(RunState.FAILED, error=f"{type(error).__name__}: {error}")
        finally:
            await end(self._under_way)

    def _follow(self) -> None:
        """Everything that follows from how the steps stand."""
        moved = moves(self._plan, self._run.steps)
        while moved.ready and moved.ends is None:
            steps = moved.steps
            for at in moved.ready:
                steps = _with(steps, self._open(self._plan.steps[at], steps))
            moved = moves(self._plan, steps)
        steps = moved.steps
        for at in moved.more if moved.ends is None else ():
            steps = _with(steps, self._begin(steps[at], steps))
        moved = moves(self._plan, steps)
        if moved.ends is not None:
            self._end(moved)
        self._run.move(moved.steps)

    def _open(self, planned: Planned, steps: Sequence[Standing]) -> Standing:
        standing = steps[planned.position]
        try:
            found = opening(planned.step, self._scope(planned.reads, steps))
        except InvalidJob as wrong:
            return failed(standing, str(wrong))
        if found.skipped is not None:
            return skipped(standing, found.skipped)
        return begun(standing, items=found.items)

    def _begin(self, standing: Standing, steps: Sequence[Standing]) -> Standing:
        """Begin what is left of a step's items."""
        numbers = range(standing.begun, standing.items or 0)
        items = [Item(item=number) for number in numbers]
        self._run.items.setdefault(standing.position, {}).update(zip(numbers, items, strict=True))
        self._start(standing.position, items, steps)
        return replace(standing, begun=numbers.stop)

    def _start_again(self) -> None:
        """Start the items of a resumed run again that did not succeed."""
        for step in self._run.steps:
            if step.state is StepState.RUNNING:
                items = self._run.items_of(step.position)
                left = [item for item in items if item.state is not StepState.SUCCEEDED]
                self._start(step.position, left, self._run.steps)

    def _start(self, position: int, items: Sequence[Item], steps: Sequence[Standing]) -> None:
        planned = self._plan.steps[position]
        scope = self._scope(planned.reads, steps)
        entries = opening(planned.step, scope).entries
        for item in items:
            own = scope if entries is None else scope.at(entries[item.item], item.item)
            item.state, item.error = StepState.RUNNING, None
            task = asyncio.create_task(self._work(planned, item, own))
            self._under_way[task] = (position, item)

    async def _work(self, planned: Planned, item: Item, scope: Scope) -> None:
        """One item to its end."""
        try:
            if isinstance(planned.step, ComputeStep):
                await _call(planned.step, item, scope)
            else:
                await self._ask(planned.step, item, scope)
        except (InvalidJob, ConfigurationError, CallFailed) as wrong:
            item.state, item.error = StepState.FAILED, str(wrong)
        except asyncio.CancelledError:
            item.state = StepState.CANCELLED
            raise
        item.finished_at = datetime.now(UTC)

    async def _ask(self, step: LLMStep, item: Item, scope: Scope) -> None:
        run = self._run
        identity = {
            "workspace": run.workspace,
            "skill": run.skill.name,
            "step": step.name,
            "idempotency_key": f"run:{run.run_id}:{step.name}:{item.item}",
        }
        job = job_for(step, scope, options=run.options, identity=identity)

        def tell(job_id: str) -> None:
            item.job_id = job_id

        result = item.result = await self._run_job(job, tell)
        item.state = StepState.SUCCEEDED if result.ok else StepState.FAILED
        item.error = None if result.ok else error_of(result.encode(), None)

    async def _next_ends(self) -> None:
        """Wait for items to end, and count them."""
        done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        steps = self._run.steps
        for task in done:
            position, item = self._under_way.pop(task)
            task.result()
            good = item.state is StepState.SUCCEEDED
            counted = steps[position].counted(
                succeeded=int(good), failed=int(not good), error=item.error
            )
            steps = _with(steps, counted)
        self._run.move(steps)

    def _end(self, moved: Moves) -> None:
        if moved.ends is RunState.FAILED:
            self._run.end(RunState.FAILED, error=_why(self._plan, moved.steps))
            return
        try:
            outcome = self._plan.outcome(self._scope(self._plan.output_reads, moved.steps))
        except InvalidJob as wrong:
            self._run.end(RunState.FAILED, error=f"output: {wrong}")
        else:
            self._run.end(RunState.SUCCEEDED, output=to_json(outcome))

    def _scope(self, reads: Sequence[int], steps: Sequence[Standing]) -> Scope:
        """The values that templates ask of these steps; raises InvalidJob."""
        values: dict[str, dict[str, Any]] = {}
        for at in reads:
            step, rows = self._plan.steps[at].step, [each.row() for each in self._run.items_of(at)]
            values[step.name] = step_values(step, rows, state=steps[at].state)
        return Scope(inputs=self._run.inputs, steps=values)


async def _call(step: ComputeStep, item: Item, scope: Scope) -> None:
    arguments = arguments_for(step, scope)
    for left in reversed(range(step.max_attempts)):
        item.starts += 1
        try:
            item.output = await call_function(step.function, arguments, timeout_s=step.timeout_s)
        except CallFailed as error:
            if not error.again or not left:
                raise
        else:
            item.state = StepState.SUCCEEDED
            return


def _with(steps: Sequence[Standing], step: Standing) -> tuple[Standing, ...]:
    return tuple(step if each.position == step.position else each for each in steps)


def _why(plan: Plan, steps: Sequence[Standing]) -> str:
    """Why a run failed: its first step that the run does not outlive."""
    for step in steps:
        planned = plan.steps[step.position].step
        if step.state is StepState.FAILED and planned.on_failure == "fail":
            of = "" if not step.items or step.items == 1 else f" ({step.failed} of {step.items})"
            return f"step {planned.name} failed{of}: {step.error}"
    return "a step failed"
