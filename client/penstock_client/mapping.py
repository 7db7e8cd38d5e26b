"""Running many jobs with a bounded number under way: what stands behind `Penstock.map`."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from types import TracebackType
from typing import Any, Protocol, Self

from penstock_client.routing import AnyJob
from penstock_schemas.results import Result

#: A source that never waits still lets other tasks run after this many jobs.
_YIELD_AFTER = 500


class Submitted(Protocol):
    """What a submit gives for each job."""

    async def result(self) -> Result:
        """The job's result."""
        ...


class Mapping:
    """One run over a source; `async with Mapping(…) as mapping` ends what it started."""

    def __init__(
        self,
        submit_many: Callable[[Sequence[AnyJob]], Awaitable[Sequence[Submitted]]],
        *,
        window: int,
    ) -> None:
        self._submit_many = submit_many
        self._room = asyncio.Semaphore(window)
        self._inbox: list[AnyJob] = []
        self._arrived = asyncio.Event()
        #: Results, the error that ends the run, or None once the source is through.
        self._out: asyncio.Queue[Result | Exception | None] = asyncio.Queue()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run(self, jobs: Iterable[AnyJob] | AsyncIterable[AnyJob]) -> AsyncIterator[Result]:
        """Results as they complete. Raises the first error of the source or of a submit."""
        self._start(self._feed(jobs))
        self._start(self._submit())
        fed = False
        while not fed or self._under_way:
            outcome = await self._out.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                fed = True
                continue
            self._under_way -= 1
            self._room.release()
            yield outcome

    def _start(self, work: Coroutine[Any, Any, Result | None]) -> None:
        task = asyncio.create_task(self._report(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, work: Coroutine[Any, Any, Result | None]) -> None:
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
            self._under_way += 1
            self._inbox.append(job)
            self._arrived.set()

    async def _submit(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._inbox = self._inbox, []
            for handle in await self._submit_many(batch):
                self._start(handle.result())


async def _each(jobs: Iterable[AnyJob]) -> AsyncIterator[AnyJob]:
    for count, job in enumerate(jobs, start=1):
        yield job
        if count % _YIELD_AFTER == 0:
            await asyncio.sleep(0)
