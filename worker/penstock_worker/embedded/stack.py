"""The embedded stack: Valkey and PostgreSQL in one private folder, for as long as it is entered.

Lock the home, start both servers side by side, keep them running at the same addresses, stop them.
Whatever was killed before, data is kept: Valkey replays its append-only file, PostgreSQL its WAL.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from .errors import EmbeddedError
from .home import Home, private_directory
from .postgres import prepare_postgres
from .supervise import Restart, Supervisor
from .valkey import Tcp, ValkeyServer, find_valkey


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    home: Home
    redis: Supervisor
    postgres: Supervisor
    redis_url: str
    database_url: str


class EmbeddedStack:
    """Both servers, with their data in `home`: `async with EmbeddedStack(home) as stack`.

    Entering returns once both answer and raises `EmbeddedError` if they cannot, for instance when
    another process owns `home`. A server that ends by itself is started again at the same address,
    and `on_restart` is told about each attempt. With `tcp` both also listen on loopback behind a
    password made for this run, and the addresses are TCP ones; else only this user's processes
    can connect. Enter and use it from one event loop, and let that loop's thread outlive it: on
    Linux the servers stop when the thread that started them ends.
    """

    def __init__(
        self,
        home: Path,
        *,
        tcp: bool = False,
        on_restart: Callable[[Restart], None] | None = None,
    ) -> None:
        self._path = home
        self._tcp = tcp
        self._on_restart = on_restart or _ignore
        self._running: _Running | None = None

    async def __aenter__(self) -> Self:
        home = Home.open(self._path)
        try:
            running = await self._prepare(home)
            try:
                await _both(running.redis.start(), running.postgres.start())
                home.write_endpoints(redis_url=running.redis_url, database_url=running.database_url)
            except BaseException:
                await _both(running.redis.stop(), running.postgres.stop())
                raise
        except OSError as error:
            home.close()
            raise EmbeddedError(
                f"cannot use {home.path} ({error}): repair its permissions, "
                "or set PENSTOCK_HOME to another folder"
            ) from error
        except BaseException:
            home.close()
            raise
        self._running = running
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running = self._entered
        self._running = None
        try:
            await _both(running.redis.stop(), running.postgres.stop())
        finally:
            running.home.close()

    @property
    def redis_url(self) -> str:
        """`unix://…/valkey.sock?db=0` (or `redis://…`), for redis-py and arq; stays the same."""
        return self._entered.redis_url

    @property
    def database_url(self) -> str:
        """A DSN for asyncpg and libpq, user and database `penstock`; stays the same."""
        return self._entered.database_url

    @property
    def logs(self) -> Mapping[str, Path]:
        """The log file of each server, by `redis` and `postgres`."""
        running = self._entered
        return MappingProxyType(
            {"redis": running.redis.server.log, "postgres": running.postgres.server.log}
        )

    @property
    def pids(self) -> Mapping[str, int | None]:
        """The pid of each server, by `redis` and `postgres`; None while it is down."""
        running = self._entered
        return MappingProxyType({"redis": running.redis.pid, "postgres": running.postgres.pid})

    async def start_redis(self) -> None:
        """Starts Valkey again, or waits for its restart; returns once it answers. Idempotent."""
        await self._entered.redis.start()

    async def stop_redis(self) -> None:
        """Stops Valkey in order; it stays down until `start_redis`. Idempotent."""
        await self._entered.redis.stop()

    async def kill_redis(self, *, restart: bool = True) -> None:
        """Kills Valkey with SIGKILL; it is restarted like after any accident, or stays down."""
        await self._entered.redis.kill(restart=restart)

    async def start_postgres(self) -> None:
        """Starts PostgreSQL again, or waits for its restart; returns once it answers."""
        await self._entered.postgres.start()

    async def stop_postgres(self) -> None:
        """Stops PostgreSQL in order; it stays down until `start_postgres`. Idempotent."""
        await self._entered.postgres.stop()

    async def kill_postgres(self, *, restart: bool = True) -> None:
        """Kills the postmaster with SIGKILL; it is restarted, or stays down."""
        await self._entered.postgres.kill(restart=restart)

    @property
    def _entered(self) -> _Running:
        if self._running is None:
            raise EmbeddedError("the embedded stack is not running: enter it with `async with`")
        return self._running

    async def _prepare(self, home: Home) -> _Running:
        password = secrets.token_urlsafe(24)
        redis_port, postgres_port = _free_ports() if self._tcp else (0, 0)
        valkey = ValkeyServer(
            binary=find_valkey(),
            data=home.directory("valkey"),
            socket=private_directory(home.runtime / "valkey") / "valkey.sock",
            log=home.logs / "valkey.log",
            tcp=Tcp(port=redis_port, password=password) if self._tcp else None,
        )
        postgres = await prepare_postgres(
            folder=home.directory("postgres"),
            runtime=home.runtime,
            log=home.logs / "postgres.log",
            tcp=Tcp(port=postgres_port, password=password) if self._tcp else None,
        )
        return _Running(
            home=home,
            redis=Supervisor(valkey, on_restart=self._on_restart),
            postgres=Supervisor(postgres, on_restart=self._on_restart),
            redis_url=valkey.url,
            database_url=postgres.url,
        )


async def _both(
    first: Coroutine[object, object, None], second: Coroutine[object, object, None]
) -> None:
    """Runs both to their end; then raises the first error, if any."""
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        for chosen in (first, second):
            chosen.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _ignore(restart: Restart) -> None:
    """The default for who does not want to hear of restarts; they are logged all the same."""
    del restart
