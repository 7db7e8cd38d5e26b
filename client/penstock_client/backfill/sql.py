"""A query on Postgres as input, and a table there as output."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from penstock_client.backfill.parquet import flat, with_plain_id
from penstock_client.backfill.source import PAGE_ROWS, Page, row_of
from penstock_client.connections import POSTGRES_AWAY
from penstock_schemas.errors import InvalidJob, Unavailable

_CONNECT_S = 10.0
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


@dataclass(frozen=True, slots=True)
class SqlSource:
    """What a query gives; its lines are its rows from 1.

    It is read in one snapshot by a cursor. Where it is to be read again, it should have an order.
    """

    url: str
    query: str
    id_field: str

    @property
    def is_repeatable(self) -> bool:
        """Its table may have changed."""
        return False

    @property
    def origin(self) -> str:
        """The query."""
        return f"sql: {' '.join(self.query.split())[:200]}"

    def where(self, line: int) -> str:
        """The row's place in what the query gives."""
        return f"row {line:,} of the query"

    async def fingerprint(self) -> str:
        """A hash of the query and of the database that it is put to."""
        parts = urlsplit(self.url)
        told = f"{parts.hostname}:{parts.port}{parts.path}\n{self.query}\n{self.id_field}"
        return blake2b(told.encode(), digest_size=16).hexdigest()

    async def check(self, needed: frozenset[str]) -> None:
        """Refuse a query that is none, or lacks a column; raises InvalidJob, Unavailable."""
        connection = await _connect(self.url)
        try:
            prepared = await connection.prepare(self.query)
            names = [attribute.name for attribute in prepared.get_attributes()]
        except asyncpg.PostgresError as error:
            raise InvalidJob(f"sql: the query cannot be run: {error}", field="sql") from None
        finally:
            await connection.close(timeout=_CONNECT_S)
        for name in sorted(needed | {self.id_field}):
            if names.count(name) != 1:
                why = "is not a column" if name not in names else "is more than one column"
                raise InvalidJob(
                    f"sql: {name!r} {why} of the query (columns: {', '.join(names)})", field=name
                )

    async def pages(self, skip: int) -> AsyncIterator[Page]:
        """The query's rows."""
        connection = await _connect(self.url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                cursor = await connection.cursor(self.query)
                if skip:
                    await cursor.forward(skip)
                line = skip
                while records := await cursor.fetch(PAGE_ROWS):
                    rows = [with_plain_id(dict(record), self.id_field) for record in records]
                    yield [row_of(line + at, row, self.id_field) for at, row in enumerate(rows, 1)]
                    line += len(rows)
        finally:
            await connection.close(timeout=_CONNECT_S)


class TableWriter:
    """Answers into a table, all in one transaction; made where it is missing, else emptied."""

    def __init__(self, connection: Any, table: str, *, as_text: bool) -> None:
        self._connection = connection
        self._transaction = connection.transaction()
        self._schema, _, self._name = table.rpartition(".")
        self._said = "text" if as_text else "output"

    @classmethod
    async def open(cls, url: str, table: str, *, as_text: bool) -> TableWriter:
        """Begin; raises InvalidJob for a table that is something else, and Unavailable."""
        check_table(table)
        writer = cls(await _connect(url), table, as_text=as_text)
        await writer.begin()
        return writer

    async def begin(self) -> None:
        """Make or empty the table."""
        await self._transaction.start()
        try:
            for statement in _made(self._table, self._said):
                await self._connection.execute(statement)
        except asyncpg.PostgresError as error:
            await self.abort()
            told = f"to-table: {self._table} cannot take the answers: {error}"
            raise InvalidJob(told, field="to-table") from None

    @property
    def _table(self) -> str:
        return f"{self._schema}.{self._name}" if self._schema else self._name

    async def write(self, answers: Sequence[dict[str, Any]]) -> None:
        """Add answers."""
        rows = [tuple(flat(answer).values()) for answer in answers]
        await self._connection.copy_records_to_table(
            self._name, schema_name=self._schema or None, records=rows, columns=_names(self._said)
        )

    async def close(self) -> None:
        """Commit."""
        await self._transaction.commit()
        await self._connection.close(timeout=_CONNECT_S)

    async def abort(self) -> None:
        """Leave the table as it was."""
        await self._transaction.rollback()
        await self._connection.close(timeout=_CONNECT_S)


def check_table(table: str) -> None:
    """Refuse what is no plain name of a table; raises InvalidJob."""
    if not _TABLE.fullmatch(table):
        told = f"to-table: {table!r} is no plain name such as answers or public.answers"
        raise InvalidJob(told, field="to-table")


def _names(said: str) -> list[str]:
    return [column.split()[0] for column in _COLUMNS.format(said=said).split(", ")]


_COLUMNS = (
    "id text primary key, {said} text, model text, provider text, input_tokens bigint, "
    "output_tokens bigint, cost_usd double precision, attempts bigint, job_id text, "
    "error_kind text, error_message text, simulated boolean"
)


def _made(table: str, said: str) -> tuple[str, ...]:
    """Identifiers cannot be parameters: `check_table` has refused all but plain names."""
    return (
        f"create table if not exists {table} ({_COLUMNS.format(said=said)})",
        f"delete from {table}",  # noqa: S608
    )


async def _connect(url: str) -> Any:
    try:
        return await asyncpg.connect(url, timeout=_CONNECT_S)
    except (ValueError, asyncpg.InterfaceError) as error:
        raise InvalidJob(f"sql-url: {error}", field="sql-url") from None
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
        raise InvalidJob(f"sql-url: {error}", field="sql-url") from None
    except POSTGRES_AWAY as error:
        detail = str(error) or type(error).__name__
        raise Unavailable("Postgres", detail, variable="--sql-url") from None
