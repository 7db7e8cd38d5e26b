"""Where a command puts a backfill's answers: a file, or a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from penstock_client.backfill.exporting import Exported
    from penstock_client.backfill.writing import Written


@dataclass(frozen=True)
class Output:
    """A file, or a table of a database."""

    path: Path | None
    table: str | None
    url: str | None

    @classmethod
    def of(
        cls, path: Path | None, table: str | None, url: str | None, *, source: Path | None = None
    ) -> Output:
        """Check what was given; raises InvalidJob that names the option."""
        from penstock_client.backfill.sql import check_table
        from penstock_client.backfill.writing import check_output
        from penstock_schemas.errors import InvalidJob

        if (path is None) == (table is None):
            raise InvalidJob("output: give --output or --to-table, one of them", field="output")
        if path is not None:
            return cls(check_output(path, source=source), None, None)
        if url is None:
            told = "sql-url: --to-table needs the database's URL (or PENSTOCK_SQL_URL)"
            raise InvalidJob(told, field="sql-url")
        check_table(table or "")
        return cls(None, table, url)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.path) if self.path is not None else f"table {self.table}"

    async def write(
        self,
        rows: AsyncIterator[Exported],
        *,
        as_text: bool,
        on_rows: Callable[[int], object] | None = None,
    ) -> Written:
        """Write all rows; raises InvalidJob, Unavailable."""
        from penstock_client.backfill.writing import write_file, write_table

        if self.path is not None:
            return await write_file(rows, self.path, as_text=as_text, on_rows=on_rows)
        return await write_table(rows, self.url or "", self.table or "", as_text=as_text)
