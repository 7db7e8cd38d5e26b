"""The gateway's one connection to Penstock, made in the background and again until it works.

So the gateway starts, and says what is missing, while its servers are away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Self

from penstock_client import Penstock
from penstock_client.background import end, forever
from penstock_client.settings import Settings
from penstock_schemas.errors import Unavailable

logger = logging.getLogger("penstock.gateway")

_AGAIN_S = 1.0


class Connection:
    """Enter it with `async with`; `penstock` is there once the servers have answered."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._penstock: Penstock | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def __aenter__(self) -> Self:
        trying = forever(self._connect, event="gateway.not_connected", logger=logger)
        self._connecting = asyncio.create_task(trying, name="gateway-connect")
        waiting = asyncio.create_task(self._connected.wait())
        with contextlib.suppress(TimeoutError):  # mostly it is there at once
            await asyncio.wait_for(waiting, _AGAIN_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connecting is not None:
            await end([self._connecting])
        if self._penstock is not None:
            await self._penstock.__aexit__(None, None, None)
            self._penstock = None

    @property
    def penstock(self) -> Penstock:
        """The connection; raises Unavailable while there is none."""
        if self._penstock is None:
            raise Unavailable("the stack", "the gateway has not reached its servers yet")
        return self._penstock

    async def _connect(self) -> None:
        if self._penstock is not None:
            await asyncio.Event().wait()  # for good
        try:
            self._penstock = await Penstock.connect(settings=self._settings()).__aenter__()
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be mended meanwhile
            logger.warning("gateway.not_connected", extra={"reason": str(error)})
            await asyncio.sleep(_AGAIN_S)
        else:
            self._connected.set()
