"""Jobs, leases and settlements for tests of the core, with the fields that a test does not name."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils import uuid7

from penstock_client.entries import Entry
from penstock_client.ledger import NewJob
from penstock_schemas.ids import Fence, JobId, WorkspaceId
from penstock_schemas.results import Result
from penstock_schemas.status import AttemptState, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import Settlement
from penstock_worker.leases import LEASE_S, Lease

PROVIDER, MODEL = "openai", "gpt-test"


def new_job(workspace: str = "acme", **changes: Any) -> NewJob:
    """A job of 10 + 5 estimated tokens at one provider."""
    job = NewJob(
        job_id=UUID(int=uuid7().int),
        workspace=workspace,
        type="generate",
        capability="generate",
        provider=PROVIDER,
        model=MODEL,
        lane=0,
        max_attempts=5,
        input_tokens=10,
        output_tokens=5,
        deadline=None,
        idempotency_key=None,
        skill=None,
        step=None,
        agent=None,
        task_type=None,
        body=b"{}",
    )
    return replace(job, **changes)


def new_jobs(count: int, workspace: str = "acme", **changes: Any) -> list[NewJob]:
    """Many of them."""
    return [new_job(workspace, **changes) for _ in range(count)]


def lease_of(job: NewJob, fence: int, *, lapsed: int | None = None, placement: int = 0) -> Lease:
    """A lease on a job, as a claim would give it."""
    entry = Entry(job.job_id, job.input_tokens, job.output_tokens, placement)
    earlier = None if lapsed is None else Fence(lapsed)
    expires_at = time.monotonic() + LEASE_S
    return Lease(job.job_id, Fence(fence), entry, job.flow, earlier, "epoch", expires_at)


def result_of(job: NewJob, text: str = "yes") -> bytes:
    """An encoded result."""
    return Result(
        job_id=JobId(str(job.job_id)),
        workspace=WorkspaceId(job.workspace),
        status=JobState.SUCCEEDED,
        text=text,
    ).encode()


def settlement_of(job: NewJob, *, number: int = 1, fence: int = 1, **changes: Any) -> Settlement:
    """A success with 7 + 3 tokens for 0.01 USD."""
    settled = Settlement(
        job_id=job.job_id,
        number=number,
        fence=fence,
        workspace=job.workspace,
        attempt_state=AttemptState.SUCCEEDED,
        state=JobState.SUCCEEDED,
        provider=job.provider,
        model=job.model,
        usage=Usage(input_tokens=7, output_tokens=3),
        cost_usd=Decimal("0.01"),
        result=result_of(job),
    )
    return replace(settled, **changes)


async def row(connection: Any, job: NewJob) -> asyncpg.Record:
    """A job's row."""
    return await connection.fetchrow("select * from penstock.jobs where id = $1", job.job_id)


async def attempt_rows(connection: Any, job: NewJob) -> list[asyncpg.Record]:
    """A job's attempts, in order."""
    return await connection.fetch(
        "select * from penstock.attempts where job_id = $1 order by number", job.job_id
    )


async def tokens_used(connection: Any, workspace: str = "acme") -> int:
    """A workspace's tokens of this month."""
    return await connection.fetchval(
        "select tokens_used_this_month from penstock.llm_configs where workspace_id = $1",
        workspace,
    )
