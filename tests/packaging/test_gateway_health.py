"""The gateway's probes against servers that answer, refuse, and say nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from penstock_client.settings import Settings
from penstock_gateway import readiness
from penstock_gateway.app import create_app
from penstock_gateway.readiness import ProbeResult, check_stack

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    """A server on a free loopback port; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer_as_redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while header := await reader.readline():
        words = [await read_bulk(reader) for _ in range(int(header[1:]))]
        writer.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")


async def read_bulk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline())[1:])
    return (await reader.readexactly(size + 2))[:-2]


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def probe(*, database_url: str | None = None, redis_url: str | None = None) -> ProbeResult:
    """The result for the one server that was named."""
    postgres, redis = await check_stack(database_url=database_url, redis_url=redis_url)
    return redis if database_url is None else postgres


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


async def test_probe_redis_that_answers_is_ok() -> None:
    async with listening(answer_as_redis) as port:
        assert (await probe(redis_url=f"redis://127.0.0.1:{port}")).ok


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_probe_silent_server_ends_at_its_deadline(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_DEADLINE_S", 0.1)
    async with listening(say_nothing) as port:
        url = f"{scheme}://u:secret@127.0.0.1:{port}/0"
        result = await probe(**{"redis_url" if scheme == "redis" else "database_url": url})
    assert result.problem == "no answer within 0.1 s"


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_probe_refused_names_no_address(scheme: str, closed_port: int) -> None:
    url = f"{scheme}://u:secret@127.0.0.1:{closed_port}/0"
    result = await probe(**{"redis_url" if scheme == "redis" else "database_url": url})
    assert result.problem is not None
    assert "secret" not in result.problem
    assert str(closed_port) not in result.problem


async def get(path: str, settings: Settings) -> httpx.Response:
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path)


async def test_healthz_asks_nobody_else(closed_port: int) -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{closed_port}", database_url=None)
    answer = await get("/healthz", settings)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_without_its_servers_is_503_and_says_which(closed_port: int) -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{closed_port}", database_url=None)
    answer = await get("/readyz", settings)
    checks = answer.json()["checks"]
    assert answer.status_code == 503
    assert checks["postgres"]["problem"] == "not configured"
    assert checks["redis"]["ok"] is False
