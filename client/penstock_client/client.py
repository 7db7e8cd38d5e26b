"""`Penstock`: connect, submit, await. The one object that producers hold.

A submit is acknowledged once its row is committed in Postgres. If Redis is away it still
succeeds: the steward indexes the job as soon as Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel

from penstock_client.background import forever
from penstock_client.broker import Broker
from penstock_client.cancelling import cancel
from penstock_client.catalogue import (
    REFRESH_S,
    ConfigurationFile,
    catalog_in_force,
    read_configuration,
    under_file,
)
from penstock_client.connections import (
    POSTGRES_AWAY,
    REDIS_AWAY,
    check_redis,
    close_redis,
    redis_pool,
)
from penstock_client.explaining import JobExplanation
from penstock_client.key_trial import KeyTrial
from penstock_client.ledger import CacheUse, JobRow, Ledger, NewJob
from penstock_client.mapping import Mapping
from penstock_client.metering import Metering
from penstock_client.operations import Operations
from penstock_client.placing import place
from penstock_client.presence import Presence
from penstock_client.prompt_cache import priced
from penstock_client.provider_keys import WorkspaceKeys
from penstock_client.reading_along import read_deltas
from penstock_client.requeueing import EndedJobs, find_ended, requeue
from penstock_client.routing import AnyJob
from penstock_client.settings import Settings
from penstock_client.tokens import Tokens
from penstock_client.tracing import submitting
from penstock_client.usage import UsageReports
from penstock_client.waiting import Waiter, decode_result
from penstock_client.workspaces import Workspaces, announcer
from penstock_schemas.catalog import catalog
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import InvalidJob, JobFailed, ResultTimeout
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.jobs import Embed
from penstock_schemas.results import Result
from penstock_schemas.status import JobState

logger = logging.getLogger("penstock.client")

_NOT_ENTERED = "use Penstock as `async with Penstock.connect() as penstock`"
#: Jobs recorded in one statement; more are recorded in several.
SUBMIT_CHUNK = 10_000
#: Connections for reading streamed answers, apart from others': each waits for the next piece.
READERS = 128


@dataclass(frozen=True, slots=True)
class Handle:
    """A submitted job: its ID is enough to await it from any other process.

    `provider` is where it was placed, None for a job that an earlier submit placed.
    """

    job_id: JobId
    workspace: str
    provider: str | None
    output_type: type[BaseModel] | None
    _penstock: Penstock

    async def result(self, *, timeout_s: float | None = None) -> Result:
        """The result, whatever it is; raises ResultTimeout. The job goes on after a timeout."""
        body = await self._penstock.await_body(self.job_id, self.provider, timeout_s)
        return decode_result(body, self.output_type)

    async def cancel(self) -> JobState:
        """Cancel the job; see `Penstock.cancel`."""
        return await self._penstock.cancel(self.job_id)

    def stream(self) -> AsyncIterator[Delta]:
        """The pieces of the answer to a job with `stream`, from the first on, as they come.

        Ends when the job has its result, which `result()` then gives at once. A piece with
        `restarted` voids what came before it: an attempt failed and another began. Any number of
        processes may read along.
        """
        return self._penstock.stream(self.job_id)


class Penstock:
    """A producer's connection to Penstock.

    Use it as `async with Penstock.connect() as penstock`. Safe to share between tasks of one
    event loop. Raises Unavailable or ConfigurationError on entry, naming the variable.
    """

    def __init__(self, settings: Settings, *, file: ConfigurationFile | None = None) -> None:
        self.settings = settings
        self.catalog = under_file(catalog(), file)
        self._file = file
        self._ledger: Ledger | None = None
        self._workspaces: Workspaces | None = None
        self._indexed: list[UUID] = []
        self._index_seen = asyncio.Event()

    @classmethod
    def connect(
        cls,
        *,
        redis_url: str | None = None,
        database_url: str | None = None,
        settings: Settings | None = None,
    ) -> Self:
        """Prepare a connection from `PENSTOCK_*` settings; what is given here goes first.

        Reads the configuration file; raises ConfigurationError that names what is wrong in it.
        """
        settings = settings or Settings.load()
        given = {"redis_url": redis_url, "database_url": database_url}
        changes = {name: url for name, url in given.items() if url is not None}
        settings = settings.model_copy(update=changes)
        return cls(settings, file=read_configuration(settings))

    async def __aenter__(self) -> Self:
        self.settings.require_database()
        self._redis = redis_pool(self.settings)
        self._reading = redis_pool(self.settings, max_connections=READERS)
        try:
            await check_redis(self._redis)
            self._ledger = await Ledger.connect(self.settings)
            await self.refresh_catalog()
        except BaseException:
            if self._ledger is not None:
                await self._ledger.close()
            await close_redis(self._redis)
            raise
        self._broker = Broker(self._redis)
        announce = announcer(self._redis, lambda: self.catalog)
        self._workspaces = Workspaces(self.ledger, lambda: self.catalog, on_changed=announce)
        self._presence = Presence(
            self._redis, lambda: [provider.name for provider in self.catalog.providers]
        )
        self._waiter = Waiter(self._redis, self.ledger, on_changed=self._workspaces.forget)
        await self._waiter.start()
        marking = forever(
            self._mark_indexed, event="submit.mark_failed", logger=logger, every_s=0.05
        )
        self._marker = asyncio.create_task(marking, name="penstock-mark")
        refreshing = forever(self._refresh_later, event="catalogue.refresh_failed", logger=logger)
        self._refresher = asyncio.create_task(refreshing, name="penstock-catalogue")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._marker, self._refresher):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._presence.close()
        await self._waiter.close()
        with contextlib.suppress(*POSTGRES_AWAY):
            await self._mark_now()
        await self.ledger.close()
        await close_redis(self._reading)
        await close_redis(self._redis)

    @property
    def ledger(self) -> Ledger:
        """The record behind this connection."""
        if self._ledger is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._ledger

    @property
    def workspaces(self) -> Workspaces:
        """Look up, list, create and change workspaces and their configurations."""
        if self._workspaces is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._workspaces

    @property
    def tokens(self) -> Tokens:
        """Who may use the HTTP API: make, list, revoke and check tokens."""
        return Tokens(self.ledger)

    @property
    def usage(self) -> UsageReports:
        """What was called, used and spent."""
        return UsageReports(self.ledger)

    @property
    def operations(self) -> Operations:
        """What operators see and steer: providers, breakers, credentials."""
        return Operations(self.ledger, self._redis, self.catalog)

    @property
    def keys(self) -> WorkspaceKeys:
        """Workspaces' own keys for providers: set, test, list and remove them."""
        trial = KeyTrial(
            self.catalog,
            record=lambda jobs: self._record(jobs, None),
            await_body=self.await_body,
            explain=self.operations.explain,
        )
        return WorkspaceKeys(
            self.ledger,
            self.operations,
            self.catalog,
            check_workspace=self.workspaces.get,
            changed=self.workspaces.changed,
            test=trial,
            pinned=self.settings.public_key,
        )

    def metering(self) -> Metering:
        """Readings of queues, limits, breakers and totals of usage, for metrics."""
        return Metering(self.ledger, self._redis, lambda: self.catalog)

    async def refresh_catalog(self) -> None:
        """Take up now what has changed in the catalogue's tables; else within five minutes.

        Raises Unavailable, or ConfigurationError where they lack or do not go with the file; the
        catalogue then stays as it was.
        """
        found = await catalog_in_force(self.ledger, self._file)
        if found != self.catalog:  # what is remembered of the very object stays good
            self.catalog = found

    async def submit(self, job: AnyJob, *, connection: Any = None) -> Handle:
        """Record and enqueue one job; see `submit_many`."""
        return (await self.submit_many([job], connection=connection))[0]

    @submitting
    async def submit_many(self, jobs: Sequence[AnyJob], *, connection: Any = None) -> list[Handle]:
        """Record and enqueue jobs; handles come in the jobs' order.

        Each 10,000 are one statement: all of them are recorded or none. A job whose idempotency
        key the workspace has used gives the first job's handle. With `connection` (asyncpg, on
        the same database) the jobs are part of the caller's transaction and start after its
        commit. More than 500 jobs run in the bulk lane, but for those that name one. Raises
        UnknownWorkspace, UnknownModel, UnknownProvider, Unavailable, and InvalidJob for a job that
        none of its models can do.
        """
        placed = [await self._place(job, together=len(jobs)) for job in jobs]
        handles: list[Handle] = []
        for first in range(0, len(placed), SUBMIT_CHUNK):
            chunk = placed[first : first + SUBMIT_CHUNK]
            earlier = await self._record(chunk, connection)
            for job, new in zip(jobs[first : first + SUBMIT_CHUNK], chunk, strict=True):
                first_id = earlier.get(new.job_id)
                job_id = JobId(str(first_id or new.job_id))
                provider = None if first_id else new.provider
                output_type = None if isinstance(job, Embed) else job.output_type
                handles.append(Handle(job_id, new.workspace, provider, output_type, self))
        return handles

    async def place(self, job: AnyJob, *, together: int = 1) -> NewJob:
        """A job as it would be recorded with `together - 1` others; raises as `submit_many`."""
        return await self._place(job, together=together)

    async def record(self, placed: Sequence[NewJob], *, connection: Any = None) -> list[JobId]:
        """Record and enqueue what `place` gave, in one statement; their IDs, or the first jobs'.

        With `connection` they are part of the caller's transaction: call `enqueue` after its
        commit, else a steward does it within a second.
        """
        earlier = await self._record(placed, connection)
        return [JobId(str(earlier.get(new.job_id, new.job_id))) for new in placed]

    async def enqueue(
        self, placed: Sequence[NewJob], earlier: Collection[UUID] = frozenset()
    ) -> None:
        """Start now one recorded batch, whose transaction has committed. Safe to repeat.

        `earlier` are those of its jobs that were not recorded, for they had been before.
        """
        try:
            await self._broker.push(job for job in placed if job.job_id not in earlier)
        except REDIS_AWAY as error:  # recorded all the same
            logger.warning("submit.index_later", extra={"jobs": len(placed), "reason": str(error)})
        else:
            self._indexed.append(min(job.job_id for job in placed))
            self._index_seen.set()

    async def call(self, job: AnyJob, *, timeout_s: float | None = None) -> Result:
        """Submit a job and await its answer; raises JobFailed when it has none."""
        handle = await self.submit(job)
        result = await handle.result(timeout_s=timeout_s)
        if not result.ok:
            raise JobFailed(result)
        return result

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID; raises UnknownJob, ResultTimeout."""
        known = _known_id(job_id)
        body = await self.await_body(known, None, timeout_s)
        return decode_result(body, None)

    async def stream(self, job_id: str) -> AsyncIterator[Delta]:
        """The pieces of a job's streamed answer, from the first on; see `Handle.stream`.

        Raises UnknownJob.
        """
        known = _known_id(job_id)
        ended = asyncio.ensure_future(self.await_body(known, None, None))
        try:
            async for delta in read_deltas(self._reading, self.ledger, known, ended):
                yield delta
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def map(
        self, jobs: Iterable[AnyJob] | AsyncIterable[AnyJob], *, window: int = 500
    ) -> AsyncIterator[Result]:
        """Run any number of jobs with at most `window` under way; results as they complete.

        Memory stays bounded by the window. A failed job is a result like any other. A job is
        submitted as soon as the source gives it, with those that came with it. Raises the first
        error of the source or of a submit.
        """
        if window < 1:
            raise InvalidJob("window: must be at least 1", field="window")
        async with Mapping(self.submit_many, window=window) as mapping:
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
        state: JobState | None = None,
        capability: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """A workspace's jobs, newest first; page on with `before`, the last ID seen."""
        await self.workspaces.get(workspace)
        last = UUID(_known_id(before)) if before else None
        return await self.ledger.jobs(
            workspace, state=state, capability=capability, before=last, limit=limit
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
        known = [UUID(_known_id(job_id)) for job_id in job_ids]
        jobs = await requeue(self.ledger, self._broker, known, skip_others=skip_others)
        found = [(JobId(str(job.job_id)), job.flow.workspace) for job in jobs]
        return [Handle(job_id, workspace, None, None, self) for job_id, workspace in found]

    async def cancel(self, job_id: str) -> JobState:
        """End a job now; returns its state: cancelled, or as it had ended before. Idempotent.

        Whoever awaits it is told at once; a call under way is stopped, and counts as what it may
        have cost. See `cancelling`, also for what happens while Redis is away. Raises UnknownJob.
        """
        return (await self.cancel_many([job_id]))[_known_id(job_id)]

    async def cancel_many(self, job_ids: Sequence[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself; UnknownJob is raised before any is cancelled."""
        known = [UUID(_known_id(job_id)) for job_id in job_ids]
        states = await cancel(self.ledger, self._redis, known)
        return {JobId(str(job_id)): state for job_id, state in states.items()}

    async def explain(self, job_id: str) -> JobExplanation:
        """Why a job waits, its place and estimated start, and its attempts with their cost.

        Raises UnknownJob, Unavailable.
        """
        return await self.operations.explain(_known_id(job_id))

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

    async def await_body(
        self, job_id: JobId, provider: str | None, timeout_s: float | None
    ) -> bytes:
        """The encoded result of a job; raises UnknownJob, ResultTimeout."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._waiter.body_of(job_id, provider)
        except TimeoutError:
            raise ResultTimeout(job_id, timeout_s or 0) from None

    async def _place(self, job: AnyJob, *, together: int) -> NewJob:
        config = await self.workspaces.get(job.workspace)
        wanted = job.strategy or self.catalog.defaults.strategy
        alive = await self._presence.alive() if wanted else None
        return place(job, config, self.catalog, alive=alive, together=together)

    async def _record(self, jobs: Sequence[NewJob], connection: Any) -> dict[UUID, UUID]:
        for workspace in {job.workspace for job in jobs}:
            await self._waiter.listen_to(workspace)
        if connection is not None:
            return await self.ledger.submit(
                jobs, connection=connection, index_after=timedelta(seconds=0)
            )
        earlier = await self.ledger.submit(jobs)
        await self.enqueue(jobs, earlier)
        return earlier

    async def _refresh_later(self) -> None:
        await asyncio.sleep(REFRESH_S)
        await self.refresh_catalog()

    async def _mark_indexed(self) -> None:
        """Tell the record, off the submit's path, which submits the steward may forget."""
        await self._index_seen.wait()
        self._index_seen.clear()
        await self._mark_now()

    async def _mark_now(self) -> None:
        done, self._indexed = self._indexed, []
        if done:
            await self.ledger.mark_indexed(done)


def _known_id(text: str) -> JobId:
    try:
        return parse_job_id(text)
    except ValueError as error:
        raise InvalidJob(str(error), field="job_id") from None
