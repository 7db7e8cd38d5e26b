"""Pure: rows of usage as CSV (RFC 4180) and JSON lines. Times are UTC and ISO 8601.

Tags are free text that a spreadsheet would run as a formula when it begins like one; in CSV such
cells begin with an apostrophe, which spreadsheets do not show.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, cast

import orjson

from penstock_client.usage_rows import CallRow, UsageRow, checked_by

Format = Literal["csv", "jsonl"]

#: What begins a formula, also behind what spreadsheets strip. Source:
#: https://owasp.org/www-community/attacks/CSV_Injection (2026-11-21)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FIGURES = (
    *(field.name for field in fields(UsageRow) if field.name != "group"),
    "total_tokens",
    "mean_duration_ms",
)


def summary_columns(by: Sequence[str]) -> tuple[str, ...]:
    """The columns of exported sums."""
    return (*checked_by(by), *_FIGURES)


def call_columns() -> tuple[str, ...]:
    """The columns of exported calls."""
    return tuple(field.name for field in fields(CallRow))


async def exported(
    rows: AsyncIterator[UsageRow] | AsyncIterator[CallRow],
    *,
    columns: Sequence[str],
    form: Format,
) -> AsyncIterator[bytes]:
    """The lines of an export, UTF-8 and with their ends; CSV begins with a header."""
    if form == "csv":
        yield _csv_line(columns)
    async for row in rows:
        data = row.as_data()
        yield (
            _csv_line([csv_cell(data[name]) for name in columns]) if form == "csv" else _json(data)
        )


def csv_cell(value: object) -> str:
    """A value as the text of a cell; None is empty."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return _utc(value)
        case str():
            return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
        case _:
            return str(value)


def plain_data(data: Any) -> Any:
    """Rows as JSON has them: money as a decimal string, times in UTC."""
    match data:
        case dict():
            fields = cast("dict[str, Any]", data)
            return {name: plain_data(value) for name, value in fields.items()}
        case list():
            return [plain_data(value) for value in cast("list[Any]", data)]
        case Decimal():
            return f"{data:f}"
        case datetime():
            return _utc(data)
        case _:
            return data


def _json(data: dict[str, Any]) -> bytes:
    return orjson.dumps(plain_data(data)) + b"\n"


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8", "replace")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
