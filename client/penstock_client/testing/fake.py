"""`FakePenstock`: a producer's connection that ends in the process, for tests without servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self

from penstock_client.catalogue import under_file
from penstock_client.explaining import JobExplanation
from penstock_client.handle import Handle
from penstock_client.ledger import JobRow, WorkspaceConfig
from penstock_client.placing import place
from penstock_client.producer import Producer
from penstock_client.progress import Counting, OnProgress
from penstock_client.reading_along import known_position
from penstock_client.requeueing import REQUEUEABLE
from penstock_client.routing import AnyJob
from penstock_client.sync import SyncPenstock
from penstock_client.testing.answers import Answers, Fails, Said, answer_of
from penstock_client.testing.records import Record, pieces_of, row_of, workspace_config
from penstock_client.testing.runs import FakeRuns
from penstock_client.testing.skills import FakeSkills
from penstock_client.testing.working import Working
from penstock_client.waiting import decode_result
from penstock_client.webhooks.addresses import check_webhook
from penstock_schemas.catalog import Catalog, catalog
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import InvalidJob, ResultTimeout, UnknownJob, UnknownWorkspace
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.jobs import Embed, Envelope
from penstock_schemas.results import Result
from penstock_schemas.status import JobState, Lane

if TYPE_CHECKING:
    from penstock_client.backfill.service import Backfills
    from penstock_client.pipelines.runs import Runs
    from penstock_client.pipelines.skills import Skills
    from penstock_client.usage import UsageReports
    from penstock_client.webhooks.service import Webhooks
    from penstock_client.workspaces import Workspaces


class FakePenstock(Producer):
    """A Penstock without servers: jobs are checked and placed as ever, and answered by the test.

    `answers` is a function `(job) -> answer`, async or not, or answers and functions by step, skill
    or capability; jobs that it leaves get a simulated answer: the first label, the smallest value
    that fits the schema, a short text. An answer that its job cannot take fails the job as
    `invalid_output`, an `ErrorKind` or an exception with its kind. `fails` has error kinds by the
    same names, or one for all jobs, and goes first. Both can be set later on.

    Any workspace exists, unless `workspaces` says which do. Models are those of the package's
    catalogue, or of `catalog`. Results are `simulated`, cost 0, and their usage is estimated.
    Nothing is retried. `submitted` are the jobs in order, also those of runs.
    """

    def __init__(
        self,
        *,
        answers: Answers | None = None,
        fails: Fails | None = None,
        workspaces: Iterable[WorkspaceConfig] | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self.answers, self.fails = answers, fails
        self.submitted: list[AnyJob] = []
        self._catalog = catalog
        self._known: dict[str, WorkspaceConfig] | None = None
        if workspaces is not None:
            self._known = {each.workspace: each for each in workspaces}
        self._configs: dict[str, WorkspaceConfig] = {}
        self._records: dict[JobId, Record] = {}
        self._by_key: dict[tuple[str, str], JobId] = {}
        self._working = Working(self._ask)
        self._skills, self._runs = FakeSkills(self), FakeRuns(self)

    async def __aenter__(self) -> Self:
        self._working.begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runs.end()
        await self._working.end()

    def sync(self) -> SyncPenstock[Self]:
        """The same for callers without an event loop: `with FakePenstock().sync() as penstock`."""
        return SyncPenstock(self)

    def hold(self) -> None:
        """Let jobs wait from now on, until `release`: for tests of timeouts and cancellation."""
        self._working.hold()

    def release(self) -> None:
        """Answer the jobs that were held, and those that come."""
        self._working.release()

    @cached_property
    def catalog(self) -> Catalog:
        """The providers and models that jobs are placed by."""
        return self._catalog or under_file(catalog(), None)

    @property
    def skills(self) -> Skills:
        """The skills that workspaces have by name."""
        return self._skills

    @property
    def runs(self) -> Runs:
        """Runs of skills; their steps get the answers of all jobs, by step and skill."""
        return self._runs

    @property
    def backfills(self) -> Backfills:
        """None here; raises RuntimeError."""
        _lacks("backfills")

    @property
    def webhooks(self) -> Webhooks:
        """None here; raises RuntimeError."""
        _lacks("webhooks")

    @property
    def usage(self) -> UsageReports:
        """None here; raises RuntimeError."""
        _lacks("reports of usage")

    @property
    def workspaces(self) -> Workspaces:
        """None here; raises RuntimeError."""
        _lacks("workspaces to look up or change")

    async def submit_many(
        self,
        jobs: Sequence[AnyJob],
        *,
        connection: Any = None,
        on_progress: OnProgress | None = None,
    ) -> list[Handle]:
        """Check, place and start jobs, all or none. Raises as `Penstock.submit_many` does.

        `connection` is not looked at: jobs start at once, not after a commit.
        """
        records = [self._placed(job, together=len(jobs)) for job in jobs]
        handles = [self._started(record) for record in records]
        Counting(on_progress).submitted(len(handles))
        return handles

    async def await_body(
        self, job_id: JobId, provider: str | None, timeout_s: float | None
    ) -> bytes:
        """The encoded result of a job; raises UnknownJob, ResultTimeout."""
        record = self._record(job_id)
        try:
            async with asyncio.timeout(timeout_s):
                while record.result is None:
                    await record.ended.wait()
        except TimeoutError:
            raise ResultTimeout(job_id, timeout_s or 0) from None
        return record.result.encode()

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID; raises UnknownJob, ResultTimeout."""
        return decode_result(await self.await_body(parse_job_id(job_id), None, timeout_s), None)

    async def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of a streamed answer, word by word, once there is one; see `Penstock.stream`.

        Raises UnknownJob, InvalidJob.
        """
        known, position = parse_job_id(job_id), known_position(after)
        await self.await_body(known, None, None)
        for piece in pieces_of(self._record(known), after=position):
            yield piece

    async def check(self, workspace: str, *, model: str | None = None) -> None:
        """Whether jobs of a workspace, with a pinned model, can be submitted at all.

        Raises UnknownWorkspace, UnknownModel, UnknownProvider.
        """
        self.workspace(workspace)
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
        self.workspace(workspace)
        last = None if before is None else parse_job_id(before)
        wanted = JobState.of(state)
        found = [
            row_of(record)
            for job_id, record in sorted(self._records.items(), reverse=True)
            if record.placed.workspace == workspace
            and wanted in {None, record.state}
            and capability in {None, record.placed.capability}
            and (last is None or job_id < last)
        ]
        return found[:limit]

    async def requeue(self, job_ids: Sequence[str], *, skip_others: bool = False) -> list[Handle]:
        """Answer jobs again that failed, expired or were cancelled, each as the same job.

        Raises UnknownJob, and InvalidJob that names a job which succeeded or still lives.
        """
        known = dict.fromkeys(map(parse_job_id, job_ids))
        records = [self._record(each) for each in known if not skip_others or each in self._records]
        others = [each for each in records if each.state not in REQUEUEABLE]
        if others and not skip_others:
            told = f"job {others[0].job_id} is {others[0].state.label} and cannot be requeued"
            raise InvalidJob(f"{told}; nothing was requeued", field="job_id")
        again = [each for each in records if each.state in REQUEUEABLE]
        for record in again:
            self._working.start(record)
        return [Handle(each.job_id, each.placed.workspace, None, None, self) for each in again]

    async def cancel_many(self, job_ids: Sequence[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself; UnknownJob is raised before any is cancelled."""
        records = [self._record(parse_job_id(job_id)) for job_id in job_ids]
        return {record.job_id: self._working.cancel(record) for record in records}

    async def explain(self, job_id: str) -> JobExplanation:
        """Where a job stands: held by the test, under way, or ended. Raises UnknownJob."""
        record = self._record(parse_job_id(job_id))
        placed, state = record.placed, record.state
        waits = state is JobState.QUEUED
        return JobExplanation(
            job_id=record.job_id,
            workspace=placed.workspace,
            capability=placed.capability,
            state=state,
            lane=Lane(placed.lane).label,
            provider=placed.provider,
            model=placed.model,
            why="it waits to be answered by the test" if waits else f"it is {state.label}",
            routes=Envelope.decode(placed.body).routes,
        )

    def workspace(self, name: str) -> WorkspaceConfig:
        """What a workspace's jobs are placed by; raises UnknownWorkspace."""
        if not self._working.is_running:
            raise RuntimeError("use it as `async with FakePenstock() as penstock`")
        if self._known is None:
            return self._configs.setdefault(name, workspace_config(name))
        found = self._known.get(name)
        if found is None:
            raise UnknownWorkspace(name)
        return found

    def _placed(self, job: AnyJob, *, together: int) -> Record:
        if job.webhook is not None:
            check_webhook(job.webhook, private="allow")
        config = self.workspace(job.workspace)
        placed = place(job, config, self.catalog, alive=None, together=together)
        return Record(job=job, placed=placed)

    def _started(self, record: Record) -> Handle:
        """Start a job, unless its idempotency key names an earlier one."""
        placed, key = record.placed, record.placed.idempotency_key
        output_type = None if isinstance(record.job, Embed) else record.job.output_type
        if key is not None:
            first = self._by_key.setdefault((placed.workspace, key), record.job_id)
            if first != record.job_id:
                return Handle(first, placed.workspace, None, output_type, self)
        self._records[record.job_id] = record
        self.submitted.append(record.job)
        self._working.start(record)
        return Handle(record.job_id, placed.workspace, placed.provider, output_type, self)

    def _record(self, job_id: JobId) -> Record:
        found = self._records.get(job_id)
        if found is None:
            raise UnknownJob(job_id)
        return found

    async def _ask(self, record: Record) -> Said | Result:
        return await answer_of(record.job, self.answers, self.fails)


def _lacks(what: str) -> NoReturn:
    raise RuntimeError(f"FakePenstock has no {what}: test that against `penstock up`")
