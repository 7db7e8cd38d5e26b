"""`FakePenstock.runs`: runs of skills in the process, on the pure core of pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import from_json
from uuid_utils import uuid7

from penstock_client.background import end
from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.progress import Standing, again, stopped
from penstock_client.pipelines.rows import item_result
from penstock_client.pipelines.runs import OnRunProgress, RunHandle, Runs
from penstock_client.pipelines.skill import Skill
from penstock_client.routing import AnyJob
from penstock_client.testing.driving import Driver
from penstock_client.testing.run_record import FakeRun
from penstock_client.webhooks.addresses import check_webhook
from penstock_schemas.errors import InvalidJob, RunTimeout, UnknownRun
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.results import Result
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
    from penstock_client.testing.fake import FakePenstock


class FakeRuns(Runs):
    """Runs; raises as `Runs` does, but for servers that are away. COMPUTE functions are called."""

    def __init__(self, penstock: FakePenstock) -> None:
        self._fake = penstock
        self._found: dict[RunId, FakeRun] = {}
        self._by_key: dict[tuple[str, str], FakeRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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
        """Start a run; see `Runs.start`. It ends with the connection, if not before."""
        config = self._fake.workspace(workspace)
        if isinstance(skill, str):
            skill = (await self._fake.skills.get(workspace, skill)).skill
        body = skill.check_inputs(inputs)
        given = RunOptions.of(options)
        config.configuration(given.configuration)
        if webhook is not None:
            check_webhook(webhook, private="allow")
        await self._fake.skills.keep(config.workspace, skill)
        first = self._by_key.get((workspace, idempotency_key or ""))
        if first is not None:
            return self._handle(first)
        run = FakeRun(
            run_id=RunId(str(uuid7())),
            workspace=workspace,
            skill=Skill.parse(skill.definition()),
            options=given,
            inputs=from_json(body),
            steps=tuple(Standing(position=at) for at in range(len(skill.steps))),
        )
        if idempotency_key is not None:
            self._by_key[workspace, idempotency_key] = run
        self._found[run.run_id] = run
        self._drive(run)
        return self._handle(run)

    async def get(self, run_id: str) -> RunResult:
        """How a run stands; raises UnknownRun."""
        return self._run(run_id).seen()

    async def result(
        self,
        run_id: str,
        *,
        timeout_s: float | None = None,
        progress: OnRunProgress | None = None,
    ) -> RunResult:
        """How a run ended, once it has; raises UnknownRun, RunTimeout."""
        run = self._run(run_id)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    moved, seen = run.moved, run.seen()
                    if progress is not None:
                        progress(seen)
                    if seen.status.is_terminal:
                        return seen
                    await moved.wait()
        except TimeoutError:
            raise RunTimeout(run.run_id, timeout_s or 0) from None

    async def items(
        self,
        run_id: str,
        step: str,
        *,
        state: StepState | str | None = None,
        after: int = -1,
        limit: int = 100,
    ) -> Sequence[ItemResult]:
        """The calls of one step with their answers, in order; raises UnknownRun, InvalidJob."""
        run = self._run(run_id)
        place, wanted = run.skill.place_of(step), StepState.of(state)
        found = [
            item_result(run.skill.steps[place], item.row())
            for item in run.items_of(place)
            if item.item > after and wanted in {None, item.state}
        ]
        return found[:limit]

    async def cancel(self, run_id: str) -> RunResult:
        """End a run that has not ended, with its jobs; raises UnknownRun."""
        run = self._run(run_id)
        if not run.state.is_terminal:
            run.end(RunState.CANCELLED, error="it was cancelled")
            run.move(stopped(run.steps))
            await self._stop(run)
        return run.seen()

    async def resume(self, run_id: str) -> RunResult:
        """Let a failed or cancelled run go on with what did not succeed; see `Runs.resume`."""
        run = self._run(run_id)
        if run.state is RunState.SUCCEEDED:
            raise InvalidJob(f"run {run_id} succeeded: there is nothing to resume", field="run_id")
        if run.state.is_terminal:
            await self._stop(run)
            run.epoch += 1
            run.state, run.error, run.finished_at = RunState.RUNNING, None, None
            run.move([again(run.skill.plan.steps[each.position], each) for each in run.steps])
            self._drive(run)
        return run.seen()

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
        self._fake.workspace(workspace)
        wanted = RunState.of(state)
        found = [
            run.listed()
            for run_id, run in sorted(self._found.items(), reverse=True)
            if run.workspace == workspace
            and wanted in {None, run.state}
            and skill in {None, run.skill.name}
            and (before is None or run_id < parse_run_id(before))
        ]
        return found[:limit]

    async def end(self) -> None:
        """Stop the runs that have not ended; they stay as they are."""
        await end(self._tasks)

    def _drive(self, run: FakeRun) -> None:
        run.task = asyncio.create_task(Driver(run, self._run_job).drive())
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)

    async def _stop(self, run: FakeRun) -> None:
        """Cancel what the run has under way."""
        if run.task is not None:
            await end([run.task])

    async def _run_job(self, job: AnyJob, tell: Callable[[str], None]) -> Result:
        """The result of a job of a run; one that ended without an answer before starts again."""
        handle = await self._fake.submit(job)
        tell(handle.job_id)
        if handle.provider is None:
            await self._fake.requeue([handle.job_id], skip_others=True)
        try:
            return await handle.result()
        except asyncio.CancelledError:
            await self._fake.cancel(handle.job_id)
            raise

    def _handle(self, run: FakeRun) -> RunHandle:
        return RunHandle(run.run_id, WorkspaceId(run.workspace), run.skill.name, self)

    def _run(self, run_id: str) -> FakeRun:
        found = self._found.get(parse_run_id(run_id))
        if found is None:
            raise UnknownRun(run_id)
        return found
