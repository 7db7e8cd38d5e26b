"""Running many jobs with a bounded number under way: what stands behind `map`.

It needs of a connection only how to submit and to cancel, so it works over any transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from penstock_client.background import end
from penstock_client.progress import Counting, OnProgress
from penstock_client.routing import AnyJob
from penstock_schemas.errors import InvalidJob, JobFailed, PenstockError
from penstock_schemas.ids import JobId
from penstock_schemas.results import Result

logger = logging.getLogger("penstock.client")

#: A source that never waits still lets other tasks run after this many jobs.
_YIELD_AFTER = 500

#: What becomes of jobs that failed: results like any other, or the end of the run.
Errors = Literal["return", "raise"]


class Submitted(Protocol):
    """What a submit gives for each job; `provider` None means that an earlier submit placed it."""

    @property
    def job_id(self) -> JobId:
        """The job's ID."""
        ...

    @property
    def provider(self) -> str | None:
        """Where it was placed."""
        ...

    async def result(self) -> Result:
        """The job's result."""
        ...


class Mapping:
    """One run over a source; `async with Mapping(…) as mapping` ends what it started.

    Raises InvalidJob for options that make no sense.
    """

    def __init__(
        self,
        submit_many: Callable[[Sequence[AnyJob]], Awaitable[Sequence[Submitted]]],
        *,
        cancel_many: Callable[[Sequence[str]], Awaitable[object]],
        window: int,
        ordered: bool = False,
        errors: Errors = "return",
        on_progress: OnProgress | None = None,
    ) -> None:
        if window < 1:
            raise InvalidJob("window: must be at least 1", field="window")
        if errors not in ("return", "raise"):
            raise InvalidJob("errors: must be 'return' or 'raise'", field="errors")
        self._submit_many = submit_many
        self._cancel_many = cancel_many
        self._ordered = ordered
        self._raises = errors == "raise"
        self._counting = Counting(on_progress)
        self._room = asyncio.Semaphore(window)
        self._inbox: list[AnyJob] = []
        self._arrived = asyncio.Event()
        self._submitting = asyncio.Lock()
        #: Results with their place in the source, the error that ends the run, or None once the
        #: source is through.
        self._out: asyncio.Queue[tuple[int, Result] | Exception | None] = asyncio.Queue()
        #: Jobs taken from the source whose results have not been given.
        self._owed = 0
        self._under_way: dict[int, Submitted] = {}
        self._held: dict[int, Result] = {}
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._raises and isinstance(error, Exception):
            async with self._submitting:
                await self._stop()
                await self._cancel_rest()
        await self._stop()

    async def run(self, jobs: Iterable[AnyJob] | AsyncIterable[AnyJob]) -> AsyncIterator[Result]:
        """Results; raises the first error of the source, of a submit or of the callback."""
        self._start(self._feed(jobs))
        self._start(self._submit())
        fed = False
        while not fed or self._owed:
            outcome = await self._out.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                fed = True
                continue
            for result in self._due(*outcome):
                if self._raises and not result.ok:
                    raise JobFailed(result)
                self._owed -= 1
                self._room.release()
                yield result

    def _due(self, place: int, result: Result) -> Iterator[Result]:
        """The results to give now that one more has come."""
        if not self._ordered:
            yield result
            return
        self._held[place] = result
        while self._next in self._held:
            self._next += 1
            yield self._held.pop(self._next - 1)

    def _start(self, work: Coroutine[Any, Any, tuple[int, Result] | None]) -> None:
        task = asyncio.create_task(self._report(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, work: Coroutine[Any, Any, tuple[int, Result] | None]) -> None:
        try:
            self._out.put_nowait(await work)
        except Exception as error:  # noqa: BLE001 - raised again where results are read
            self._out.put_nowait(error)

    async def _feed(self, jobs: Iterable[AnyJob] | AsyncIterable[AnyJob]) -> None:
        source = aiter(jobs if isinstance(jobs, AsyncIterable) else _each(jobs))
        while True:
            await self._room.acquire()
            job = await anext(source, None)
            if job is None:
                return
            self._owed += 1
            self._inbox.append(job)
            self._arrived.set()

    async def _submit(self) -> None:
        place = 0
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            async with self._submitting:
                batch, self._inbox = self._inbox, []
                handles = await self._submit_many(batch)
                self._under_way.update(enumerate(handles, start=place))
            self._counting.submitted(len(handles))
            for handle in handles:
                self._start(self._await(place, handle))
                place += 1

    async def _await(self, place: int, handle: Submitted) -> tuple[int, Result]:
        result = await handle.result()
        del self._under_way[place]
        self._counting.ended(result)
        return place, result

    async def _stop(self) -> None:
        await end(self._tasks)

    async def _cancel_rest(self) -> None:
        """Cancel what is under way, but for jobs that an earlier submit placed."""
        mine = [each.job_id for each in self._under_way.values() if each.provider is not None]
        try:
            await self._cancel_many(mine)
        except PenstockError as error:
            extra = {"jobs": len(mine), "reason": str(error)}
            logger.warning("map.not_cancelled", extra=extra)


async def _each(jobs: Iterable[AnyJob]) -> AsyncIterator[AnyJob]:
    for count, job in enumerate(jobs, start=1):
        yield job
        if count % _YIELD_AFTER == 0:
            await asyncio.sleep(0)
