"""Where answers go: JSON lines or CSV or Parquet by the file's suffix, or a table.

A file is written beside its place and moved there when it is whole, so what stands under its name
is always one whole export.
"""

from __future__ import annotations

import csv
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from penstock_client.backfill.answers import encoded
from penstock_client.backfill.exporting import Exported
from penstock_client.backfill.parquet import ParquetWriter, flat, flat_names, pyarrow
from penstock_client.backfill.sql import TableWriter
from penstock_schemas.errors import InvalidJob

_BATCH: Final = 1000
_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_WRITTEN: Final = (".jsonl", ".ndjson", ".json", *_SEPARATORS, ".parquet")
Answer = dict[str, Any]


class _FileWriter(Protocol):
    def write(self, answers: list[Answer]) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows were written, and how many of them have no answer."""

    rows: int
    failed: int


def check_output(path: Path, *, source: Path | None = None) -> Path:
    """The real path to write; raises InvalidJob if it cannot be an output for `source`."""
    found = path.resolve()
    if found.is_dir():
        raise InvalidJob(f"output: {path} is a folder", field="output")
    if not found.parent.is_dir():
        raise InvalidJob(f"output: {path} cannot be made: there is no such folder", field="output")
    if source is not None and found.exists() and source.exists() and found.samefile(source):
        raise InvalidJob(f"output: {path} is the input", field="output")
    if not os.access(found.parent, os.W_OK):
        raise InvalidJob(f"output: {found.parent} cannot be written to", field="output")
    if found.suffix.lower() not in _WRITTEN:
        known = ", ".join(_WRITTEN)
        told = f"output: {path} has none of the suffixes that say its format: {known}"
        raise InvalidJob(told, field="output")
    if found.suffix.lower() == ".parquet":
        pyarrow()
    return found


async def write_file(
    rows: AsyncIterator[Exported],
    path: Path,
    *,
    as_text: bool,
    on_rows: Callable[[int], object] | None = None,
) -> Written:
    """Write all rows to a file, whose format its suffix says; raises InvalidJob."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        writer = _writer_of(path.suffix.lower(), partial, as_text=as_text)
        try:
            written = await _write(rows, _now(writer.write), on_rows)
        finally:
            writer.close()
        partial.replace(path)
    except OSError as error:
        told = f"output: {path} cannot be written: {error.strerror}"
        raise InvalidJob(told, field="output") from None
    finally:
        partial.unlink(missing_ok=True)
    return written


async def write_table(
    rows: AsyncIterator[Exported], url: str, table: str, *, as_text: bool
) -> Written:
    """Write all rows to a table in one transaction; raises InvalidJob, Unavailable."""
    writer = await TableWriter.open(url, table, as_text=as_text)
    try:
        written = await _write(rows, writer.write, None)
    except BaseException:
        await writer.abort()
        raise
    await writer.close()
    return written


async def _write(
    rows: AsyncIterator[Exported],
    write: Callable[[list[Answer]], Any],
    on_rows: Callable[[int], object] | None,
) -> Written:
    count, failed, batch = 0, 0, list[Answer]()
    async for row in rows:
        count, failed = count + 1, failed + (not row.ok)
        batch.append(row.answer)
        if len(batch) == _BATCH:
            await write(batch)
            batch = []
            if on_rows is not None:
                on_rows(count)
    if batch:
        await write(batch)
    return Written(count, failed)


def _now(write: Callable[[list[Answer]], None]) -> Callable[[list[Answer]], Any]:
    async def soon(answers: list[Answer]) -> None:
        write(answers)

    return soon


def _writer_of(suffix: str, path: Path, *, as_text: bool) -> _FileWriter:
    if suffix == ".parquet":
        return ParquetWriter(path, as_text=as_text)
    if suffix in _SEPARATORS:
        return _CsvWriter(path, _SEPARATORS[suffix], as_text=as_text)
    return _JsonWriter(path)


class _JsonWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, answers: list[Answer]) -> None:
        self._file.writelines(map(encoded, answers))

    def close(self) -> None:
        self._file.close()


class _CsvWriter:
    def __init__(self, path: Path, separator: str, *, as_text: bool) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._file, flat_names(as_text=as_text), delimiter=separator)
        self._csv.writeheader()

    def write(self, answers: list[Answer]) -> None:
        self._csv.writerows(map(flat, answers))

    def close(self) -> None:
        self._file.close()
