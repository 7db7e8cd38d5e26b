"""The output file: one writer at a time, repaired after a kill, never the same ID twice.

Beside OUT stands `OUT.penstock`: it is locked while a backfill writes OUT, and says which settings
OUT's answers are to, so that answers to two questions are never mixed in one file.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from penstock_client.backfill.answers import read_line
from penstock_client.backfill.index import RowIndex
from penstock_client.backfill.source import key_of
from penstock_schemas.errors import InvalidJob

_BATCH = 5000
_BUFFER_LINES = 256
_BUFFER_BYTES = 1 << 20
_LINE_START = b'{"id":'


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an output file holds: answers, rows without one, and where its last whole line ends."""

    answers: int = 0
    others: int = 0
    end: int = 0


class Output:
    """Lines for one output file: `with Output.open(path, identity) as output`.

    Call `recover` before the first `write`. Raises InvalidJob where the file cannot be used.
    """

    def __init__(self, path: Path, beside: Path, identity: str, lock: int) -> None:
        self._path = path
        self._beside = beside
        self._identity = identity
        self._lock = lock
        self._file: BinaryIO | None = None
        self._lines: list[bytes] = []
        self._bytes = 0

    @classmethod
    def check(cls, path: Path, *, source: Path) -> Path:
        """The real path to write; raises InvalidJob if it cannot be an output for `source`."""
        if path.is_dir():
            raise _wrong(path, "is a folder; name a file in it")
        path = path.resolve()
        if not path.parent.is_dir():
            raise _wrong(path, f"cannot be written: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise _wrong(path, "is not a regular file")
        if path.exists() and source.exists() and path.samefile(source):
            raise _wrong(path, "is the input; name another file")
        target = path if path.exists() else path.parent
        if not (os.access(target, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise _wrong(path, "cannot be written: permission denied")
        return path

    @classmethod
    def open(cls, path: Path, identity: str) -> Self:
        """Lock `path` for this process. Raises InvalidJob if another backfill has it."""
        beside = path.with_name(path.name + ".penstock")
        try:
            lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _wrong(path, f"cannot be written: {beside.name}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise _wrong(path, "is being written by another backfill; wait for it") from None
        return cls(path, beside, identity, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._file is not None:
                with self._file:
                    self.flush()
                    os.fsync(self._file.fileno())
            elif not self._earlier_identity():
                self._beside.unlink(missing_ok=True)  # made for nothing
        finally:
            os.close(self._lock)

    async def recover(self, index: RowIndex) -> int:
        """Read what earlier runs left; gives the number of answers, which `index` then knows.

        A line torn by a kill goes, and so do rows without an answer, to be asked again.
        """
        kept = await self._read(index) if self._path.exists() else _Kept()
        if kept.answers and self._earlier_identity() not in {"", self._identity}:
            raise _wrong(
                self._path,
                "holds answers to other settings (labels, schema, prompt, model …); "
                "name another file, or remove it",
            )
        if kept.others:
            await self._keep_answers_only(kept.end)
        try:
            self._file = self._path.open("ab")
            if not kept.others:
                self._file.truncate(kept.end)
        except OSError as error:
            raise _wrong(self._path, f"cannot be written: {error.strerror}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{self._identity}\n".encode(), 0)
        return kept.answers

    def write(self, line: bytes) -> None:
        """Keep one line; it may stay in memory until the next `flush`."""
        self._lines.append(line)
        self._bytes += len(line)
        if len(self._lines) >= _BUFFER_LINES or self._bytes >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what is kept to the file. Raises InvalidJob when the disk does not take it."""
        if self._file is None or not self._lines:
            return
        lines, self._lines, self._bytes = self._lines, [], 0
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            raise _wrong(self._path, f"cannot be written: {error.strerror}") from None

    def _earlier_identity(self) -> str:
        return os.pread(self._lock, 100, 0).decode("ascii", "replace").strip()

    async def _read(self, index: RowIndex) -> _Kept:
        """Tell `index` about every answer; raises InvalidJob for a file that is something else."""
        answers = others = end = 0
        keys: list[bytes] = []
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                found = read_line(line)
                if not line.endswith(b"\n") and line.startswith(_LINE_START[: len(line)]):
                    break  # torn by a kill
                if found is None:
                    raise _wrong(
                        self._path, f"line {number} is no line of a backfill; name another file"
                    )
                end += len(line)
                row_id, answered = found
                if answered:
                    keys.append(key_of(row_id))
                else:
                    others += 1
                if number % _BATCH == 0:
                    answers += index.finish(keys)
                    keys.clear()
                    await asyncio.sleep(0)
        return _Kept(answers + index.finish(keys), others, end)

    async def _keep_answers_only(self, end: int) -> None:
        """Replace the file, at once, by one that holds its answers alone."""
        fresh = self._path.with_name(self._path.name + ".penstock-new")
        try:
            with self._path.open("rb") as old, fresh.open("wb") as new:
                for number, line in enumerate(_until(old, end)):
                    found = read_line(line)
                    if found is not None and found[1]:
                        new.write(line)
                    if number % _BATCH == 0:
                        await asyncio.sleep(0)
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(self._path, fresh)
            fresh.replace(self._path)
        except OSError as error:
            raise _wrong(self._path, f"cannot be written: {error.strerror}") from None
        finally:
            fresh.unlink(missing_ok=True)


def _until(lines: Iterable[bytes], end: int) -> Iterator[bytes]:
    """The lines before byte `end`."""
    for line in lines:
        end -= len(line)
        if end < 0:
            return
        yield line


def _wrong(path: Path, what: str) -> InvalidJob:
    return InvalidJob(f"output: {path} {what}", field="output")
