"""Reads and writes of producers and operators. Workers add `open` and `settle` in `attempts.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import orjson

from penstock_client.connections import POSTGRES_AWAY, close_pool, persistently, postgres_pool
from penstock_client.entries import Entry, Flow, capability_code
from penstock_client.ledger.queries import query
from penstock_client.ledger.rows import JobRow, NewJob, StandingJob, WorkspaceConfig
from penstock_client.ledger.steering import Steering
from penstock_client.ledger.workspace_rows import workspace_config
from penstock_client.settings import DATABASE_VARIABLE, Settings
from penstock_schemas.errors import ConfigurationError, Unavailable
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.status import JobState

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

Record = asyncpg.Record
_CLOSED = "this connection is closed: use Penstock within its `async with`"


class Ledger:
    """Penstock's tables behind one pool of connections."""

    def __init__(self, pool: asyncpg.Pool, *, deadline_s: float) -> None:
        self.pool = pool
        self.deadline_s = deadline_s

    @classmethod
    async def connect(cls, settings: Settings, *, max_size: int = 10) -> Ledger:
        """Open a pool; raises Unavailable or ConfigurationError, naming the variable."""
        return cls(await postgres_pool(settings, max_size=max_size), deadline_s=settings.deadline_s)

    async def close(self) -> None:
        """Close the pool, within seconds even when Postgres does not answer."""
        await close_pool(self.pool)

    async def fetch(
        self, name: str, *args: Any, connection: Connection | None = None
    ) -> list[Record]:
        """Run a named query once, within the deadline; on `connection` when one is given."""
        if connection is not None:
            return await connection.fetch(query(name), *args, timeout=self.deadline_s)
        acquired = await self.pool.acquire(timeout=self.deadline_s)
        try:
            return await acquired.fetch(query(name), *args, timeout=self.deadline_s)
        except (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError):
            # A half-open or confused connection would hang again while it is given back.
            acquired.terminate()
            raise
        finally:
            with contextlib.suppress(asyncpg.InterfaceError):  # the pool was closed meanwhile
                await self.pool.release(acquired, timeout=self.deadline_s)

    async def fetch_safely(self, name: str, *args: Any) -> list[Record]:
        """Run a query that is safe to repeat; raises Unavailable once Postgres stays away."""
        if self.pool.is_closing():
            raise RuntimeError(_CLOSED)
        try:
            return await persistently(
                lambda: self.fetch(name, *args), away=POSTGRES_AWAY, for_s=self.deadline_s
            )
        except asyncpg.UndefinedTableError:
            raise ConfigurationError(
                f"{DATABASE_VARIABLE}: this database has no Penstock tables; run `penstock migrate`"
            ) from None
        except POSTGRES_AWAY as error:
            detail = str(error) or type(error).__name__
            raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None

    async def submit(
        self,
        jobs: Sequence[NewJob],
        *,
        connection: Connection | None = None,
        index_after: timedelta = timedelta(seconds=5),
    ) -> dict[UUID, UUID]:
        """Record jobs in one round trip; returns {ID: first job's ID} for repeated keys.

        Atomic and idempotent: the same IDs can be submitted again after a lost connection. On the
        caller's own `connection` it is part of the caller's transaction.
        """
        args = (*_columns(jobs), index_after.total_seconds())
        if connection is None:
            rows = await self.fetch_safely("submit", *args)
        else:
            rows = await self.fetch("submit", *args, connection=connection)
        first: dict[UUID, UUID | None] = {row["id"]: row["first_id"] for row in rows}
        for job in jobs if first else ():
            if job.job_id in first and first[job.job_id] is None:
                key = (job.workspace, job.idempotency_key)
                found = await self.fetch("find_by_key", *key, connection=connection)
                first[job.job_id] = found[0]["id"] if found else job.job_id
        return {job_id: known for job_id, known in first.items() if known is not None}

    async def mark_indexed(self, first_ids: Sequence[UUID]) -> None:
        """Forget submits whose jobs are in the index."""
        await self.fetch("indexed", first_ids)

    async def results(
        self, job_ids: Sequence[UUID]
    ) -> dict[UUID, tuple[JobState, WorkspaceId, bytes | None]]:
        """State, workspace and encoded result of each job that exists."""
        rows = await self.fetch_safely("results", job_ids)
        return {row["id"]: (JobState(row["state"]), row["workspace"], row["body"]) for row in rows}

    async def jobs(
        self,
        workspace: str,
        *,
        state: JobState | None = None,
        capability: str | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """A workspace's jobs, newest first; page on with `before`, the last ID seen."""
        rows = await self.fetch_safely("list_jobs", workspace, state, capability, before, limit)
        return [_job_row(row) for row in rows]

    async def attempts(self, job_id: UUID) -> list[Record]:
        """Every attempt of a job, in order."""
        return await self.fetch_safely("job_attempts", job_id)

    async def usage_by_model(self, workspace: str, since: datetime) -> list[Record]:
        """Calls, tokens and cost of a workspace by provider and model."""
        return await self.fetch_safely("usage_by_model", workspace, since)

    async def prompt_cache(self, workspace: str | None, since: datetime) -> list[Record]:
        """Calls, hits and tokens of the prompt cache by provider, model and system prompt."""
        return await self.fetch_safely("prompt_cache", workspace, since)

    async def create_workspace(
        self, workspace: str, *, routing: dict[str, Any], monthly_tokens: int | None
    ) -> bool:
        """Create a workspace; False when it exists already, which changes nothing."""
        args = (workspace, orjson.dumps(routing).decode(), monthly_tokens)
        return bool(await self.fetch_safely("create_workspace", *args))

    async def workspaces(
        self, workspace: str | None = None, *, after: str | None = None, limit: int | None = None
    ) -> list[WorkspaceConfig]:
        """The workspace of that name, or all of them by name; page on with `after`."""
        rows = await self.fetch_safely("workspaces", workspace, after, limit)
        return [workspace_config(row) for row in rows]

    async def change_workspace(self, workspace: str, fields: Mapping[str, Any]) -> bool:
        """Change a workspace's settings; False when there is no such workspace. Idempotent."""
        return bool(await self.fetch_safely("change_workspace", workspace, _json(fields)))

    async def set_configuration(
        self, workspace: str, name: str, fields: Mapping[str, Any], *, new: Mapping[str, Any]
    ) -> bool:
        """Make or change a configuration; `new` is laid under `fields` for one that is made.

        False when there is no such workspace. Idempotent.
        """
        args = (workspace, name, _json(fields), _json(new))
        return bool(await self.fetch_safely("set_configuration", *args))

    async def remove_configuration(self, workspace: str, name: str) -> bool:
        """Remove a configuration; False when there is none, or when it is the default one."""
        return bool(await self.fetch_safely("remove_configuration", workspace, name))

    @property
    def steering(self) -> Steering:
        """What operators set: limits, pauses, weights."""
        return Steering(self)

    async def standing(self, name: str, *args: Any) -> list[StandingJob]:
        """Run one of the queries that tell where jobs stand."""
        return [standing_job(row) for row in await self.fetch(name, *args)]


def _json(fields: Mapping[str, Any]) -> str:
    return orjson.dumps(fields, default=str).decode()


def _columns(jobs: Sequence[NewJob]) -> tuple[Any, ...]:
    ids = [job.job_id for job in jobs]
    return (
        ids,
        [job.workspace for job in jobs],
        [job.type for job in jobs],
        [job.capability for job in jobs],
        [job.provider for job in jobs],
        [job.model for job in jobs],
        [job.lane for job in jobs],
        [job.max_attempts for job in jobs],
        [job.input_tokens for job in jobs],
        [job.output_tokens for job in jobs],
        [job.deadline for job in jobs],
        [job.idempotency_key for job in jobs],
        [job.skill for job in jobs],
        [job.step for job in jobs],
        [job.agent for job in jobs],
        [job.task_type for job in jobs],
        [job.system_hash for job in jobs],
        [job.limit_tag for job in jobs],
        [job.max_queue_wait_s for job in jobs],
        [job.configuration for job in jobs],
        [job.session_key for job in jobs],
        [job.task_description for job in jobs],
        [job.trace for job in jobs],
        [job.owner for job in jobs],
        [job.webhook for job in jobs],
        [job.body for job in jobs],
        min(ids),
        max(ids),
    )


def flow_of(row: Record) -> Flow:
    """The flow of a job, from its row."""
    tag: str = row["limit_tag"] or ""
    return Flow(row["workspace"], row["lane"], row["model"], tag, row["configuration"])


def standing_job(row: Record) -> StandingJob:
    """Where a job stands, from a row of one of the queries that tell it."""
    entry = Entry(
        row["id"],
        row["input_tokens_est"],
        row["output_tokens_est"],
        row["placement_version"],
        capability_code(row["capability"]),
    )
    return StandingJob(
        job_id=row["id"],
        provider=row["provider"],
        state=JobState(row["state"]),
        fence=row["fence"],
        flow=flow_of(row),
        entry=entry,
        wait_ms=row["wait_ms"],
    )


def _job_row(row: Record) -> JobRow:
    fields: dict[str, Any] = dict(row.items())
    job_id = JobId(str(fields.pop("id")))
    state = JobState(fields.pop("state"))
    return JobRow(job_id=job_id, state=state, **fields)
