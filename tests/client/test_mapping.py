"""Running many jobs with a bounded number under way, on a connection that the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client import Generate, InvalidJob, JobFailed, Progress, Result, Unavailable
from penstock_client.mapping import Mapping
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.status import JobState


def job(n: int) -> Generate:
    return Generate(workspace="acme", prompt=str(n))


def jobs(count: int) -> list[Generate]:
    return [job(n) for n in range(count)]


class Played:
    """A submitted job, ended by the test; its ID is its prompt."""

    def __init__(self, job_id: str) -> None:
        self.job_id = JobId(job_id)
        self.provider: str | None = "openai"
        self.ending: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def result(self) -> Result:
        return await self.ending


class Connection:
    """Submits, and remembers what was submitted and cancelled."""

    def __init__(self, *, first_by_another: int = 0, refuse: bool = False) -> None:
        self.handles: dict[str, Played] = {}
        self.cancelled: list[str] = []
        self._earlier = first_by_another
        self.refuse_cancel = refuse
        self.changed = asyncio.Event()

    async def submit_many(self, some: Sequence[Any]) -> list[Played]:
        made = [Played(each.prompt) for each in some]
        for handle in made:
            if len(self.handles) < self._earlier:
                handle.provider = None
            self.handles[handle.job_id] = handle
        self.changed.set()
        return made

    async def cancel_many(self, job_ids: Sequence[str]) -> None:
        if self.refuse_cancel:
            raise Unavailable("Postgres", "it is away")
        self.cancelled += job_ids

    async def until_submitted(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.handles) < count:
                self.changed.clear()
                await self.changed.wait()

    def end(self, n: int, *, ok: bool = True, **fields: Any) -> None:
        status = JobState.SUCCEEDED if ok else JobState.FAILED
        self.handles[str(n)].ending.set_result(
            Result(job_id=JobId(str(n)), workspace=WorkspaceId("acme"), status=status, **fields)
        )

    async def map(self, source: Iterable[Any], **options: Any) -> AsyncIterator[Result]:
        options = {"window": 500, **options}
        mapping = Mapping(self.submit_many, cancel_many=self.cancel_many, **options)
        async with mapping:
            async for result in mapping.run(source):
                yield result


async def taken(results: AsyncIterator[Result], count: int) -> list[str]:
    async with asyncio.timeout(20):
        return [(await anext(results)).job_id for _ in range(count)]


# Order.


async def test_map_gives_results_as_they_complete() -> None:
    connection = Connection()
    results = connection.map(jobs(3))
    first = asyncio.ensure_future(taken(results, 3))
    await connection.until_submitted(3)
    for n in (2, 0, 1):
        connection.end(n)
        await asyncio.sleep(0)
    assert await first == ["2", "0", "1"]


@given(order=st.permutations(range(6)), window=st.integers(1, 8))
def test_map_ordered_gives_results_in_the_source_order(order: list[int], window: int) -> None:
    async def play() -> list[str]:
        connection = Connection()
        results = connection.map(jobs(6), window=window, ordered=True)
        reading = asyncio.ensure_future(taken(results, 6))
        waiting = list(order)
        while waiting:
            ready = next(n for n in waiting if str(n) in connection.handles or not n)
            await connection.until_submitted(ready + 1)
            connection.end(ready)
            waiting.remove(ready)
            while len(connection.handles) < min(6, window + _in_a_row(waiting)):
                await asyncio.sleep(0)
        return await reading

    assert asyncio.run(asyncio.wait_for(play(), 5)) == ["0", "1", "2", "3", "4", "5"]


def _in_a_row(waiting: Iterable[int]) -> int:
    """How many of the first jobs have ended and can have been given."""
    return min(waiting, default=6)


async def test_map_ordered_takes_no_more_than_its_window_while_the_first_is_slow() -> None:
    connection, read = Connection(), 0

    def source() -> Iterator[Generate]:
        nonlocal read
        for n in range(100):
            read += 1
            yield job(n)

    results = connection.map(source(), window=5, ordered=True)
    first = asyncio.ensure_future(anext(results))
    await connection.until_submitted(5)
    for n in range(1, 5):
        connection.end(n)
    await asyncio.wait([first], timeout=0.05)
    assert (first.done(), read, len(connection.handles)) == (False, 5, 5)
    connection.end(0)
    assert (await asyncio.wait_for(first, 2)).job_id == "0"


# Failures.


async def test_map_returns_failed_jobs_unless_told_otherwise() -> None:
    connection = Connection()
    results = connection.map(jobs(1))
    reading = asyncio.ensure_future(anext(results))
    await connection.until_submitted(1)
    connection.end(0, ok=False)
    assert (await asyncio.wait_for(reading, 2)).status is JobState.FAILED


async def test_map_raises_the_first_failure_and_cancels_what_is_under_way() -> None:
    connection = Connection()
    reading = asyncio.ensure_future(taken(connection.map(jobs(4), errors="raise"), 4))
    await connection.until_submitted(4)
    connection.end(3)
    await asyncio.sleep(0)
    connection.end(1, ok=False)
    with pytest.raises(JobFailed) as caught:
        await reading
    assert caught.value.result.job_id == "1"
    assert connection.cancelled == ["0", "2"]


async def test_map_ordered_raises_a_failure_in_its_turn() -> None:
    connection = Connection()
    results = connection.map(jobs(3), errors="raise", ordered=True)
    first = asyncio.ensure_future(anext(results))
    await connection.until_submitted(3)
    connection.end(1, ok=False)
    await asyncio.wait([first], timeout=0.02)
    assert not first.done()
    connection.end(0)
    assert (await first).job_id == "0"
    with pytest.raises(JobFailed):
        await asyncio.wait_for(anext(results), 2)


async def test_map_cancels_no_job_that_an_earlier_submit_placed() -> None:
    connection = Connection(first_by_another=1)
    reading = asyncio.ensure_future(taken(connection.map(jobs(3), errors="raise"), 3))
    await connection.until_submitted(3)
    connection.end(2, ok=False)
    with pytest.raises(JobFailed):
        await reading
    assert connection.cancelled == ["1"]


async def test_map_raises_the_failure_also_when_nothing_can_be_cancelled() -> None:
    connection = Connection(refuse=True)
    reading = asyncio.ensure_future(taken(connection.map(jobs(2), errors="raise"), 2))
    await connection.until_submitted(2)
    connection.end(0, ok=False)
    with pytest.raises(JobFailed):
        await reading


async def test_map_cancels_what_is_under_way_when_its_source_breaks_and_errors_are_raised() -> None:
    connection = Connection()
    gate = asyncio.Event()

    async def source() -> AsyncIterator[Generate]:
        yield job(0)
        await gate.wait()
        raise LookupError("no more rows")

    reading = asyncio.ensure_future(taken(connection.map(source(), errors="raise"), 1))  # type: ignore[arg-type]
    await connection.until_submitted(1)
    gate.set()
    with pytest.raises(LookupError):
        await reading
    assert connection.cancelled == ["0"]


async def test_map_leaves_what_is_under_way_when_its_reader_stops() -> None:
    connection = Connection()
    results = connection.map(jobs(3), errors="raise")
    first = asyncio.ensure_future(anext(results))
    await connection.until_submitted(3)
    connection.end(0)
    await first
    await results.aclose()  # type: ignore[attr-defined]
    assert connection.cancelled == []


@pytest.mark.parametrize("option", [{"window": 0}, {"errors": "ignore"}])
async def test_map_refuses_options_that_make_no_sense(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match=next(iter(option))):
        await anext(Connection().map([], **option))


# Progress.


async def test_map_tells_each_submit_and_each_end_with_the_cost_so_far() -> None:
    connection, told = Connection(), []
    results = connection.map(jobs(3), on_progress=told.append)
    reading = asyncio.ensure_future(taken(results, 3))
    await connection.until_submitted(3)
    connection.end(0, cost_usd=Decimal("0.25"), attempts=1)
    connection.end(1, ok=False)
    connection.end(2, attempts=1)
    await reading
    assert told == [
        Progress(submitted=3),
        Progress(submitted=3, succeeded=1, cost_usd=Decimal("0.25")),
        Progress(submitted=3, succeeded=1, failed=1, cost_usd=Decimal("0.25")),
        Progress(submitted=3, succeeded=2, failed=1, cost_usd=Decimal("0.25"), unpriced=1),
    ]
    assert (told[2].ended, told[2].under_way) == (2, 1)


async def test_map_tells_of_an_end_while_its_reader_is_busy() -> None:
    connection, told = Connection(), []
    results = connection.map(jobs(2), on_progress=told.append)
    first = asyncio.ensure_future(anext(results))
    await connection.until_submitted(2)
    connection.end(0)
    await first
    connection.end(1)
    async with asyncio.timeout(20):
        while told[-1].ended < 2:
            await asyncio.sleep(0)


async def test_map_ends_with_what_its_callback_raises() -> None:
    def refuse(_: Progress) -> None:
        raise RuntimeError("the window was closed")

    with pytest.raises(RuntimeError, match="the window was closed"):
        await anext(Connection().map(jobs(1), on_progress=refuse))
