"""A receiver of webhooks on loopback, which answers as it is told and keeps what it got."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import orjson


@dataclass(frozen=True)
class Received:
    """One request: its path, its headers by lower-case names, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, object]:
        return orjson.loads(self.body)["data"]

    @property
    def type(self) -> str:
        return orjson.loads(self.body)["type"]


@dataclass
class Receiver:
    """`answer` gives the status of a request; `None` never answers. `headers` go with it."""

    answer: Callable[[Received], int | None] = lambda _: 200
    headers: dict[str, str] = field(default_factory=dict)
    got: list[Received] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        self._held = asyncio.Event()
        self._came = asyncio.Condition()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._held.set()
        self._server.close()
        await self._server.wait_closed()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def wait_for(self, count: int) -> list[Received]:
        """What came, once there are so many."""
        async with self._came, asyncio.timeout(20):
            await self._came.wait_for(lambda: len(self.got) >= count)
        return self.got

    def release(self) -> None:
        """Let those end that were never to be answered."""
        self._held.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(head[0].split(" ")[1], headers, body)
            async with self._came:
                self.got.append(received)
                self._came.notify_all()
            status = self.answer(received)
            if status is None:
                await self._held.wait()
                return
            lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{lines}content-length: 2\r\n\r\nok".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            writer.close()
