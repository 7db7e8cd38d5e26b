"""Awaiting many results over a few requests, against a gateway that the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from penstock_client.remote.awaiting import MOST_JOBS, MOST_POLLS, Awaiter
from penstock_schemas.errors import ConfigurationError, Unavailable, UnknownJob
from penstock_schemas.ids import JobId


class Gateway:
    """Holds each request until one of its jobs has ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.changed = asyncio.Event()
        self.requests: list[int] = []
        self.open = self.most_open = 0
        self.failing: list[Exception] = []

    def end(self, *job_ids: str) -> None:
        self.ended.update(job_ids)
        self.changed.set()

    async def fetch(self, job_ids: Sequence[JobId], wait_s: float) -> Mapping[str, Any]:
        self.requests.append(len(job_ids))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.failing:
                raise self.failing.pop()
            while not self.ended.intersection(job_ids) and "unknown" not in job_ids:
                self.changed.clear()
                await self.changed.wait()
        finally:
            self.open -= 1
        there = [job_id for job_id in job_ids if job_id in self.ended]
        unknown = [job_id for job_id in job_ids if job_id == "unknown"]
        return {"results": [{"job_id": job_id} for job_id in there], "unknown": unknown}


@pytest.fixture
async def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def awaiter(gateway: Gateway) -> AsyncIterator[Awaiter]:
    awaiting = Awaiter(gateway.fetch)
    awaiting.start()
    yield awaiting
    await awaiting.close()


def start(awaiter: Awaiter, *job_ids: str) -> list[asyncio.Future[bytes]]:
    return [asyncio.ensure_future(awaiter.body_of(JobId(job_id))) for job_id in job_ids]


async def until_asked(gateway: Gateway, requests: int) -> None:
    async with asyncio.timeout(10):
        while len(gateway.requests) < requests:
            await asyncio.sleep(0.005)


async def bodies(awaited: Sequence[asyncio.Future[bytes]]) -> list[str]:
    async with asyncio.timeout(10):
        return [orjson.loads(body)["job_id"] for body in await asyncio.gather(*awaited)]


async def test_thousands_are_asked_for_in_a_few_requests(
    awaiter: Awaiter, gateway: Gateway
) -> None:
    names = [str(n) for n in range(5 * MOST_JOBS)]
    awaited = start(awaiter, *names)
    await until_asked(gateway, 5)
    assert gateway.requests == [MOST_JOBS] * 5
    gateway.end(*names)
    assert await bodies(awaited) == names


async def test_no_more_requests_than_bounded_wait_at_a_time(
    awaiter: Awaiter, gateway: Gateway
) -> None:
    awaited: list[asyncio.Future[bytes]] = []
    for n in range(MOST_POLLS + 4):  # each finds no other to go with
        awaited += start(awaiter, str(n))
        await until_asked(gateway, n + 1)
    assert gateway.most_open == MOST_POLLS
    names = [str(n) for n in range(MOST_POLLS + 4)]
    gateway.end(*names)
    assert await bodies(awaited) == names


async def test_two_who_await_the_same_job_get_it_both(awaiter: Awaiter, gateway: Gateway) -> None:
    awaited = start(awaiter, "a", "a")
    gateway.end("a")
    assert await bodies(awaited) == ["a", "a"]


async def test_job_that_nobody_awaits_any_more_is_forgotten(
    awaiter: Awaiter, gateway: Gateway
) -> None:
    gone, stays = start(awaiter, "a", "b")
    await until_asked(gateway, 1)
    gone.cancel()
    gateway.end("b")
    assert await bodies([stays]) == ["b"]
    late = start(awaiter, "c")
    await until_asked(gateway, 2)
    assert gateway.requests == [2, 1]
    late[0].cancel()


async def test_unknown_job_is_told(awaiter: Awaiter) -> None:
    with pytest.raises(UnknownJob):
        await start(awaiter, "unknown")[0]


async def test_gateway_that_comes_back_is_asked_again(awaiter: Awaiter, gateway: Gateway) -> None:
    gateway.failing.append(Unavailable("the gateway", "it is away"))
    awaited = start(awaiter, "a")
    gateway.end("a")
    assert await bodies(awaited) == ["a"]
    assert gateway.requests == [1, 1]


async def test_refused_token_ends_the_waiting(awaiter: Awaiter, gateway: Gateway) -> None:
    gateway.failing.append(ConfigurationError("PENSTOCK_TOKEN: the gateway refuses it"))
    with pytest.raises(ConfigurationError):
        await start(awaiter, "a")[0]


async def test_close_cancels_whoever_awaits(gateway: Gateway) -> None:
    awaiting = Awaiter(gateway.fetch)
    awaiting.start()
    awaited = start(awaiting, "a")
    await until_asked(gateway, 1)
    await awaiting.close()
    with pytest.raises(asyncio.CancelledError):
        await awaited[0]
