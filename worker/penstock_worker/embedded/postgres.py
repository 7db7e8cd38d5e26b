"""PostgreSQL as an embedded server: initialised once, run as a foreground child, asked by a login.

PostgreSQL refuses to run as root. A root owner runs it as the data folder's owner, at first
`nobody`, who cannot look into root's private home. So on Linux the server is started *in* its data
folder and told that its data is `/proc/self/cwd`, which needs no way through the parents.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import quote

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from .errors import EmbeddedError
from .home import private_directory
from .leftovers import Traces, find_leftovers, read_pid, stop_leftovers
from .pg_binaries import MAJOR_VERSION, find_binaries, readable_binaries
from .process import Child, RunAs, spawn, wait_until_answering
from .valkey import Tcp

USER = "penstock"
DATABASE = "penstock"
_FIRST_DATABASE = "postgres"
_TEMPLATE_DATABASE = "template1"
_DEFAULT_PORT = 5432
_ANSWER_DEADLINE_S = 120.0
_STOP_DEADLINE_S = 20.0
_PROBE_TIMEOUT_S = 5.0
_UNFINISHED = "initdb-"

_SETTINGS = {
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # One server, no replicas: the least WAL a commit can do with, in segments kept for reuse.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "128MB",
    # Bounds what a start after a kill has to replay: a few seconds' worth.
    "max_wal_size": "512MB",
    "checkpoint_timeout": "5min",
    "jit": "off",
    "random_page_cost": "1.1",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """How one PostgreSQL is started, asked and stopped; holds no state of its own."""

    binaries: Path
    data: Path
    sockets: Path
    log: Path
    user: RunAs | None
    tcp: Tcp | None = None

    name = "PostgreSQL"
    stop_signal = signal.SIGINT
    stop_deadline_s = _STOP_DEADLINE_S

    @property
    def url(self) -> str:
        """A DSN that asyncpg and libpq accept."""
        if self.tcp is not None:
            place = f"{USER}:{self.tcp.password}@127.0.0.1:{self.tcp.port}"
            return f"postgresql://{place}/{DATABASE}"
        return self._socket_url(DATABASE)

    async def launch(self) -> Child:
        """Starts the server, on first use with a fresh database; returns once it answers."""
        await stop_leftovers(
            self._traces,
            name=self.name,
            ask_with=self.stop_signal,
            deadline_s=self.stop_deadline_s,
        )
        await self._initialise_once()
        self._disown_stale_pid_file()
        for stale in self.sockets.glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)
        child = spawn(
            self._command(),
            log=self.log,
            cwd=self.data,
            death_signal=self.stop_signal,
            user=self.user,
        )
        await wait_until_answering(
            child, self._answers, name=self.name, deadline_s=_ANSWER_DEADLINE_S
        )
        return child

    @property
    def _traces(self) -> Traces:
        return Traces(programs=("postgres",), data=self.data, pid_file=self.data / "postmaster.pid")

    @property
    def _port(self) -> int:
        return self.tcp.port if self.tcp is not None else _DEFAULT_PORT

    def _socket_url(self, database: str) -> str:
        place = f"host={quote(str(self.sockets))}&port={self._port}"
        return f"postgresql://{USER}@/{database}?{place}"

    def _command(self) -> list[str]:
        settings = _SETTINGS | {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1" if self.tcp is not None else "",
            "unix_socket_directories": str(self.sockets),
        }
        if sys.platform == "linux":
            # After a crash one call for the file system, not one for each of a thousand files.
            settings["recovery_init_sync_method"] = "syncfs"
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.binaries / "postgres"), "-D", self._data_as_seen(self.data), *options]

    def _data_as_seen(self, data: Path) -> str:
        return "/proc/self/cwd" if self.user is not None and sys.platform == "linux" else str(data)

    async def _initialise_once(self) -> None:
        """Makes the data folder under another name first: it appears complete or not at all."""
        for unfinished in self.data.parent.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        if self.data.is_dir():
            self._refuse_other_version()
            return
        fresh = private_directory(self.data.with_name(_UNFINISHED + secrets.token_hex(4)))
        if self.user is not None:
            os.chown(fresh, self.user.uid, self.user.gid)
        child = spawn(
            self._initdb_command(fresh),
            log=self.log,
            cwd=fresh,
            death_signal=signal.SIGKILL,
            user=self.user,
        )
        try:
            exit_code = await child.wait()
        finally:
            child.send(signal.SIGKILL)
        if exit_code != 0:
            raise EmbeddedError(
                f"cannot make a database in {self.data} ({child.complaint()}): read {self.log}"
            )
        fresh.rename(self.data)

    def _initdb_command(self, fresh: Path) -> list[str]:
        return [
            str(self.binaries / "initdb"),
            f"--pgdata={self._data_as_seen(fresh)}",
            f"--username={USER}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
            "--no-instructions",
        ]

    def _refuse_other_version(self) -> None:
        try:
            found = (self.data / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise EmbeddedError(
                f"{self.data} is not a readable PostgreSQL folder ({error.strerror}): "
                "move it away, or set PENSTOCK_HOME to another folder"
            ) from error
        if found != MAJOR_VERSION:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {found}, not {MAJOR_VERSION}: "
                "move it away, or set PENSTOCK_HOME to another folder"
            )

    def _disown_stale_pid_file(self) -> None:
        """Keeps PostgreSQL from taking a process that got a dead postmaster's pid for a live one.

        Deleting the file would also delete what it says about shared memory, by which PostgreSQL
        notices orphaned backends. It ignores its parent's pid there, so that is written instead.
        """
        pid_file = self._traces.pid_file
        if not pid_file.exists():
            return
        pid = read_pid(pid_file)
        if pid is None:
            pid_file.unlink()
        elif pid not in find_leftovers(self._traces):
            rest = pid_file.read_text().partition("\n")[2]
            pid_file.write_text(f"{os.getpid()}\n{rest}")

    async def _answers(self) -> bool:
        try:
            connection = await _connect(self._socket_url(DATABASE))
        except asyncpg.InvalidCatalogNameError:
            await self._name_first_database()
            return False
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError):
            return False
        except asyncpg.PostgresError as error:
            raise EmbeddedError(
                f"PostgreSQL refuses its owner ({error}): read {self.log}"
            ) from error
        try:
            if self.tcp is not None:
                await connection.execute(f"alter role {USER} password '{self.tcp.password}'")
        finally:
            await connection.close(timeout=_PROBE_TIMEOUT_S)
        return True

    async def _name_first_database(self) -> None:
        """Renames the empty database that initdb made: atomic, and 0.1 s quicker than another."""
        connection = await _connect(self._socket_url(_TEMPLATE_DATABASE))
        try:
            await connection.execute(f"alter database {_FIRST_DATABASE} rename to {DATABASE}")
        finally:
            await connection.close(timeout=_PROBE_TIMEOUT_S)


class _Connection(Protocol):
    async def execute(self, query: str) -> str: ...
    async def close(self, *, timeout: float) -> None: ...


async def _connect(dsn: str) -> _Connection:
    untyped = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    connect = cast("Callable[..., Awaitable[_Connection]]", untyped)
    return await connect(dsn, timeout=_PROBE_TIMEOUT_S)


async def prepare_postgres(
    *, folder: Path, runtime: Path, log: Path, tcp: Tcp | None = None
) -> PostgresServer:
    """A server with its data below `folder`, its socket below `runtime`, under the right user."""
    data = folder / "data"
    binaries = find_binaries()
    sockets = private_directory(runtime / "postgres")
    user = _unprivileged_user(data) if os.geteuid() == 0 else None
    if user is not None:
        os.chown(sockets, user.uid, user.gid)
        binaries = await asyncio.to_thread(readable_binaries, binaries, spare=runtime)
    return PostgresServer(
        binaries=binaries, data=data, sockets=sockets, log=log, user=user, tcp=tcp
    )


def _unprivileged_user(data: Path) -> RunAs:
    """The owner of existing data, else `nobody`."""
    if data.is_dir() and data.stat().st_uid != 0:
        state = data.stat()
        return RunAs(uid=state.st_uid, gid=state.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL does not run as root and there is no user `nobody`: "
            "run as an ordinary user, or set PENSTOCK_DATABASE_URL"
        ) from None
    return RunAs(uid=nobody.pw_uid, gid=nobody.pw_gid)
