"""Parquet files as input and output of backfills, by pyarrow, which is an extra."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from penstock_client.backfill.source import (
    PAGE_ROWS,
    Malformed,
    Page,
    Row,
    file_fingerprint,
    pages_of,
    row_of,
)
from penstock_schemas.errors import InvalidJob


def pyarrow(name: str = "pyarrow") -> Any:
    """The library's module; raises InvalidJob that says how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise InvalidJob(
            "parquet: needs pyarrow; install it with `pip install penstock-client[parquet]`"
        ) from None


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file; its lines are its rows from 1."""

    path: Path
    id_field: str
    #: The columns that are read; empty reads all.
    columns: tuple[str, ...] = ()

    @property
    def is_repeatable(self) -> bool:
        """Its fingerprint says that it is the same file."""
        return True

    @property
    def origin(self) -> str:
        """The file's path."""
        return str(self.path)

    def where(self, line: int) -> str:
        """`file:row`."""
        return f"{self.path}:{line}"

    async def fingerprint(self) -> str:
        """A hash of the file's bytes."""
        return file_fingerprint(self.path, self.id_field, ".parquet")

    async def check(self, needed: frozenset[str]) -> None:
        """Refuse a file that is no Parquet, or lacks a column; raises InvalidJob."""
        parquet, arrow = pyarrow("pyarrow.parquet"), pyarrow()
        try:
            names: Sequence[str] = parquet.read_schema(self.path).names
        except OSError as error:
            told = error.strerror or str(error)
            raise InvalidJob(f"input: {self.path} cannot be read: {told}", field="input") from None
        except arrow.ArrowException as error:
            raise InvalidJob(f"input: {self.path} is no Parquet file: {error}") from None
        for name in sorted(needed | {self.id_field}):
            if names.count(name) != 1:
                why = "is not a column" if name not in names else "is more than one column"
                raise InvalidJob(
                    f"input: {name!r} {why} of {self.path} (columns: {', '.join(names)})",
                    field=name,
                )

    def pages(self, skip: int) -> AsyncIterator[Page]:
        """The file's rows; only the columns that are needed are read."""
        return pages_of(self._rows(), skip)

    def _rows(self) -> Iterator[Row | Malformed]:
        line = 0
        with pyarrow("pyarrow.parquet").ParquetFile(self.path) as file:
            columns = list(self.columns) or None
            for batch in file.iter_batches(batch_size=PAGE_ROWS, columns=columns):
                for fields in batch.to_pylist():
                    line += 1
                    yield row_of(line, with_plain_id(fields, self.id_field), self.id_field)


def with_plain_id(fields: dict[str, Any], id_field: str) -> dict[str, Any]:
    """A row whose ID is a text where it was a UUID; texts lose what UTF-8 cannot say."""
    found = fields.get(id_field)
    return {**fields, id_field: str(found)} if isinstance(found, UUID) else fields


class ParquetWriter:
    """Answers as a Parquet file; values that are no text are JSON."""

    def __init__(self, path: Path, *, as_text: bool) -> None:
        self._path = path
        self._as_text = as_text
        self._writer: Any = None

    def write(self, answers: Sequence[dict[str, Any]]) -> None:
        """Add answers as a row group."""
        arrow = pyarrow()
        schema = _schema(arrow, as_text=self._as_text)
        if self._writer is None:
            self._writer = pyarrow("pyarrow.parquet").ParquetWriter(self._path, schema)
        rows = [flat(answer) for answer in answers]
        self._writer.write_table(arrow.Table.from_pylist(rows, schema=schema))

    def close(self) -> None:
        """Write the footer; a file without answers has the columns too."""
        if self._writer is None:
            self.write([])
        writer: Any = self._writer
        writer.close()


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer's line as one row of plain columns: what CSV, Parquet and tables hold."""
    error: dict[str, Any] = answer["error"] or {}
    said = {"text": answer["text"]} if "text" in answer else {"output": _plain(answer["output"])}
    return {
        "id": str(answer["id"]),
        **said,
        "model": answer["model"],
        "provider": answer["provider"],
        "input_tokens": answer["tokens"]["input"],
        "output_tokens": answer["tokens"]["output"],
        "cost_usd": answer["cost_usd"],
        "attempts": answer["attempts"],
        "job_id": answer["job_id"],
        "error_kind": error.get("kind"),
        "error_message": error.get("message"),
        "simulated": answer["simulated"],
    }


def flat_names(*, as_text: bool) -> list[str]:
    """The names of the columns of `flat`, in their order."""
    return list(_columns(as_text=as_text))


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _columns(*, as_text: bool) -> dict[str, str]:
    said = "text" if as_text else "output"
    return {
        "id": "string",
        said: "string",
        "model": "string",
        "provider": "string",
        "input_tokens": "int64",
        "output_tokens": "int64",
        "cost_usd": "float64",
        "attempts": "int64",
        "job_id": "string",
        "error_kind": "string",
        "error_message": "string",
        "simulated": "bool_",
    }


def _schema(arrow: Any, *, as_text: bool) -> Any:
    columns = _columns(as_text=as_text)
    return arrow.schema([(name, getattr(arrow, kind)()) for name, kind in columns.items()])
