"""`Producer`: what every connection offers to those who submit jobs, whatever its transport.

`Penstock` has it on Redis and Postgres, `RemotePenstock` over HTTP, `FakePenstock` in the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from penstock_client.explaining import JobExplanation
from penstock_client.handle import Handle
from penstock_client.ledger import JobRow
from penstock_client.mapping import Errors, Mapping
from penstock_client.progress import OnProgress
from penstock_client.routing import AnyJob
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import JobFailed
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.results import Result
from penstock_schemas.runs import RunResult
from penstock_schemas.status import JobState

if TYPE_CHECKING:
    from penstock_client.backfill.service import Backfills
    from penstock_client.pipelines.runs import Runs
    from penstock_client.pipelines.skill import Skill
    from penstock_client.pipelines.skills import Skills
    from penstock_client.usage import UsageReports
    from penstock_client.webhooks.service import Webhooks
    from penstock_client.workspaces import Workspaces


class Producer(Protocol):
    """Annotate with it what is to work over any transport; `Penstock` says what each one promises.

    Those that derive from it have what follows from the rest.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    @property
    def skills(self) -> Skills:
        """The skills that workspaces have by name."""
        ...

    @property
    def runs(self) -> Runs:
        """Runs of skills."""
        ...

    @property
    def backfills(self) -> Backfills:
        """Backfills."""
        ...

    @property
    def webhooks(self) -> Webhooks:
        """Signing secrets of webhooks, and what became of their deliveries."""
        ...

    @property
    def usage(self) -> UsageReports:
        """What was called, used and spent."""
        ...

    @property
    def workspaces(self) -> Workspaces:
        """Workspaces."""
        ...

    async def submit_many(
        self,
        jobs: Sequence[AnyJob],
        *,
        connection: Any = None,
        on_progress: OnProgress | None = None,
    ) -> list[Handle]:
        """Record and enqueue jobs; handles come in the jobs' order."""
        ...

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID."""
        ...

    def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of a job's streamed answer, as they come."""
        ...

    async def jobs(
        self,
        workspace: str,
        *,
        state: JobState | str | None = None,
        capability: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """A workspace's jobs, newest first."""
        ...

    async def requeue(self, job_ids: Sequence[str], *, skip_others: bool = False) -> list[Handle]:
        """Start jobs again that failed, expired or were cancelled."""
        ...

    async def cancel_many(self, job_ids: Sequence[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself."""
        ...

    async def explain(self, job_id: str) -> JobExplanation:
        """Why a job waits, and its attempts."""
        ...

    async def submit(self, job: AnyJob, *, connection: Any = None) -> Handle:
        """Record and enqueue one job; see `submit_many`."""
        return (await self.submit_many([job], connection=connection))[0]

    async def call(self, job: AnyJob, *, timeout_s: float | None = None) -> Result:
        """Submit a job and await its answer; raises JobFailed when it has none."""
        handle = await self.submit(job)
        result = await handle.result(timeout_s=timeout_s)
        if not result.ok:
            raise JobFailed(result)
        return result

    async def cancel(self, job_id: str) -> JobState:
        """End a job now; returns its state: cancelled, or as it had ended before. Idempotent."""
        return (await self.cancel_many([job_id]))[parse_job_id(job_id)]

    async def run(self, skill: Skill | str, *, workspace: str, **given: Any) -> RunResult:
        """Start a run of a skill and await its end; see `Runs.run`. Raises RunFailed."""
        return await self.runs.run(skill, workspace=workspace, **given)

    async def map(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob],
        *,
        window: int = 500,
        ordered: bool = False,
        errors: Errors = "return",
        on_progress: OnProgress | None = None,
    ) -> AsyncIterator[Result]:
        """Run any number of jobs with at most `window` under way; see `Penstock.map`."""
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


#: What `Penstock` has beyond a producer's methods, for it holds the servers themselves.
DIRECT_ONLY = frozenset(
    {
        "alive_providers",
        "await_body",
        "catalog",
        "check",
        "ended_jobs",
        "enqueue",
        "keys",
        "ledger",
        "metering",
        "operations",
        "place",
        "prompt_cache",
        "record",
        "redis",
        "refresh_catalog",
        "tokens",
    }
)
