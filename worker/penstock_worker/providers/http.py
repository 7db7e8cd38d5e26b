"""The one sender of provider calls: adapters build a request, this sends it, adapters parse.

Whoever handles a failure asks `possibly_sent` first: only what cannot have reached the provider
may be repeated as if it had never happened.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import aiohttp
import httpx

from penstock_worker.providers.http_errors import ResponseTooLarge, possibly_sent
from penstock_worker.providers.transport import AiohttpTransport

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AiohttpTransport", "ResponseTooLarge", "Sender", "Timeout", "possibly_sent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long one call may take. Limits above 5 s may fire up to 1 s late.

    `connect_s` covers waiting for a free connection and opening it; `read_s` the silence before
    the first byte of the answer and between later ones, once the request is written; `total_s`
    everything, the body included.
    """

    connect_s: float
    read_s: float
    total_s: float

    def __post_init__(self) -> None:
        for value in (self.connect_s, self.read_s, self.total_s):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"timeouts must be positive and finite, got {self}")


class Sender:
    """Sends calls over one shared pool; use it as an async context manager or call `aclose`.

    Each request goes out at most once. Raises only `httpx.HTTPError` (what each kind means stands
    in `http_errors`) and `asyncio.CancelledError`; cancelling closes the call's connection.
    """

    def __init__(self, transport: AiohttpTransport | None = None) -> None:
        self._transport = transport or AiohttpTransport()

    async def send(self, request: httpx.Request, *, timeout: Timeout) -> httpx.Response:
        """Send and return the answer with its whole body read, whatever its status."""
        return await self._transport.read_response(request, timeout=_client_timeout(timeout))

    @asynccontextmanager
    async def stream(
        self, request: httpx.Request, *, timeout: Timeout
    ) -> AsyncGenerator[httpx.Response]:
        """Send and yield the answer once its headers are in; iterate it with `aiter_bytes()`.

        Leaving early closes the connection, which most providers take as a cancellation.
        """
        response = await self._transport.open_response(request, timeout=_client_timeout(timeout))
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the pool; calls under way fail."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


@lru_cache(maxsize=256)
def _client_timeout(timeout: Timeout) -> aiohttp.ClientTimeout:
    # A silence that may last as long as the whole call needs no timer of its own.
    silence_s = timeout.read_s if timeout.read_s < timeout.total_s else None
    return aiohttp.ClientTimeout(
        total=timeout.total_s, connect=timeout.connect_s, sock_read=silence_s
    )
