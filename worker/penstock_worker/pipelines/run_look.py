"""One look at a run under its lock: what happened, what follows, what begins. One transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from penstock_client import Penstock
from penstock_client.pipelines.beginning import opening
from penstock_client.pipelines.plan import Planned
from penstock_client.pipelines.progress import Moves, Standing, begun, failed, moves, skipped
from penstock_client.pipelines.rows import standings, step_columns
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.templates import Scope
from penstock_client.pipelines.values import step_values
from penstock_schemas.errors import InvalidJob
from penstock_schemas.runs import RunState, StepState
from penstock_worker.pipelines.run_begin import Beginning, Followed, LockedRun, Values

#: Items of one look: they begin in one transaction.
CHUNK = 500
#: Pieces of news of one look.
NEWS = 2000


class Look:
    """One look at one run, on a connection in whose transaction it has the run's lock."""

    def __init__(
        self, penstock: Penstock, connection: Any, run: LockedRun, values: Values | None
    ) -> None:
        self._penstock, self._connection, self._run = penstock, connection, run
        self._plan = run.skill.plan
        self._left = CHUNK
        if values is None or values.epoch != run.epoch:
            inputs = None if run.inputs is None else from_json(run.inputs)
            values = Values(run.epoch, inputs)
        self._values = values
        self._followed = Followed()
        self._beginning = Beginning(penstock, connection, run, self._followed)

    async def follow(self) -> Followed:
        """Take the run's news and act on them."""
        took = await self._take_news()
        before = await self._standings()
        steps = await self._counted(before)
        if self._run.state is not RunState.RUNNING:
            await self._write_steps(before, steps)
            self._followed.more = took == NEWS
            return self._followed
        steps = await self._start_again(steps)
        moved = moves(self._plan, steps)
        while moved.ready and moved.ends is None:
            steps = moved.steps
            for at in moved.ready:
                steps = _with(steps, await self._open(self._plan.steps[at], steps))
            moved = moves(self._plan, steps)
        steps = await self._begin_more(moved)
        moved = moves(self._plan, steps)
        await self._write_steps(before, moved.steps)
        await self._write_run(moved, changed=moved.steps != before)
        more = moved.ends is None and bool(moved.more or moved.ready or self._followed.more)
        self._followed.more = more or took == NEWS
        self._followed.ended = moved.ends
        self._followed.values = self._values if more else None
        return self._followed

    async def _fetch(self, name: str, *args: Any) -> list[Any]:
        ledger = self._penstock.ledger
        return await ledger.fetch(name, *args, connection=self._connection)

    async def _take_news(self) -> int:
        """Note which jobs have ended; returns how many pieces of news there were."""
        rows = await self._fetch("run_take_news", self._run.run_id, NEWS)
        await self._beginning.note_jobs([row["subject"] for row in rows])
        return len(rows)

    async def _standings(self) -> tuple[Standing, ...]:
        return standings(await self._fetch("run_steps", self._run.run_id))

    async def _counted(self, steps: Sequence[Standing]) -> tuple[Standing, ...]:
        counted: tuple[Standing, ...] = tuple(steps)
        for row in await self._fetch("run_count", self._run.run_id):
            at: int = row["position"]
            step = counted[at].counted(
                succeeded=row["succeeded"], failed=row["failed"], error=row["error"]
            )
            counted = _with(counted, step)
        return counted

    async def _write_steps(self, before: Sequence[Standing], after: Sequence[Standing]) -> None:
        changed = [step for old, step in zip(before, after, strict=True) if step != old]
        if changed:
            await self._fetch("run_set_steps", self._run.run_id, *step_columns(changed))

    async def _write_run(self, moved: Moves, *, changed: bool) -> None:
        run_id = self._run.run_id
        if moved.ends is None:
            if changed:
                await self._fetch("run_touch", run_id)
            return
        state, error, output = moved.ends, None, None
        if state is RunState.FAILED:
            error = _why(self._run.skill, moved.steps)
        else:
            try:
                scope = await self._scope(self._plan.output_reads, moved.steps)
                output = to_json(self._plan.outcome(scope))
            except InvalidJob as wrong:
                state, error = RunState.FAILED, f"output: {wrong}"
        stopping = state is RunState.FAILED
        await self._fetch("run_set", run_id, state, error, output, stopping)

    async def _scope(self, reads: Sequence[int], steps: Sequence[Standing]) -> Scope:
        """The values that templates ask of these steps; raises InvalidJob."""
        known = self._values.steps
        for at in reads:
            if at not in known:
                planned, state = self._plan.steps[at], steps[at].state
                rows = await self._fetch("run_outputs", self._run.run_id, at)
                known[at] = step_values(planned.step, rows, state=state)
        names = {self._plan.steps[at].step.name: known[at] for at in reads}
        return Scope(inputs=self._values.inputs, steps=names)

    async def _open(self, planned: Planned, steps: Sequence[Standing]) -> Standing:
        """A step that is ready, as it stands once it runs, is skipped, or has failed to begin."""
        standing = steps[planned.position]
        try:
            found = opening(planned.step, await self._scope(planned.reads, steps))
        except InvalidJob as wrong:
            return failed(standing, str(wrong))
        if found.skipped is not None:
            return skipped(standing, found.skipped)
        return begun(standing, items=found.items)

    async def _begin_more(self, moved: Moves) -> tuple[Standing, ...]:
        steps = moved.steps
        for at in moved.more if moved.ends is None else ():
            standing = steps[at]
            last = min(standing.items or 0, standing.begun + self._left)
            if last > standing.begun:
                begun_now = range(standing.begun, last)
                steps = _with(steps, await self._begin(standing, steps, begun_now))
        return await self._counted(steps)

    async def _begin(
        self, standing: Standing, steps: Sequence[Standing], items: Sequence[int]
    ) -> Standing:
        """Begin items of a step; the step as it stands then."""
        planned = self._plan.steps[standing.position]
        self._left -= len(items)
        try:
            scope = await self._scope(planned.reads, steps)
            await self._beginning.begin(planned, scope, items, together=standing.items or 1)
        except InvalidJob as wrong:
            return failed(standing, str(wrong))
        return replace(standing, begun=max(standing.begun, items[-1] + 1))

    async def _start_again(self, steps: Sequence[Standing]) -> tuple[Standing, ...]:
        """Start items of a resumed run again: their jobs, or anew what has none."""
        rows = await self._fetch("run_again", self._run.run_id, self._left)
        if not rows:
            return tuple(steps)
        self._left -= len(rows)
        self._followed.more = True
        ended = [row["job_id"] for row in rows if row["job_state"] in _REQUEUEABLE]
        requeued = await self._fetch("requeue", ended) if ended else []
        self._followed.requeued += requeued
        lost = set(ended) - {row["id"] for row in requeued}
        kept = [row["job_id"] for row in rows if row["job_state"] and row["job_id"] not in lost]
        await self._fetch("run_again_jobs", self._run.run_id, kept)
        await self._beginning.note_jobs(kept)
        anew: dict[int, list[int]] = {}
        for row in rows:
            if not row["job_state"] or row["job_id"] in lost:
                anew.setdefault(row["position"], []).append(row["item"])
        for at, items in anew.items():
            steps = _with(steps, await self._begin(steps[at], steps, items))
        return await self._counted(steps)


#: The states in `penstock_schemas.status.JobState` from which a job starts again.
_REQUEUEABLE = frozenset({11, 12, 13})


def _with(steps: Sequence[Standing], step: Standing) -> tuple[Standing, ...]:
    return tuple(step if each.position == step.position else each for each in steps)


def _why(skill: Skill, steps: Sequence[Standing]) -> str:
    """Why a run failed: its first step that the run does not outlive."""
    for step in steps:
        planned = skill.plan.steps[step.position].step
        if step.state is StepState.FAILED and planned.on_failure == "fail":
            of = "" if not step.items or step.items == 1 else f" ({step.failed} of {step.items})"
            return f"step {planned.name} failed{of}: {step.error}"
    return "a step failed"
