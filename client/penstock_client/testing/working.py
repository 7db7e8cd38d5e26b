"""What stands in for workers: each job of `FakePenstock` is a task that answers it and settles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from penstock_client.background import end
from penstock_client.testing.answers import NoAnswer, Said
from penstock_client.testing.records import Record, answered, ended_early, unanswered
from penstock_schemas.results import Result
from penstock_schemas.status import ErrorKind, JobState

Ask = Callable[[Record], Awaitable[Said | Result]]


class Working:
    """Starts and ends jobs on the running event loop; while they are held, none is started."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_running(self) -> bool:
        """Whether jobs can be started."""
        return self._loop is not None

    def begin(self) -> None:
        """Take the running event loop."""
        self._loop = asyncio.get_running_loop()

    async def end(self) -> None:
        """Stop what has not ended; its jobs stay as they are."""
        await end(self._tasks)
        self._loop = None

    def hold(self) -> None:
        """Start no job from now on."""
        self._open.clear()

    def release(self) -> None:
        """Start what was held. From any thread."""
        loop = self._loop
        if loop is None or _runs_here(loop):
            self._open.set()
        else:
            loop.call_soon_threadsafe(self._open.set)

    def start(self, record: Record) -> None:
        """Answer a job once it is not held; also one that starts again."""
        record.state, record.result, record.ended = JobState.QUEUED, None, asyncio.Event()
        record.task = asyncio.create_task(self._work(record))
        self._tasks.add(record.task)
        record.task.add_done_callback(self._tasks.discard)

    def cancel(self, record: Record) -> JobState:
        """End a job unless it has ended; its state then."""
        if not record.state.is_terminal:
            if record.task is not None:
                record.task.cancel()
            told = "it was cancelled"
            _settle(record, ended_early(record, JobState.CANCELLED, ErrorKind.CANCELLED, told))
        return record.state

    async def _work(self, record: Record) -> None:
        try:
            async with asyncio.timeout(_left_s(record.placed.deadline)):
                result = await self._result(record)
        except TimeoutError:
            told = "its deadline has passed"
            result = ended_early(record, JobState.EXPIRED, ErrorKind.EXPIRED, told)
        _settle(record, result)

    async def _result(self, record: Record) -> Result:
        wait_s = record.placed.max_queue_wait_s
        try:
            async with asyncio.timeout(wait_s):
                await self._open.wait()
        except TimeoutError:
            told = f"it waited longer than max_queue_wait_s ({wait_s:g} s)"
            return ended_early(record, JobState.FAILED, ErrorKind.QUEUE_TIMEOUT, told)
        record.state, record.started_at = JobState.RUNNING, datetime.now(UTC)
        record.attempts += 1
        try:
            return answered(record, await self._ask(record))
        except NoAnswer as reason:
            return unanswered(record, reason.info)


def _settle(record: Record, result: Result) -> None:
    if not record.state.is_terminal:
        record.state, record.result = result.status, result
        record.ended.set()


def _left_s(deadline: datetime | None) -> float | None:
    if deadline is None:
        return None
    left_s = (deadline - datetime.now(UTC)).total_seconds()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
