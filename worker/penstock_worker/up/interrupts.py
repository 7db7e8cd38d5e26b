"""Ctrl-C, SIGTERM and a closed terminal: the first one stops in order, the second by force."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What the signals of this process have asked for so far."""

    def __init__(self, *, on_first: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()
        self._on_first = on_first

    def hear(self) -> None:
        """Take one signal."""
        if self.asked.is_set():
            self.forced.set()
            return
        self.asked.set()
        self._on_first()


async def until_interrupted(
    work: Callable[[Interrupts], Awaitable[int]], *, on_first: Callable[[], None]
) -> int | None:
    """The exit code of `work`, or None when a signal ended it. Its clean-up runs to the end."""
    interrupts = Interrupts(on_first=on_first)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupts.hear)
    try:
        working = asyncio.ensure_future(work(interrupts))
        asked = asyncio.ensure_future(interrupts.asked.wait())
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if interrupts.asked.is_set():
            working.cancel()
        try:
            return await working
        except asyncio.CancelledError:
            return None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
