"""Penstock for callers without an event loop: scripts, notebooks, threads.

A thin facade: each method runs the method of the same name of the connection that it wraps, over
whatever transport, in a thread of its own.
"""

from __future__ import annotations

import atexit
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar

from penstock_client.explaining import JobExplanation
from penstock_client.handle import Handle
from penstock_client.ledger import JobRow
from penstock_client.loop_thread import FedByCaller, InCaller, LoopThread
from penstock_client.mapping import Errors
from penstock_client.pipelines.skill import Skill
from penstock_client.progress import OnProgress
from penstock_client.routing import AnyJob
from penstock_schemas.deltas import Delta
from penstock_schemas.ids import JobId
from penstock_schemas.results import Result
from penstock_schemas.runs import RunResult
from penstock_schemas.status import JobState

T = TypeVar("T")


class Wrapped(Protocol):
    """What a connection has, whatever its transport."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def submit(self, job: AnyJob) -> Handle: ...

    def submit_many(
        self, jobs: Seq[AnyJob], *, on_progress: OnProgress | None = None
    ) -> Coroutine[Any, Any, list[Handle]]: ...

    async def call(self, job: AnyJob, *, timeout_s: float | None = None) -> Result: ...

    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Result: ...

    def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]: ...

    def map(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob],
        *,
        window: int = 500,
        ordered: bool = False,
        errors: Errors = "return",
        on_progress: OnProgress | None = None,
    ) -> AsyncIterator[Result]: ...

    async def jobs(
        self,
        workspace: str,
        *,
        state: JobState | str | None = None,
        capability: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]: ...

    async def explain(self, job_id: str) -> JobExplanation: ...

    async def cancel(self, job_id: str) -> JobState: ...

    async def cancel_many(self, job_ids: Seq[str]) -> dict[JobId, JobState]: ...

    async def requeue(self, job_ids: Seq[str], *, skip_others: bool = False) -> list[Handle]: ...

    async def run(self, skill: Skill | str, *, workspace: str, **given: Any) -> RunResult: ...


P = TypeVar("P", bound=Wrapped)


@dataclass(frozen=True, slots=True)
class SyncHandle:
    """A submitted job; see `Handle`."""

    job_id: JobId
    workspace: str
    provider: str | None
    _handle: Handle
    _thread: LoopThread

    def result(self, *, timeout_s: float | None = None) -> Result:
        """The result, whatever it is; raises ResultTimeout. The job goes on after a timeout."""
        return self._thread.run(self._handle.result(timeout_s=timeout_s))

    def cancel(self) -> JobState:
        """Cancel the job."""
        return self._thread.run(self._handle.cancel())

    def stream(self, *, after: str | None = None) -> Iterator[Delta]:
        """The pieces of the answer to a job with `stream`, as they come."""
        return self._thread.iterate(lambda _: self._handle.stream(after=after))


class SyncPenstock(Generic[P]):
    """Use it as `with Penstock.connect().sync() as penstock`, or with `open` and `close`.

    Its methods promise and raise what those of `Penstock` do, and may be called from any thread,
    also from one whose own event loop runs, as in a notebook. Ctrl-C interrupts whatever waits:
    jobs that were submitted go on. What has no method here is reached by `do`.
    """

    def __init__(self, penstock: P) -> None:
        self._penstock = penstock
        self._running: LoopThread | None = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Connect; for a notebook, where a `with` block is in the way. Call it once."""
        if self._running is not None:
            raise RuntimeError("this connection is open already")
        thread = LoopThread()
        try:
            thread.run(_entered(self._penstock))
        except BaseException:
            thread.close()
            raise
        self._running = thread
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """End the connection and its thread. Does nothing when it is closed."""
        thread = self._running
        if thread is None:
            return
        thread.check_caller()
        self._running = None
        atexit.unregister(self.close)
        try:
            thread.run(self._penstock.__aexit__(None, None, None))
        finally:
            thread.close()

    def do(self, work: Callable[[P], Awaitable[T]]) -> T:
        """Run anything on the connection: `penstock.do(lambda p: p.workspaces.get("acme"))`."""

        async def done() -> T:
            return await work(self._penstock)

        return self._thread.run(done())

    def submit(self, job: AnyJob) -> SyncHandle:
        """Record and enqueue one job."""
        return self._held(self._thread.run(self._penstock.submit(job)))

    def submit_many(
        self, jobs: Iterable[AnyJob], *, on_progress: OnProgress | None = None
    ) -> list[SyncHandle]:
        """Record and enqueue jobs; handles come in the jobs' order."""

        all_jobs = list(jobs)

        async def submitted(in_caller: InCaller) -> AsyncIterator[list[Handle]]:
            telling = _in_caller(on_progress, in_caller)
            yield await self._penstock.submit_many(all_jobs, on_progress=telling)

        return [self._held(each) for handles in self._thread.iterate(submitted) for each in handles]

    def call(self, job: AnyJob, *, timeout_s: float | None = None) -> Result:
        """Submit a job and await its answer; raises JobFailed when it has none."""
        return self._thread.run(self._penstock.call(job, timeout_s=timeout_s))

    def result(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """The result of any job, by ID; raises UnknownJob, ResultTimeout."""
        return self._thread.run(self._penstock.result(job_id, timeout_s=timeout_s))

    def stream(self, job_id: str, *, after: str | None = None) -> Iterator[Delta]:
        """The pieces of a job's streamed answer, as they come."""
        return self._thread.iterate(lambda _: self._penstock.stream(job_id, after=after))

    def map(
        self,
        jobs: Iterable[AnyJob],
        *,
        window: int = 500,
        ordered: bool = False,
        errors: Errors = "return",
        on_progress: OnProgress | None = None,
    ) -> Iterator[Result]:
        """Run any number of jobs with at most `window` under way; results as they complete.

        The source is read, and `on_progress` called, in the thread that takes the results, while
        it waits for the next one.
        """
        return self._thread.iterate(
            lambda in_caller: self._penstock.map(
                FedByCaller(jobs, in_caller),
                window=window,
                ordered=ordered,
                errors=errors,
                on_progress=_in_caller(on_progress, in_caller),
            )
        )

    def jobs(
        self,
        workspace: str,
        *,
        state: JobState | str | None = None,
        capability: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """A workspace's jobs, newest first; page on with `before`, the last ID seen."""
        return self._thread.run(
            self._penstock.jobs(
                workspace, state=state, capability=capability, before=before, limit=limit
            )
        )

    def explain(self, job_id: str) -> JobExplanation:
        """Why a job waits, its place and estimated start, and its attempts with their cost."""
        return self._thread.run(self._penstock.explain(job_id))

    def cancel(self, job_id: str) -> JobState:
        """End a job now; returns its state. Idempotent."""
        return self._thread.run(self._penstock.cancel(job_id))

    def cancel_many(self, job_ids: Iterable[str]) -> dict[JobId, JobState]:
        """Cancel jobs, each by itself; UnknownJob is raised before any is cancelled."""
        return self._thread.run(self._penstock.cancel_many(list(job_ids)))

    def requeue(self, job_ids: Iterable[str], *, skip_others: bool = False) -> list[SyncHandle]:
        """Start jobs again that failed, expired or were cancelled, each as the same job."""
        again = self._penstock.requeue(list(job_ids), skip_others=skip_others)
        return [self._held(handle) for handle in self._thread.run(again)]

    def run(self, skill: Skill | str, *, workspace: str, **given: Any) -> RunResult:
        """Start a run of a skill and await its end. Raises RunFailed."""
        telling = given.pop("progress", None)

        async def ended(in_caller: InCaller) -> AsyncIterator[RunResult]:
            progress = _in_caller(telling, in_caller)
            yield await self._penstock.run(skill, workspace=workspace, progress=progress, **given)

        (result,) = self._thread.iterate(ended)
        return result

    @property
    def _thread(self) -> LoopThread:
        if self._running is None:
            raise RuntimeError("use it as `with Penstock.connect().sync() as penstock`")
        return self._running

    def _held(self, handle: Handle) -> SyncHandle:
        return SyncHandle(handle.job_id, handle.workspace, handle.provider, handle, self._thread)


async def _entered(penstock: Wrapped) -> None:
    await penstock.__aenter__()


def _in_caller(
    tell: Callable[[T], object] | None, in_caller: InCaller
) -> Callable[[T], object] | None:
    return None if tell is None else lambda progress: in_caller(partial(tell, progress))
