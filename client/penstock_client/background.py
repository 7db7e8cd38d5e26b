"""Loops that must not end: whatever one turn of theirs meets, there is a next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from penstock_client.connections import AWAY

_PAUSE_S = 0.25


async def forever(
    turn: Callable[[], Awaitable[None]],
    *,
    event: str,
    logger: logging.Logger,
    every_s: float = 0.0,
    on_failure: Callable[[], None] | None = None,
) -> None:
    """Run `turn` until cancelled, `every_s` apart; a server that is away costs a short pause.

    `event` names the loop in logs. `on_failure` is called after each turn that failed. A cancelled
    loop ends even where what it runs turned the cancellation into an error of its own, as clients
    of servers do that were just being answered.
    """
    task = asyncio.current_task()
    while task is None or not task.cancelling():
        try:
            await turn()
        except AWAY as error:
            reason = str(error) or type(error).__name__
            logger.warning(event, extra={"reason": reason})
        except Exception:
            logger.exception(event)
        else:
            if every_s:
                await asyncio.sleep(every_s)
            continue
        if on_failure is not None:
            on_failure()
        await asyncio.sleep(max(_PAUSE_S, every_s))
    raise asyncio.CancelledError
