"""Loops that must not end, and must end when they are told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest

from penstock_client import background
from penstock_client.background import end, forever

logger = logging.getLogger("penstock.test")


def swallowing(
    error: type[Exception] | None,
) -> tuple[Callable[[], Coroutine[None, None, None]], asyncio.Event]:
    """A turn that waits, and makes something else of its cancellation."""
    waits = asyncio.Event()

    async def turn() -> None:
        waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    return turn, waits


@pytest.mark.parametrize("error", [TimeoutError, ValueError, None])
async def test_loop_ends_although_its_turn_swallows_the_cancellation(
    error: type[Exception] | None,
) -> None:
    turn, waits = swallowing(error)
    loop = asyncio.create_task(forever(turn, event="test.failed", logger=logger))
    await waits.wait()
    loop.cancel()
    done, _ = await asyncio.wait([loop], timeout=2)
    assert done and loop.cancelled()


@pytest.mark.parametrize("error", [TimeoutError, ValueError])
async def test_loop_goes_on_after_a_turn_that_failed(error: type[Exception]) -> None:
    turns = 0
    went_on = asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise error
        went_on.set()
        await asyncio.Event().wait()

    loop = asyncio.create_task(forever(turn, event="test.failed", logger=logger))
    await asyncio.wait_for(went_on.wait(), 2)
    loop.cancel()
    await asyncio.wait([loop])


async def test_loop_tells_of_a_server_that_stays_away_once_in_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "_PAUSE_S", 0.0)
    turns = 0
    many = asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 50:
            many.set()
        if turns != 25:
            raise ConnectionRefusedError("away")

    loop = asyncio.create_task(forever(turn, event="test.failed", logger=logger))
    async with asyncio.timeout(20):
        await many.wait()
    await end([loop])
    assert [record.msg for record in caplog.records] == ["test.failed"] * 2  # it was back between


async def test_end_asks_again_what_swallows_its_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_ASK_AGAIN_S", 0.01)
    turn, waits = swallowing(None)

    async def twice() -> None:
        await turn()
        waits.clear()
        await asyncio.Event().wait()

    stubborn, failed = (
        asyncio.create_task(twice()),
        asyncio.create_task(swallowing(ValueError)[0]()),
    )
    await waits.wait()
    await asyncio.wait_for(end([stubborn, failed]), 5)
    assert (stubborn.cancelled(), type(failed.exception())) == (True, ValueError)


async def test_end_of_what_has_ended_is_nothing() -> None:
    done = asyncio.create_task(asyncio.sleep(0, "answer"))
    await done
    await end([done])
    await end([])
    assert done.result() == "answer"
