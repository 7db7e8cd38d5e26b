"""Items of a step begin: jobs are recorded, calls of COMPUTE functions noted; one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from penstock_client import Penstock
from penstock_client.ledger import NewJob
from penstock_client.pipelines.beginning import arguments_for, job_for, opening
from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.plan import Planned
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.steps import ComputeStep, LLMStep
from penstock_client.pipelines.templates import Scope
from penstock_client.pipelines.values import error_of
from penstock_schemas.errors import ConfigurationError, InvalidJob
from penstock_schemas.runs import RunState

_BREATH = 50


@dataclass(frozen=True, slots=True)
class LockedRun:
    """A run as its row says, and its skill."""

    run_id: UUID
    workspace: str
    state: RunState
    epoch: int
    options: RunOptions
    inputs: bytes | None
    trace: str | None
    skill: Skill


@dataclass(slots=True)
class Values:
    """What the steps of a run gave, as far as it was read; good for one epoch."""

    epoch: int
    inputs: Any
    steps: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])


@dataclass(slots=True)
class Followed:
    """What has to be done once the look is committed.

    `started` are jobs to index, `requeued` rows of jobs that start again; `more`: there is more to
    begin at once; `calls`: COMPUTE functions are to be called; `values` is worth keeping.
    """

    started: list[NewJob] = field(default_factory=list[NewJob])
    requeued: list[Any] = field(default_factory=list[Any])
    more: bool = False
    calls: bool = False
    ended: RunState | None = None
    values: Values | None = None


class Beginning:
    """Begins items of a run, on a connection in whose transaction it has the run's lock."""

    def __init__(
        self, penstock: Penstock, connection: Any, run: LockedRun, followed: Followed
    ) -> None:
        self._penstock, self._connection = penstock, connection
        self._run, self._followed = run, followed

    async def begin(
        self, planned: Planned, scope: Scope, items: Sequence[int], *, together: int
    ) -> None:
        """Begin items of a step that has `together`; what cannot begin has failed.

        Raises InvalidJob where that is known of the whole step.
        """
        entries = opening(planned.step, scope).entries
        scopes = [scope if entries is None else scope.at(entries[at], at) for at in items]
        if isinstance(planned.step, ComputeStep):
            await self._begin_calls(planned, planned.step, items, scopes)
        else:
            await self._begin_jobs(planned, planned.step, items, scopes, together=together)

    async def _begin_calls(
        self, planned: Planned, step: ComputeStep, items: Sequence[int], scopes: Sequence[Scope]
    ) -> None:
        made = [_tried(lambda scope=scope: arguments_for(step, scope)) for scope in scopes]
        bodies = [body if isinstance(body, bytes) else None for body in made]
        errors = [body if isinstance(body, str) else None for body in made]
        retrying = (step.max_attempts, step.timeout_s, step.retry_delay_s)
        await self._fetch(
            "run_begin_calls", self._run.run_id, planned.position, items, bodies, errors,
            step.function, *retrying,
        )  # fmt: skip
        self._followed.calls = True

    async def _begin_jobs(
        self,
        planned: Planned,
        step: LLMStep,
        items: Sequence[int],
        scopes: Sequence[Scope],
        *,
        together: int,
    ) -> None:
        placed: dict[int, NewJob] = {}
        errors: dict[int, str] = {}
        for count, (item, scope) in enumerate(zip(items, scopes, strict=True)):
            if count % _BREATH == 0:
                await asyncio.sleep(0)  # others have duties too
            made = await self._place(step, item, scope, together=together)
            if isinstance(made, str):
                errors[item] = made
            else:
                placed[item] = made
        earlier = await self._record(list(placed.values()))
        jobs = [
            earlier.get(placed[item].job_id, placed[item].job_id) if item in placed else None
            for item in items
        ]
        told = [errors.get(item) for item in items]
        await self._fetch("run_begin_jobs", self._run.run_id, planned.position, items, jobs, told)
        await self.note_jobs(list(earlier.values()))

    async def _place(
        self, step: LLMStep, item: int, scope: Scope, *, together: int
    ) -> NewJob | str:
        """The job of an item as it is recorded, or why there can be none."""
        run = self._run
        again = f":{run.epoch}" if run.epoch else ""
        identity = {
            "workspace": run.workspace,
            "skill": run.skill.name,
            "step": step.name,
            "idempotency_key": f"run:{run.run_id}:{step.name}:{item}{again}",
        }
        try:
            job = job_for(step, scope, options=run.options, identity=identity)
            placed = await self._penstock.place(job, together=together)
        except (InvalidJob, ConfigurationError) as wrong:
            return str(wrong)
        return replace(placed, owner=run.run_id, trace=run.trace)

    async def _record(self, placed: Sequence[NewJob]) -> dict[UUID, UUID]:
        if not placed:
            return {}
        earlier = await self._penstock.ledger.submit(placed, connection=self._connection)
        self._followed.started += [job for job in placed if job.job_id not in earlier]
        return earlier

    async def note_jobs(self, job_ids: Sequence[UUID]) -> None:
        """Note which of these jobs have ended, and why those failed that did."""
        if not job_ids:
            return
        bad = await self._fetch("run_note_jobs", self._run.run_id, job_ids)
        if bad:
            errors = [error_of(row["body"], row["last_error"]) for row in bad]
            places = ([row["position"] for row in bad], [row["item"] for row in bad])
            await self._fetch("run_note_errors", self._run.run_id, *places, errors)

    async def _fetch(self, name: str, *args: Any) -> list[Any]:
        ledger = self._penstock.ledger
        return await ledger.fetch(name, *args, connection=self._connection)


def _tried(make: Any) -> bytes | str:
    try:
        return make()
    except InvalidJob as wrong:
        return str(wrong)
