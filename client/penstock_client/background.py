"""Work beside other work: loops that must not end by themselves, and an end for what does not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from penstock_client.connections import AWAY

_PAUSE_S = 0.25
_ASK_AGAIN_S = 1.0
_TELL_AGAIN_S = 10.0


async def forever(
    turn: Callable[[], Awaitable[None]],
    *,
    event: str,
    logger: logging.Logger,
    every_s: float = 0.0,
    on_failure: Callable[[], None] | None = None,
) -> None:
    """Run `turn` until cancelled, `every_s` apart; a server that is away costs a short pause.

    `event` names the loop in logs, where a server that stays away is told of every ten seconds.
    `on_failure` is called after each turn that failed. A cancelled
    loop ends even where what it runs turned the cancellation into an error of its own, as clients
    of servers do that were just being answered.
    """
    task, told_at = asyncio.current_task(), None
    while task is None or not task.cancelling():
        try:
            await turn()
        except AWAY as error:
            now = time.monotonic()
            if told_at is None or now - told_at >= _TELL_AGAIN_S:
                told_at = now
                reason = str(error) or type(error).__name__
                logger.warning(event, extra={"reason": reason})
        except Exception:
            logger.exception(event)
        else:
            told_at = None
            if every_s:
                await asyncio.sleep(every_s)
            continue
        if on_failure is not None:
            on_failure()
        await asyncio.sleep(max(_PAUSE_S, every_s))
    raise asyncio.CancelledError


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and await their ends, whatever those are.

    A task is asked again every second: clients of servers may turn a cancellation into an error or
    an answer of their own, and what called them goes on. So does `asyncio.wait_for` before Python
    3.12, when an answer comes in the same moment. Source: https://github.com/python/cpython/issues/86296
    """
    every = set(tasks)
    left = every
    while left := {task for task in left if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_ASK_AGAIN_S)
    await asyncio.gather(*every, return_exceptions=True)  # so that errors count as seen
