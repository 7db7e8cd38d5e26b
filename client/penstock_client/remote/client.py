"""`RemotePenstock`: the methods of `Penstock` over the HTTP API of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn, Self

import httpx
from pydantic import BaseModel

from penstock_client.explaining import JobExplanation
from penstock_client.handle import Handle
from penstock_client.ledger import JobRow
from penstock_client.producer import DIRECT_ONLY, Producer
from penstock_client.progress import Counting, OnProgress
from penstock_client.reading_along import known_position
from penstock_client.remote.awaiting import MOST_JOBS, Awaiter
from penstock_client.remote.backfills import RemoteBackfills
from penstock_client.remote.bodies import Chunk, chunks_of, explanation, job_row
from penstock_client.remote.http import Http, checked_token, checked_url
from penstock_client.remote.problems import NotAllowed, TooLarge
from penstock_client.remote.reading import read_events
from penstock_client.remote.runs import RemoteRuns
from penstock_client.remote.skills import RemoteSkills
from penstock_client.remote.usage import RemoteUsage
from penstock_client.remote.webhooks import RemoteWebhooks
from penstock_client.remote.workspaces import RemoteWorkspaces
from penstock_client.routing import AnyJob
from penstock_client.settings import (
    DATABASE_VARIABLE,
    REDIS_VARIABLE,
    URL_VARIABLE,
    Settings,
)
from penstock_client.sync import SyncPenstock
from penstock_client.waiting import decode_result
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import ConfigurationError, InvalidJob, ResultTimeout, UnknownJob
from penstock_schemas.ids import JobId, WorkspaceId, parse_job_id
from penstock_schemas.jobs import Embed
from penstock_schemas.results import Result
from penstock_schemas.status import JobState

_NOT_ENTERED = "use it as `async with Penstock.connect(url, token=…) as penstock`"
#: A job that does not exist: whoever may ask for it hears so.
_NOBODYS = "/v1/jobs/00000000-0000-7000-8000-000000000000"


class NeedsServers(ConfigurationError, AttributeError):
    """What only a connection to Redis and Postgres has."""


class RemotePenstock(Producer):
    """A producer's connection to a gateway: `Penstock.connect("https://…", token="pst_…")`.

    Its methods promise what those of `Penstock` do and raise the same errors; besides Unavailable
    where the gateway cannot be reached, and ConfigurationError where it refuses the token. A
    request is sent again only where that does no harm: a job that was submitted twice for a lost
    answer is one job. Awaiting any number of jobs takes at most eight connections.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        settings: Settings,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._url = checked_url(url)
        self._token = checked_token(token)
        self._transport = transport
        self._open: Http | None = None

    async def __aenter__(self) -> Self:
        self._open = Http(
            self._url,
            self._token,
            deadline_s=self.settings.deadline_s,
            transport=self._transport,
        )
        try:
            await self._check()
        except BaseException:
            await self._open.close()
            raise
        self._awaiter = Awaiter(self._fetch)
        self._awaiter.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._awaiter.close()
        await self._http.close()

    def __getattr__(self, name: str) -> NoReturn:
        if name in DIRECT_ONLY:
            raise NeedsServers(
                f"a gateway does not offer this ({name}): "
                f"set {REDIS_VARIABLE} and {DATABASE_VARIABLE} instead of {URL_VARIABLE}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def sync(self) -> SyncPenstock[Self]:
        """The same for callers without an event loop."""
        return SyncPenstock(self)

    @property
    def skills(self) -> RemoteSkills:
        """The skills that workspaces have by name."""
        return RemoteSkills(self._http)

    @property
    def runs(self) -> RemoteRuns:
        """Runs of skills."""
        return RemoteRuns(self._http)

    @property
    def backfills(self) -> RemoteBackfills:
        """Backfills."""
        return RemoteBackfills(self._http)

    @property
    def webhooks(self) -> RemoteWebhooks:
        """Signing secrets of webhooks, and what became of their deliveries."""
        return RemoteWebhooks(self._http)

    @property
    def usage(self) -> RemoteUsage:
        """What was called, used and spent."""
        return RemoteUsage(self._http)

    @property
    def workspaces(self) -> RemoteWorkspaces:
        """Workspaces, as far as the token may see and change them."""
        return RemoteWorkspaces(self._http)

    async def submit_many(
        self,
        jobs: Sequence[AnyJob],
        *,
        connection: Any = None,
        on_progress: OnProgress | None = None,
    ) -> list[Handle]:
        """Record and enqueue jobs; handles come in the jobs' order.

        Each 10,000, or each 8 MB, are one request: all of them are recorded or none. Raises
        InvalidJob for a `connection`, which only a direct connection can use, else as
        `Penstock.submit_many`.
        """
        if connection is not None:
            told = "connection: a transaction of yours needs Redis and Postgres, not a gateway"
            raise InvalidJob(told, field="connection")
        counting = Counting(on_progress)
        handles: list[Handle] = []
        for chunk in chunks_of(jobs, together=len(jobs)):
            handles += await self._submit(chunk, together=len(jobs))
            counting.submitted(len(chunk.jobs))
        return handles

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID; raises UnknownJob, ResultTimeout."""
        body = await self.await_body(parse_job_id(job_id), None, timeout_s)
        return decode_result(body, None)

    async def await_body(
        self, job_id: JobId, provider: str | None, timeout_s: float | None
    ) -> bytes:
        """The encoded result of a job, for its handle; raises UnknownJob, ResultTimeout."""
        del provider  # the gateway finds it
        try:
            async with asyncio.timeout(timeout_s):
                return await self._awaiter.body_of(job_id)
        except TimeoutError:
            raise ResultTimeout(job_id, timeout_s or 0) from None

    async def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of a job's streamed answer, as they come; see `Penstock.stream`.

        A connection that is lost is made again, and goes on after the last piece that came.
        """
        known, position = parse_job_id(job_id), known_position(after)
        patience_s = self.settings.deadline_s
        async for delta in read_events(self._http, known, after=position, patience_s=patience_s):
            yield delta

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
        found = await self._http.get(
            "/v1/jobs",
            {
                "workspace": workspace,
                "state": JobState.label_of(state),
                "capability": capability,
                "before": parse_job_id(before) if before else None,
                "limit": limit,
            },
        )
        return [job_row(each) for each in found["jobs"]]

    async def requeue(self, job_ids: Sequence[str], *, skip_others: bool = False) -> list[Handle]:
        """Start jobs again that failed, expired or were cancelled, each as the same job.

        Each 1,000 start together or none does; with `skip_others` those that cannot are left out.
        Raises UnknownJob, and InvalidJob that names a job which succeeded or still lives.
        """
        handles: list[Handle] = []
        for known in _each_1000(job_ids):
            body = {"job_ids": known, "skip_others": skip_others}
            found = await self._http.ask("POST", "/v1/jobs/requeue", body, repeatable=False)
            handles += [
                Handle(each["job_id"], each["workspace"], None, None, self)
                for each in found["jobs"]
            ]
        return handles

    async def cancel_many(self, job_ids: Sequence[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself; UnknownJob is raised before any of its 1,000 is."""
        states: dict[JobId, JobState] = {}
        for known in _each_1000(job_ids):
            found = await self._http.ask("POST", "/v1/jobs/cancel", {"job_ids": known})
            for each in found["jobs"]:
                states[each["job_id"]] = JobState.parse(each["status"])
        return states

    async def explain(self, job_id: str) -> JobExplanation:
        """Why a job waits, its place and estimated start, and its attempts with their cost.

        What the workspace has used of its tokens is not told here: see `usage`.
        """
        return explanation(await self._http.get(f"/v1/jobs/{parse_job_id(job_id)}/explain"))

    async def _submit(self, chunk: Chunk, *, together: int) -> list[Handle]:
        try:
            found = await self._http.ask("POST", "/v1/jobs", chunk.body)
        except TooLarge:
            if len(chunk.jobs) == 1:
                raise
            half = len(chunk.jobs) // 2
            parts = (chunk.jobs[:half], chunk.jobs[half:])
            halves = [each for part in parts for each in chunks_of(part, together=together)]
            return [
                handle for each in halves for handle in await self._submit(each, together=together)
            ]
        places = zip(chunk.jobs, found["job_ids"], found["providers"], strict=True)
        return [
            Handle(job_id, WorkspaceId(job.workspace), provider, _output_type(job), self)
            for job, job_id, provider in places
        ]

    @property
    def _http(self) -> Http:
        if self._open is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._open

    async def _fetch(self, job_ids: Sequence[JobId], wait_s: float) -> Mapping[str, Any]:
        return await self._http.ask("POST", "/v1/results", {"job_ids": job_ids}, wait_s=wait_s)

    async def _check(self) -> None:
        """Whether this is a gateway and takes the token; raises ConfigurationError, Unavailable."""
        try:
            await self._http.get(_NOBODYS)
        except (UnknownJob, NotAllowed):
            return  # it takes the token, whatever that may do


def _output_type(job: AnyJob) -> type[BaseModel] | None:
    return None if isinstance(job, Embed) else job.output_type


def _each_1000(job_ids: Sequence[str]) -> list[list[JobId]]:
    known = list(dict.fromkeys(map(parse_job_id, job_ids)))
    return [known[first : first + MOST_JOBS] for first in range(0, len(known), MOST_JOBS)]
