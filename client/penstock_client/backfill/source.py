"""Reading: JSON lines or CSV as a stream of rows, each with its line; flat memory at any size.

`RowSource` is what a backfill needs of any input; `parquet.py` and `sql.py` have the other ones.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast

import orjson

from penstock_schemas.errors import InvalidJob

_BOM = b"\xef\xbb\xbf"
#: The longest cell that a CSV row may have, in characters; the csv module's own limit is 131,072.
_CELL_CHARS = 64 * 1024 * 1024
_WAYS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})

#: Rows that are in memory at the same time.
PAGE_ROWS = 2000

RowId = str | int


@dataclass(frozen=True, slots=True)
class Row:
    """One row that has an ID. `key` is 16 bytes that stand for the ID's text: 1 and "1" are one.

    `problem` says, where it is not empty, why the row cannot be asked all the same.
    """

    line: int
    row_id: RowId
    key: bytes
    fields: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no row: `message` says why, without the file and line."""

    line: int
    message: str
    fields: frozenset[str] = field(default_factory=frozenset[str])


def key_of(row_id: RowId) -> bytes:
    """What stands for an ID in every index of a backfill."""
    return blake2b(str(row_id).encode(), digest_size=16).digest()


def row_of(line: int, fields: dict[str, Any], id_field: str, problem: str = "") -> Row | Malformed:
    """A row of an input, or why it is none."""
    row_id = fields.get(id_field)
    if isinstance(row_id, (str, int)) and not isinstance(row_id, bool) and row_id != "":
        return Row(line, row_id, key_of(row_id), fields, problem)
    if problem:
        return Malformed(line, problem)
    if row_id is None or row_id == "":
        return Malformed(line, f"has no {id_field!r}", frozenset(fields))
    return Malformed(line, f"{id_field!r} is neither text nor an integer")


Page = list[Row | Malformed]


class RowSource(Protocol):
    """Where rows come from, in an order."""

    @property
    def origin(self) -> str:
        """What people call it."""
        ...

    @property
    def is_repeatable(self) -> bool:
        """Whether rows are the same each time, so that an interrupted load may go on."""
        ...

    def where(self, line: int) -> str:
        """A row's place, as errors name it."""
        ...

    async def check(self, needed: frozenset[str]) -> None:
        """Refuse what cannot be read, or lacks a field of `needed`; raises InvalidJob."""
        ...

    async def fingerprint(self) -> str:
        """A hash of what it holds: equal for the same rows under the same IDs."""
        ...

    def pages(self, skip: int) -> AsyncIterator[Page]:
        """Its rows in order, but for the first `skip`."""
        ...


async def pages_of(rows: Iterator[Row | Malformed], skip: int) -> AsyncIterator[Page]:
    """Rows of a file in pages."""
    left = islice(rows, skip, None)
    while page := list(islice(left, PAGE_ROWS)):
        yield page


def file_fingerprint(path: Path, *told: str) -> str:
    """A hash of a file's bytes, and of what else decides what its rows are."""
    hashed = blake2b(orjson.dumps(told), digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """An input file: CSV or TSV by its suffix, JSON lines otherwise. Can be read many times."""

    path: Path
    id_field: str

    @property
    def is_repeatable(self) -> bool:
        """Its fingerprint says that it is the same file."""
        return True

    @property
    def origin(self) -> str:
        """The file's path."""
        return str(self.path)

    async def fingerprint(self) -> str:
        """A hash of the file's bytes."""
        return file_fingerprint(self.path, self.id_field, self.path.suffix.lower())

    def pages(self, skip: int) -> AsyncIterator[Page]:
        """The file's rows."""
        return pages_of(self.rows(), skip)

    async def check(self, needed: frozenset[str]) -> None:
        """Refuse a file that cannot be read, or whose header lacks a field of `needed`.

        Raises InvalidJob that names the file or the field. Says nothing about JSON lines' fields.
        """
        try:
            with self.path.open("rb") as file:
                start = file.read(4096).removeprefix(_BOM).lstrip()
        except OSError as error:
            raise InvalidJob(
                f"input: {self.path} cannot be read: {error.strerror}", field="input"
            ) from None
        if self.is_csv:
            self._check_header(needed)
        elif start.startswith(b"["):
            raise InvalidJob(
                f"input: {self.path} is a JSON array; give one object a line "
                "(`jq -c '.[]'` makes such a file)",
                field="input",
            )
        elif start[:1] not in {b"", b"{"} and self.path.suffix.lower() not in _JSON_LINES:
            raise InvalidJob(
                f"input: {self.path} holds no JSON lines; CSV, TSV and Parquet are told by the "
                "suffix (.csv, .tsv, .parquet)",
                field="input",
            )

    def rows(self) -> Iterator[Row | Malformed]:
        """Every row in order; blank lines are passed over. Raises OSError if reading fails."""
        return self._csv_rows() if self.is_csv else self._json_rows()

    def where(self, line: int) -> str:
        """`file:line`, as errors name it."""
        return f"{self.path}:{line}"

    @property
    def is_csv(self) -> bool:
        """Whether rows have columns."""
        return self.path.suffix.lower() in _WAYS

    def _json_rows(self) -> Iterator[Row | Malformed]:
        with self.path.open("rb") as file:
            for line, text in enumerate(file, 1):
                text = text.removeprefix(_BOM) if line == 1 else text
                if not text.strip():
                    continue
                try:
                    found = orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    yield Malformed(line, f"not JSON: {error.msg}")
                    continue
                if isinstance(found, dict):
                    yield row_of(line, cast("dict[str, Any]", found), self.id_field)
                else:
                    yield Malformed(line, "not a JSON object")

    def _csv_rows(self) -> Iterator[Row | Malformed]:
        csv.field_size_limit(_CELL_CHARS)
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=_WAYS[self.path.suffix.lower()], strict=True)
            header = next(reader, None) or list[str]()
            while True:
                line = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Malformed(line, f"not CSV: {error}")
                    continue
                if cells:
                    yield self._csv_row(line, header, cells)

    def _csv_row(self, line: int, header: list[str], cells: list[str]) -> Row | Malformed:
        problem = ""
        if len(cells) != len(header):
            problem = f"has {len(cells)} columns where the header has {len(header)}"
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            problem = "not UTF-8"
            cells = [
                cell.encode(errors="surrogateescape").decode(errors="replace") for cell in cells
            ]
        return row_of(line, dict(zip(header, cells, strict=False)), self.id_field, problem)

    def _check_header(self, needed: frozenset[str]) -> None:
        way = _WAYS[self.path.suffix.lower()]
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            try:
                header = next(csv.reader(file, delimiter=way, strict=True), None)
            except csv.Error as error:
                raise InvalidJob(f"input: {self.where(1)}: not CSV: {error}") from None
        if header is None:
            raise InvalidJob(f"input: {self.path} is empty: it lacks a header", field="input")
        for name in sorted(needed | {self.id_field}):
            if header.count(name) != 1:
                why = "is not a column" if name not in header else "is more than one column"
                raise InvalidJob(
                    f"input: {name!r} {why} of {self.path} (columns: {', '.join(header)})",
                    field=name,
                )
