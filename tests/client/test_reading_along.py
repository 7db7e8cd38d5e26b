"""Pieces of streamed answers: their positions, and what readers see when some are missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from arq.connections import ArqRedis
from hypothesis import given
from hypothesis import strategies as st

from penstock_client import Generate, InvalidJob, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.reading_along import known_position, pieces_of, read_deltas
from penstock_schemas.deltas import BEGINNING, Delta, Position
from penstock_schemas.ids import JobId
from penstock_schemas.keys import deltas_key
from penstock_worker.deltas import KEPT_S, DeltaSink

POSITIONS = st.builds(Position, st.integers(0, 999_999_999), st.integers(0, 10**15 - 1))
JOB_ID = JobId("01a1fc26-93c2-7112-9fd2-f4ce8ae6a158")


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    """A pool on the stack's empty Redis."""
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


async def send(redis: ArqRedis, *texts: str, attempt: int = 1, last: int | None = None) -> None:
    """What a worker sends while an attempt gives these pieces, by default its first ones."""
    sender: Any = SimpleNamespace(job_id=JOB_ID, number=attempt)
    pieces = [Delta(text=text) for text in texts]
    await DeltaSink(redis).pass_on(sender, pieces, len(texts) if last is None else last)


async def read(redis: ArqRedis, *, after: str | None = None) -> list[Delta]:
    """All pieces of a job that has ended."""
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    ended.set_result(b"")
    deltas = read_deltas(redis, JOB_ID, ended, after=known_position(after))
    return [delta async for delta in deltas]


def seen(deltas: Sequence[Delta]) -> list[tuple[str, str]]:
    return [(delta.position, delta.text) for delta in deltas]


# Positions.


@given(position=POSITIONS)
def test_position_is_read_back_as_it_was_written(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-2-3", "a-b", "1-2\n", "١-٢", "9" * 40])
def test_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidJob, match=r"^after: "):
        known_position(text)


@given(
    entries=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    stop=st.integers(0, 24),
)
def test_pieces_are_the_same_whether_read_at_once_or_from_a_position(
    entries: list[int], stop: int
) -> None:
    def pieces_after(after: Position) -> list[Delta]:
        found, at, last = [], after, 0
        for size in entries:
            last += size
            texts = [{"text": str(n)} for n in range(last - size, last)]
            position = Position(1, last)
            if position > at:
                found += pieces_of(orjson.dumps(texts), last=position, seen=at)
                at = position
        return found

    whole = pieces_after(BEGINNING)
    first = whole[:stop]
    at = Position.parse(first[-1].position) if first else BEGINNING
    assert first + pieces_after(at) == whole
    assert [delta.text for delta in whole] == [str(n) for n in range(sum(entries))]
    assert not any(delta.lost or delta.restarted for delta in whole)


def test_delta_travels_as_what_it_says() -> None:
    delta = Delta(tool_index=0, arguments="{}")
    assert delta.sparse() == {"tool_index": 0, "arguments": "{}"}
    assert Delta(**delta.sparse()) == delta


# What is read.


async def test_stream_goes_on_within_what_was_sent_at_once(redis: ArqRedis) -> None:
    await send(redis, "a", "b", "c")
    assert seen(await read(redis, after="1-2")) == [("1-3", "c")]


async def test_stream_goes_on_at_another_attempt_which_voids_what_came_before(
    redis: ArqRedis,
) -> None:
    await send(redis, "a", "b")
    await send(redis, "x", "y", attempt=2)
    whole, rest = await read(redis), await read(redis, after="1-1")
    assert whole[1:] == rest
    assert seen(rest) == [("1-2", "b"), ("2-1", "x"), ("2-2", "y")]
    assert [delta.restarted for delta in rest] == [False, True, False]


async def test_stream_has_nothing_from_an_attempt_that_was_overtaken(redis: ArqRedis) -> None:
    await send(redis, "a")
    await send(redis, "x", attempt=2)
    await send(redis, "b", last=2)
    assert seen(await read(redis)) == [("1-1", "a"), ("2-1", "x")]


async def test_stream_has_once_what_was_sent_twice(redis: ArqRedis) -> None:
    await send(redis, "a")
    await send(redis, "a")
    assert seen(await read(redis)) == [("1-1", "a")]


async def test_stream_tells_how_many_pieces_were_lost(redis: ArqRedis) -> None:
    await send(redis, "a")
    await send(redis, "d", "e", last=5)
    assert [(delta.text, delta.lost) for delta in await read(redis)] == [
        ("a", 0),
        ("d", 2),
        ("e", 0),
    ]


async def test_stream_tells_what_was_trimmed_before_its_first_piece(redis: ArqRedis) -> None:
    await send(redis, "a", "b")
    await send(redis, "c", last=3)
    await redis.xtrim(deltas_key(JOB_ID), maxlen=1, approximate=False)
    assert [(delta.text, delta.lost) for delta in await read(redis)] == [("c", 2)]


async def test_stream_is_kept_for_an_hour_after_its_last_piece(redis: ArqRedis) -> None:
    await send(redis, "a")
    assert KEPT_S - 60 < await redis.ttl(deltas_key(JOB_ID)) <= KEPT_S == 3600


async def test_stream_that_has_expired_gives_nothing_and_the_result_stays(
    penstock: Penstock, work_for, redis: ArqRedis
) -> None:
    await work_for("openai")
    job = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o-mini", stream=True)
    handle = await penstock.submit(job)
    result = await handle.result(timeout_s=10)
    pieces = [delta async for delta in handle.stream()]
    assert "".join(delta.text for delta in pieces) == result.text
    await redis.delete(deltas_key(handle.job_id))
    assert [delta async for delta in handle.stream()] == []
    assert [delta async for delta in handle.stream(after=pieces[0].position)] == []
    assert (await handle.result(timeout_s=20)).text == result.text


async def test_stream_that_expired_before_another_attempt_says_that_it_restarted(
    redis: ArqRedis,
) -> None:
    await send(redis, "x", attempt=2)
    (delta,) = await read(redis, after="1-7")
    assert delta == replace(Delta(text="x", position="2-1"), restarted=True)


async def test_stream_refuses_a_position_that_is_none(penstock: Penstock) -> None:
    with pytest.raises(InvalidJob, match="after: 'soon' is not a position"):
        await anext(penstock.stream(str(uuid4()), after="soon"))
