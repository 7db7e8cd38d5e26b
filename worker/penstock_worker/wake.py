"""Waking a worker: a broadcast of its provider, or a slot that became free in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any, cast

from arq.connections import ArqRedis

from penstock_client.background import end, forever
from penstock_client.connections import REDIS_AWAY

logger = logging.getLogger("penstock.worker")


class Wake:
    """An event that Redis can set. Broadcasts can be lost, so every wait has an end."""

    def __init__(self, redis: ArqRedis, channel: str) -> None:
        self._channel = channel
        self._event = asyncio.Event()
        self._pubsub = cast("Any", redis).pubsub(ignore_subscribe_messages=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start listening."""
        work = forever(self._listen, event="wake.subscription_lost", logger=logger)
        self._task = asyncio.create_task(work, name="penstock-wake")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await end([self._task])
        with contextlib.suppress(*REDIS_AWAY):
            await self._pubsub.aclose()

    def set(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    def clear(self) -> None:
        """Forget earlier wake-ups; called before looking, so that none is missed."""
        self._event.clear()

    async def wait(self, at_most_s: float, *, exactly: bool = False) -> None:
        """Wait for a wake-up, at most this long, less a jitter of a quarter unless `exactly`."""
        if not exactly:
            at_most_s *= random.uniform(0.75, 1.0)  # noqa: S311
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._event.wait()

    async def _listen(self) -> None:
        if not self._pubsub.subscribed:
            await self._pubsub.subscribe(self._channel)
        if await self._pubsub.get_message(timeout=1.0) is not None:
            self._event.set()
