"""`Penstock`: connect, submit, await. The one object that producers hold.

A submit is acknowledged once its row is committed in Postgres. If Redis is away it still
succeeds: the steward indexes the job as soon as Redis is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload
from uuid import UUID

from penstock_client.backfill.service import Backfills
from penstock_client.background import end
from penstock_client.cancelling import cancel
from penstock_client.catalogue import read_configuration
from penstock_client.connected import Connected
from penstock_client.explaining import JobExplanation
from penstock_client.handle import Handle
from penstock_client.ledger import CacheUse, JobRow, NewJob
from penstock_client.mapping import Errors, Mapping
from penstock_client.pipelines.runs import Runs
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.skills import Skills
from penstock_client.placing import place
from penstock_client.progress import Counting, OnProgress
from penstock_client.prompt_cache import priced
from penstock_client.reading_along import known_position, read_deltas
from penstock_client.requeueing import EndedJobs, find_ended, requeue
from penstock_client.routing import AnyJob
from penstock_client.settings import Settings
from penstock_client.sync import SyncPenstock
from penstock_client.tracing import submitting
from penstock_client.waiting import decode_result
from penstock_client.webhooks.addresses import check_webhook
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import JobFailed
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.jobs import Embed
from penstock_schemas.results import Result
from penstock_schemas.runs import RunResult
from penstock_schemas.status import JobState

if TYPE_CHECKING:
    from penstock_client.remote.client import RemotePenstock

#: Jobs recorded in one statement; more are recorded in several.
SUBMIT_CHUNK = 10_000


class Penstock(Connected):
    """A producer's connection to Penstock.

    Use it as `async with Penstock.connect() as penstock`. Safe to share between tasks of one
    event loop. Raises Unavailable or ConfigurationError on entry, naming the variable.
    """

    @overload
    @classmethod
    def connect(
        cls, url: str, *, token: str | None = None, settings: Settings | None = None
    ) -> RemotePenstock: ...

    @overload
    @classmethod
    def connect(
        cls,
        url: None = None,
        *,
        redis_url: str | None = None,
        database_url: str | None = None,
        settings: Settings | None = None,
    ) -> Self: ...

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        *,
        token: str | None = None,
        redis_url: str | None = None,
        database_url: str | None = None,
        settings: Settings | None = None,
    ) -> Any:
        """Prepare a connection from `PENSTOCK_*` settings; what is given here goes first.

        With the `url` of a gateway it is a `RemotePenstock`, as it is with `PENSTOCK_URL` where
        neither Redis nor Postgres is named. Reads the configuration file; raises ConfigurationError
        that names what is wrong in it, or the setting that lacks.
        """
        settings = settings or Settings.load()
        given = {"redis_url": redis_url, "database_url": database_url}
        changes = {name: value for name, value in given.items() if value is not None}
        settings = settings.model_copy(update=changes)
        gateway = url or (settings.url if settings.is_remote else None)
        if gateway is not None:
            from penstock_client.remote.client import RemotePenstock

            return RemotePenstock(gateway, token or settings.token, settings=settings)
        return cls(settings, file=read_configuration(settings))

    def sync(self) -> SyncPenstock[Self]:
        """The same for callers without an event loop: `with Penstock.connect().sync() as p`."""
        return SyncPenstock(self)

    @property
    def skills(self) -> Skills:
        """The skills that workspaces have by name: put, list, look up, remove."""
        return Skills(self)

    @cached_property
    def runs(self) -> Runs:
        """Runs of skills: start, await, look up, list, cancel, resume."""
        return Runs(self)

    @property
    def backfills(self) -> Backfills:
        """Backfills: start, follow, steer, read what they gave."""
        return Backfills(self)

    async def run(self, skill: Skill | str, *, workspace: str, **given: Any) -> RunResult:
        """Start a run of a skill and await its end; see `Runs.run`. Raises RunFailed."""
        return await self.runs.run(skill, workspace=workspace, **given)

    async def submit(self, job: AnyJob, *, connection: Any = None) -> Handle:
        """Record and enqueue one job; see `submit_many`."""
        return (await self.submit_many([job], connection=connection))[0]

    @submitting
    async def submit_many(
        self,
        jobs: Sequence[AnyJob],
        *,
        connection: Any = None,
        on_progress: OnProgress | None = None,
    ) -> list[Handle]:
        """Record and enqueue jobs; handles come in the jobs' order.

        Each 10,000 are one statement: all of them are recorded or none. A job whose idempotency
        key the workspace has used gives the first job's handle. With `connection` (asyncpg, on
        the same database) the jobs are part of the caller's transaction and start after its
        commit. More than 500 jobs run in the bulk lane, but for those that name one.
        `on_progress` is told after each statement. Raises UnknownWorkspace, UnknownModel,
        UnknownProvider, Unavailable, and InvalidJob for a job that none of its models can do.
        """
        counting = Counting(on_progress)
        placed = [await self._place(job, together=len(jobs)) for job in jobs]
        handles: list[Handle] = []
        for first in range(0, len(placed), SUBMIT_CHUNK):
            chunk = placed[first : first + SUBMIT_CHUNK]
            earlier = await self._submits.record(chunk, connection)
            for job, new in zip(jobs[first : first + SUBMIT_CHUNK], chunk, strict=True):
                first_id = earlier.get(new.job_id)
                job_id = JobId(str(first_id or new.job_id))
                provider = None if first_id else new.provider
                output_type = None if isinstance(job, Embed) else job.output_type
                handles.append(Handle(job_id, new.workspace, provider, output_type, self))
            counting.submitted(len(chunk))
        return handles

    async def place(self, job: AnyJob, *, together: int = 1) -> NewJob:
        """A job as it would be recorded with `together - 1` others; raises as `submit_many`."""
        return await self._place(job, together=together)

    async def record(self, placed: Sequence[NewJob], *, connection: Any = None) -> list[JobId]:
        """Record and enqueue what `place` gave, in one statement; their IDs, or the first jobs'.

        With `connection` they are part of the caller's transaction: call `enqueue` after its
        commit, else a steward does it within a second.
        """
        earlier = await self._submits.record(placed, connection)
        return [JobId(str(earlier.get(new.job_id, new.job_id))) for new in placed]

    async def enqueue(
        self, placed: Sequence[NewJob], earlier: Collection[UUID] = frozenset()
    ) -> None:
        """Start now one recorded batch, whose transaction has committed. Safe to repeat.

        `earlier` are those of its jobs that were not recorded, for they had been before.
        """
        await self._submits.enqueue(placed, earlier)

    async def call(self, job: AnyJob, *, timeout_s: float | None = None) -> Result:
        """Submit a job and await its answer; raises JobFailed when it has none."""
        handle = await self.submit(job)
        result = await handle.result(timeout_s=timeout_s)
        if not result.ok:
            raise JobFailed(result)
        return result

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID; raises UnknownJob, ResultTimeout."""
        known = parse_job_id(job_id)
        body = await self.await_body(known, None, timeout_s)
        return decode_result(body, None)

    async def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of a job's streamed answer, as they come; ends when the job has its result.

        From the first piece on, or from the one after the `position` that a Delta had, in this
        process or any other: each reader gets every piece once and in order. A lost connection to
        Redis is made again. `Delta` says how restarts and lost pieces show. Pieces can be read for
        an hour after the last of them; later there are none, and only the result is left. Raises
        UnknownJob, and InvalidJob for an `after` that is no position.
        """
        known, position = parse_job_id(job_id), known_position(after)
        ended = asyncio.ensure_future(self.await_body(known, None, None))
        try:
            async for delta in read_deltas(self._reading, known, ended, after=position):
                yield delta
        finally:
            await end([ended])

    async def map(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob],
        *,
        window: int = 500,
        ordered: bool = False,
        errors: Errors = "return",
        on_progress: OnProgress | None = None,
    ) -> AsyncIterator[Result]:
        """Run any number of jobs with at most `window` under way; results as they complete.

        With `ordered` they come in the source's order; those that have to wait for their turn
        count in the window, so memory stays bounded by it either way. A job is submitted as soon
        as the source gives it, with those that came with it. `on_progress` is told of each submit
        and each end.

        A failed job is a result like any other; with `errors="raise"` it raises JobFailed when its
        turn comes. The first error of the source or of a submit is raised. What is under way then
        goes on, as it does when the caller stops reading; with `errors="raise"` it is cancelled,
        but for jobs that an earlier submit placed.
        """
        async with Mapping(
            self.submit_many,
            cancel_many=self.cancel_many,
            window=window,
            ordered=ordered,
            errors=errors,
            on_progress=on_progress,
        ) as mapping:
            async for result in mapping.run(jobs):
                yield result

    async def check(self, workspace: str, *, model: str | None = None) -> None:
        """Whether jobs of a workspace, with a pinned model, can be submitted at all.

        Raises UnknownWorkspace, UnknownModel, UnknownProvider.
        """
        await self.workspaces.get(workspace)
        if model is not None:
            self.catalog.resolve(model)

    async def jobs(
        self,
        workspace: str,
        *,
        state: JobState | str | None = None,
        capability: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """A workspace's jobs, newest first; page on with `before`, the last ID seen."""
        await self.workspaces.get(workspace)
        last = UUID(parse_job_id(before)) if before else None
        return await self.ledger.jobs(
            workspace,
            state=JobState.of(state),
            capability=capability,
            before=last,
            limit=limit,
        )

    async def ended_jobs(self, which: EndedJobs) -> list[JobId]:
        """The jobs that `requeue` may start again; raises UnknownWorkspace, InvalidJob."""
        await self.workspaces.get(which.workspace)
        return await find_ended(self.ledger, which)

    async def requeue(self, job_ids: Sequence[str], *, skip_others: bool = False) -> list[Handle]:
        """Start jobs again that failed, expired or were cancelled, each as the same job.

        See `requeueing`. All of them start or none does; with `skip_others` those that cannot are
        left out. Raises UnknownJob, and InvalidJob that names a job which succeeded or still lives.
        """
        known = [UUID(parse_job_id(job_id)) for job_id in job_ids]
        jobs = await requeue(self.ledger, self._broker, known, skip_others=skip_others)
        found = [(JobId(str(job.job_id)), job.flow.workspace) for job in jobs]
        return [Handle(job_id, workspace, None, None, self) for job_id, workspace in found]

    async def cancel(self, job_id: str) -> JobState:
        """End a job now; returns its state: cancelled, or as it had ended before. Idempotent.

        Whoever awaits it is told at once; a call under way is stopped, and counts as what it may
        have cost. See `cancelling`, also for what happens while Redis is away. Raises UnknownJob.
        """
        return (await self.cancel_many([job_id]))[parse_job_id(job_id)]

    async def cancel_many(self, job_ids: Sequence[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself; UnknownJob is raised before any is cancelled."""
        known = [UUID(parse_job_id(job_id)) for job_id in job_ids]
        states = await cancel(self.ledger, self._redis, known)
        return {JobId(str(job_id)): state for job_id, state in states.items()}

    async def explain(self, job_id: str) -> JobExplanation:
        """Why a job waits, its place and estimated start, and its attempts with their cost.

        Raises UnknownJob, Unavailable.
        """
        return await self.operations.explain(parse_job_id(job_id))

    async def prompt_cache(self, workspace: str | None, *, since: datetime) -> list[CacheUse]:
        """How system prompts fared in the providers' prompt caches, by provider and model.

        Jobs with `cache_system` count under the hash of their instructions
        (`penstock_schemas.system_prompt`); the others are one row for each model that cached by
        itself. `workspace` None means all of them. Raises UnknownWorkspace.
        """
        if workspace is not None:
            await self.workspaces.get(workspace)
        counted = await self.ledger.prompt_cache(workspace, since)
        return [priced(dict(counts), self.catalog) for counts in counted]

    async def alive_providers(self) -> frozenset[str] | None:
        """The providers that had a worker within the last minute; None if that is not known.

        A strategy prefers them. Asks Redis every 30 s at most.
        """
        return await self._presence.alive()

    async def _place(self, job: AnyJob, *, together: int) -> NewJob:
        if job.webhook is not None:
            check_webhook(job.webhook, private=self.settings.webhook_private)
        config = await self.workspaces.get(job.workspace)
        wanted = job.strategy or self.catalog.defaults.strategy
        alive = await self._presence.alive() if wanted else None
        return place(job, config, self.catalog, alive=alive, together=together)
