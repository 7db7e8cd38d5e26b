"""Tokens, checked once every few seconds for all requests that bear them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from penstock_client.background import end
from penstock_client.tokens import Identity

#: A token is believed for so long, in seconds: then a revoked one is refused everywhere.
FRESH_S: Final = 5.0
_MOST_CACHED: Final = 10_000

Check = Callable[[str], Awaitable[Identity | None]]


class TokenCache:
    """Remembers what was found out of tokens, by their hashes; asks once for many at a time."""

    def __init__(
        self, check: Check, *, fresh_s: float = FRESH_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._check, self._fresh_s, self._clock = check, fresh_s, clock
        self._found: dict[bytes, tuple[float, Identity | None]] = {}
        self._asking: dict[bytes, asyncio.Task[Identity | None]] = {}

    async def identity(self, token: str) -> Identity | None:
        """Whom a token stands for; raises Unavailable."""
        key = hashlib.sha256(token.encode()).digest()
        known = self._found.get(key)
        if known is not None and self._clock() - known[0] < self._fresh_s:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key, token))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def close(self) -> None:
        """End the questions under way."""
        await end(self._asking.values())

    async def _ask(self, key: bytes, token: str) -> Identity | None:
        began = self._clock()
        found = await self._check(token)
        if len(self._found) >= _MOST_CACHED:
            self._found.clear()
        self._found[key] = (began, found)
        return found
