"""What a backfill must remember of every row, on disk: which IDs the input has, which are done.

A private SQLite database without a name: it spills to a temporary file that its end removes, so
memory stays the same for a thousand rows and for ten million.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Self


class RowIndex:
    """Two sets of row keys; `with RowIndex() as index`."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_SETUP)
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def see(self, rows: Sequence[tuple[bytes, int]]) -> tuple[int, int] | None:
        """Note keys with their lines; gives both lines of the first key that was there before."""
        for key, line in rows if self._insert(_SEEN, sorted(rows)) < len(rows) else ():
            found = self._db.execute("select line from seen where key = ?", (key,)).fetchone()
            if found[0] != line:
                return found[0], line
        return None

    def finish(self, keys: Sequence[bytes]) -> int:
        """Note keys as done; gives how many of them were not before."""
        self._done = self._done or bool(keys)
        return self._insert(_DONE, [(key,) for key in keys])

    def is_done(self, key: bytes) -> bool:
        """Whether `finish` was told of this key."""
        if not self._done:
            return False
        return self._db.execute("select 1 from done where key = ?", (key,)).fetchone() is not None

    def _insert(self, statement: str, rows: Sequence[tuple[bytes, ...] | tuple[bytes, int]]) -> int:
        self._db.execute("begin")
        cursor = self._db.executemany(statement, rows)
        self._db.execute("commit")
        return cursor.rowcount


# The cache is in KiB; what does not fit stands in the temporary file.
_SETUP = """
pragma cache_size = -16384;
pragma journal_mode = off;
pragma synchronous = off;
create table seen (key blob primary key, line integer not null) without rowid;
create table done (key blob primary key) without rowid;
"""
_SEEN = "insert or ignore into seen values (?, ?)"
_DONE = "insert or ignore into done values (?)"
