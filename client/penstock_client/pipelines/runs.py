"""`penstock.runs`: start runs of skills, await them, look at them, cancel and resume them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel
from uuid_utils import uuid7

from penstock_client.connections import POSTGRES_AWAY
from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.progress import again, stopped
from penstock_client.pipelines.rows import (
    item_result,
    run_result,
    run_row,
    skill_of,
    standings,
    step_columns,
)
from penstock_client.pipelines.run_waiting import RunWaiter
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.stopping import stop_run
from penstock_client.pipelines.waits import waits_for
from penstock_client.settings import DATABASE_VARIABLE
from penstock_client.tracing import current_trace
from penstock_schemas.errors import InvalidJob, RunFailed, RunTimeout, Unavailable, UnknownRun
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.runs import (
    ItemResult,
    RunId,
    RunResult,
    RunRow,
    RunState,
    StepState,
    parse_run_id,
)

if TYPE_CHECKING:
    from penstock_client.client import Penstock

OnRunProgress = Callable[[RunResult], object]
#: Runs and items of one page at most.
MOST = 1000


@dataclass(frozen=True, slots=True)
class RunHandle:
    """A run that was started: its ID is enough to follow it from any other process."""

    run_id: RunId
    workspace: WorkspaceId
    skill: str
    _runs: Runs

    async def result(
        self, *, timeout_s: float | None = None, progress: OnRunProgress | None = None
    ) -> RunResult:
        """How the run ended, whatever that is; see `Runs.result`."""
        return await self._runs.result(self.run_id, timeout_s=timeout_s, progress=progress)

    async def status(self) -> RunResult:
        """How the run stands."""
        return await self._runs.get(self.run_id)

    async def cancel(self) -> RunResult:
        """End the run; see `Runs.cancel`."""
        return await self._runs.cancel(self.run_id)

    async def resume(self) -> RunResult:
        """Go on with what did not succeed; see `Runs.resume`."""
        return await self._runs.resume(self.run_id)


class Runs:
    """Runs of skills. Every method raises Unavailable where Postgres stays away."""

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock
        self._waiter = RunWaiter(lambda ids: self._penstock.ledger.fetch("run_versions", ids))

    async def start(
        self,
        skill: Skill | str,
        *,
        workspace: str,
        inputs: Mapping[str, Any] | BaseModel | None = None,
        idempotency_key: str | None = None,
        webhook: str | None = None,
        connection: Any = None,
        **options: Any,
    ) -> RunHandle:
        """Record a run; from then on no process has to stay alive for it but those of Penstock.

        `skill` is a declaration, or the name of one that the workspace has. `options` are those of
        `RunOptions`, such as `configuration`, `lane`, `session_key` and `metadata`, which all jobs
        of the run take over. The same `idempotency_key` in one workspace gives the first run. With
        `connection` (asyncpg, on the same database) the run is part of the caller's transaction.
        Raises UnknownWorkspace, UnknownSkill, UnknownConfiguration, InvalidJob.
        """
        config = await self._penstock.workspaces.get(workspace)
        if isinstance(skill, str):
            skill = (await self._penstock.skills.get(workspace, skill)).skill
        body = skill.check_inputs(inputs)
        given = RunOptions.of(options)
        config.configuration(given.configuration)  # refused here rather than by each step
        _check_key(idempotency_key)
        self._penstock.webhooks.check(webhook)
        await self._penstock.skills.keep(config.workspace, skill, connection=connection)
        names = [step.name for step in skill.steps]
        args = (
            UUID(int=uuid7().int), config.workspace, skill.name, skill.digest,
            given.model_dump_json(exclude_defaults=True), body, webhook, idempotency_key,
            current_trace(), names,
        )  # fmt: skip
        if connection is None:
            rows = await self._penstock.ledger.fetch_safely("run_start", *args)
        else:
            rows = await self._penstock.ledger.fetch("run_start", *args, connection=connection)
        if not rows:  # another transaction recorded the first run of this key meanwhile
            rows = await self._penstock.ledger.fetch_safely(
                "run_find_by_key", workspace, idempotency_key
            )
        return RunHandle(RunId(str(rows[0]["id"])), config.workspace, skill.name, self)

    async def run(
        self,
        skill: Skill | str,
        *,
        workspace: str,
        inputs: Mapping[str, Any] | BaseModel | None = None,
        timeout_s: float | None = None,
        progress: OnRunProgress | None = None,
        **options: Any,
    ) -> RunResult:
        """Start a run and await its end; raises RunFailed unless it succeeded, else as `start`."""
        handle = await self.start(skill, workspace=workspace, inputs=inputs, **options)
        result = await handle.result(timeout_s=timeout_s, progress=progress)
        if not result.ok:
            raise RunFailed(result)
        return result

    async def get(self, run_id: str) -> RunResult:
        """How a run stands, with its usage so far; raises UnknownRun."""
        ledger, known = self._penstock.ledger, UUID(parse_run_id(run_id))
        rows = await ledger.fetch_safely("run_get", [known])
        if not rows:
            raise UnknownRun(run_id)
        steps = await ledger.fetch_safely("run_steps", known)
        usage = await ledger.fetch_safely("run_usage", known)
        needed: Sequence[str] = ()
        if not RunState(rows[0]["state"]).is_terminal:
            needed = await waits_for(self._penstock, known)
        return run_result(rows[0], steps, usage, waits_for=needed)

    async def result(
        self,
        run_id: str,
        *,
        timeout_s: float | None = None,
        progress: OnRunProgress | None = None,
    ) -> RunResult:
        """How a run ended, once it has; raises UnknownRun, RunTimeout. It goes on after a timeout.

        `progress` is called with how it stands each time that has changed.
        """
        known, seen = UUID(parse_run_id(run_id)), -1
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    after = None if progress is None else seen
                    found = await self._waiter.changed(known, after=after)
                    if found is None:
                        raise UnknownRun(run_id)
                    if progress is not None:
                        progress(await self.get(run_id))
                    if found.state.is_terminal:
                        break
                    seen = found.version
        except TimeoutError:
            raise RunTimeout(str(known), timeout_s or 0) from None
        return await self.get(run_id)

    async def items(
        self,
        run_id: str,
        step: str,
        *,
        state: StepState | str | None = None,
        after: int = -1,
        limit: int = 100,
    ) -> Sequence[ItemResult]:
        """The calls of one step with their answers, in order; page on with `after`.

        Raises UnknownRun, and InvalidJob for a step that the skill does not have.
        """
        ledger, known = self._penstock.ledger, UUID(parse_run_id(run_id))
        rows = await ledger.fetch_safely("run_get", [known])
        if not rows:
            raise UnknownRun(run_id)
        skill = skill_of(rows[0]["definition"])
        place = skill.place_of(step)
        found = await ledger.fetch_safely(
            "run_items", known, place, after, StepState.of(state), _limit(limit)
        )
        return [item_result(skill.steps[place], row) for row in found]

    async def cancel(self, run_id: str) -> RunResult:
        """End a run that has not ended, with its jobs and calls under way. Idempotent.

        Raises UnknownRun.
        """
        known = UUID(parse_run_id(run_id))
        if await self._locked(known, self._cancel):
            await stop_run(self._penstock, known, running=True)
        return await self.get(run_id)

    async def resume(self, run_id: str) -> RunResult:
        """Let a failed or cancelled run go on with what did not succeed.

        Its failed jobs start again as the same jobs; nothing that succeeded runs again. Does
        nothing to a run that is under way. Raises UnknownRun, and InvalidJob for a run that
        succeeded, or of which what it was given is no longer kept.
        """
        known = UUID(parse_run_id(run_id))
        rows = await self._penstock.ledger.fetch_safely("run_get", [known])
        if rows and RunState(rows[0]["state"]).is_terminal:
            running = RunState(rows[0]["state"]) is RunState.CANCELLED
            await stop_run(self._penstock, known, running=running)  # what is left to be stopped
        await self._locked(known, self._resume)
        return await self.get(run_id)

    async def list(
        self,
        workspace: str,
        *,
        state: RunState | str | None = None,
        skill: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """A workspace's runs, newest first; page on with `before`, the last ID seen."""
        await self._penstock.workspaces.get(workspace)
        last = None if before is None else UUID(parse_run_id(before))
        args = (workspace, RunState.of(state), skill, last, _limit(limit))
        return [run_row(row) for row in await self._penstock.ledger.fetch_safely("run_list", *args)]

    async def _locked(self, run_id: UUID, change: Callable[[Any, Any], Any]) -> bool:
        """Change a run under its lock, in one transaction."""
        ledger = self._penstock.ledger
        try:
            acquired = ledger.pool.acquire(timeout=ledger.deadline_s)
            async with acquired as connection, connection.transaction():
                rows = await ledger.fetch("run_lock_waiting", run_id, connection=connection)
                if not rows:
                    raise UnknownRun(str(run_id))
                return await change(rows[0], connection)
        except (*POSTGRES_AWAY, asyncpg.LockNotAvailableError) as error:
            detail = str(error) or type(error).__name__
            raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None

    async def _cancel(self, row: Any, connection: Any) -> bool:
        if RunState(row["state"]).is_terminal:
            return False
        ledger, run_id = self._penstock.ledger, row["id"]
        steps = standings(await ledger.fetch("run_steps", run_id, connection=connection))
        columns = step_columns(stopped(steps))
        await ledger.fetch("run_set_steps", run_id, *columns, connection=connection)
        ends = (RunState.CANCELLED, "it was cancelled", None, True)
        await ledger.fetch("run_set", run_id, *ends, connection=connection)
        return True

    async def _resume(self, row: Any, connection: Any) -> bool:
        state = RunState(row["state"])
        if not state.is_terminal:
            return False
        run_id, ledger = row["id"], self._penstock.ledger
        if state is RunState.SUCCEEDED:
            raise InvalidJob(f"run {run_id} succeeded: there is nothing to resume", field="run_id")
        if not row["kept"]:
            told = f"run {run_id} cannot be resumed: what it was given is no longer kept"
            raise InvalidJob(told, field="run_id")
        plan = skill_of(row["definition"]).plan
        before = standings(await ledger.fetch("run_steps", run_id, connection=connection))
        after = [again(plan.steps[step.position], step) for step in before]
        columns = step_columns(after)
        await ledger.fetch("run_set_steps", run_id, *columns, connection=connection)
        places = [step.position for step in after if step.state is StepState.RUNNING]
        await ledger.fetch("run_resume", run_id, places, connection=connection)
        return True


def _check_key(key: str | None) -> None:
    if key is not None and (not 1 <= len(key) <= 255 or "\x00" in key):
        raise InvalidJob("idempotency_key: must have 1 to 255 characters", field="idempotency_key")


def _limit(limit: int) -> int:
    if not 1 <= limit <= MOST:
        raise InvalidJob(f"limit: must be 1 to {MOST}", field="limit")
    return limit
