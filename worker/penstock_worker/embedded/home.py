"""The folder of an embedded stack: one owner at a time, private data, short paths for sockets.

HOME/owner.lock       locked by the owner for as long as it lives; holds its pid
HOME/endpoints.json   the addresses of the running servers
HOME/valkey  HOME/postgres  HOME/logs
HOME/run              sockets; elsewhere when HOME is too long a path or its owner is root
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from .errors import EmbeddedError

_SOCKET_PATH_LIMIT_BYTES = 100
_LONGEST_SOCKET_NAME = "postgres/.s.PGSQL.65535"
_SHORT_PARENT = Path("/tmp")
_LOCK_PATIENCE_S = 0.3


class Home:
    """An owned home: between `open` and `close` no other process can own it."""

    def __init__(self, path: Path, *, lock_fd: int) -> None:
        self.path = path
        self.logs = path / "logs"
        self._lock_fd = lock_fd
        self._runtime_fd: int | None = None
        self.runtime = path / "run"

    @classmethod
    def open(cls, path: Path) -> Home:
        """Creates the folder if need be and takes its lock; raises EmbeddedError if it is taken."""
        path = path.expanduser().resolve()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            home = cls(path, lock_fd=_take_lock(path))
        except OSError as error:
            raise EmbeddedError(
                f"cannot use {path} ({error.strerror}): set PENSTOCK_HOME to a folder of yours"
            ) from error
        try:
            private_directory(home.logs)
            home.runtime = home._open_runtime()
        except BaseException:
            home.close()
            raise
        return home

    def close(self) -> None:
        """Gives the home back. Idempotent."""
        if self._lock_fd < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            self._endpoints.unlink()
        if self._runtime_fd is not None:
            shutil.rmtree(self.runtime, ignore_errors=True)
            os.close(self._runtime_fd)
        os.close(self._lock_fd)
        self._lock_fd = -1

    def directory(self, name: str) -> Path:
        """A private subfolder, created if need be."""
        return private_directory(self.path / name)

    def write_endpoints(self, *, redis_url: str, database_url: str) -> None:
        """Tells other processes of this user where the servers listen, atomically."""
        content = {"pid": os.getpid(), "redis_url": redis_url, "database_url": database_url}
        fresh = self._endpoints.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(fresh, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            json.dump(content, file)
        fresh.replace(self._endpoints)

    @property
    def _endpoints(self) -> Path:
        return self.path / "endpoints.json"

    def _open_runtime(self) -> Path:
        inside = self.path / "run"
        longest = len(os.fsencode(inside / _LONGEST_SOCKET_NAME))
        if os.geteuid() != 0 and longest <= _SOCKET_PATH_LIMIT_BYTES:
            return private_directory(inside)
        state = self.path.stat()
        token = hashlib.sha256(f"{self.path}:{state.st_dev}:{state.st_ino}".encode()).hexdigest()
        outside = _SHORT_PARENT / f"penstock-{os.geteuid()}-{token[:12]}"
        with contextlib.suppress(FileExistsError):
            outside.mkdir(mode=0o700)
        self._runtime_fd = _own_directory(outside)
        if self._runtime_fd is None:
            outside = Path(tempfile.mkdtemp(prefix="penstock-", dir=_SHORT_PARENT))
            self._runtime_fd = _own_directory(outside)
        if os.geteuid() == 0:
            outside.chmod(0o711)
        return outside


def private_directory(path: Path) -> Path:
    """Creates `path` for its user alone; an existing one is made private."""
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path


def _own_directory(path: Path) -> int | None:
    """Locks a directory that is verifiably ours; None if it is not, or is in use.

    The lock also keeps systemd-tmpfiles from ageing it out.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    state = os.fstat(fd)
    try:
        if state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o022:
            raise OSError("not ours")
        _lock(fd)
    except OSError:
        os.close(fd)
        return None
    return fd


def _lock(fd: int) -> None:
    """Locks or raises BlockingIOError, after a moment of patience.

    An owner killed while it started a server leaves its locks to that child until it execs.
    """
    give_up_at = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _take_lock(path: Path) -> int:
    fd = os.open(path / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd)
    except BlockingIOError:
        owner = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise EmbeddedError(
            f"{path} is in use by process PID {owner}: stop that process, "
            "or set PENSTOCK_HOME to another folder"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
