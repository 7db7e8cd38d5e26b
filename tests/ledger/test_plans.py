"""Plans of the hot statements when statistics are as wrong as they get: taken while empty.

Autovacuum is off here, so nothing corrects them, and each connection has already planned its
statements when there were a few rows. That is what a first bulk submit meets.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger, NewJob
from penstock_client.ledger.queries import query
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import PROVIDER, lease_of, new_jobs, settlement_of

pytestmark = pytest.mark.slow

BATCH = 500
BACKLOG = 150_000
HOT = ("jobs", "attempts", "payloads")


class _Through:
    """A ledger that runs everything on one connection, and keeps the last arguments."""

    def __init__(self, ledger: Ledger, connection: Any) -> None:
        self._ledger = ledger
        self.connection = connection
        self.args: tuple[Any, ...] = ()

    async def fetch(self, name: str, *args: Any) -> list[Any]:
        self.args = args
        return await self._ledger.fetch(name, *args, connection=self.connection)


@pytest.fixture
async def through(ledger: Ledger, db: asyncpg.Connection) -> AsyncIterator[_Through]:
    """One of a ledger's connections to tables whose statistics say that they are empty."""
    hot = await db.fetch(
        "select oid::regclass::text from pg_class where relkind = 'r' "
        "and relnamespace = 'penstock'::regnamespace and relname ~ '^(jobs|attempts|payloads)'"
    )
    tables = [row[0] for row in hot]
    for table in tables:
        await db.execute(f"alter table {table} set (autovacuum_enabled = off); analyze {table}")
    async with ledger.pool.acquire() as connection:
        yield _Through(ledger, connection)
    for table in tables:
        await db.execute(f"alter table {table} reset (autovacuum_enabled)")


async def _open(through: Any, jobs: Sequence[NewJob], fence: int = 1) -> None:
    leases = [lease_of(job, fence, lapsed=None if fence == 1 else fence - 1) for job in jobs]
    opened = (await open_attempts(through, leases, provider=PROVIDER, worker="w")).attempts
    assert len(opened) == len(jobs)


async def _settle(through: Any, jobs: Sequence[NewJob]) -> None:
    moved = await settle(through, [settlement_of(job, number=2, fence=2) for job in jobs])
    assert len(moved) == len(jobs)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


async def _read_whole(through: _Through, name: str) -> list[str]:
    """Hot tables with rows that a fresh plan of the statement reads from end to end."""
    found = await through.connection.fetchval(f"explain (format json) {query(name)}", *through.args)
    tables = {
        node["Relation Name"]
        for node in _nodes(json.loads(found)[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith(HOT)
    }
    size = "select pg_relation_size(('penstock.' || $1)::regclass)"
    return [table for table in tables if await through.connection.fetchval(size, table) > 0]


async def _scanned_rows(through: _Through) -> int:
    """Rows that this transaction has read in sequential scans of hot tables."""
    return await through.connection.fetchval(
        "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_xact_user_tables "
        "where schemaname = 'penstock' and relname ~ '^(jobs|attempts|payloads)'"
    )


async def test_hot_statements_read_jobs_and_attempts_by_index(
    ledger: Ledger, through: _Through
) -> None:
    for _ in range(8):  # enough for Postgres to settle on a generic plan
        few = new_jobs(2)
        await ledger.submit(few)
        await _open(through, few)
        await _open(through, few, fence=2)
        await _settle(through, few)
    jobs = new_jobs(BACKLOG)
    for first in range(0, BACKLOG, 10_000):
        await ledger.submit(jobs[first : first + 10_000])
    for first in range(0, 20_000, 2000):
        await _open(through, jobs[first : first + 2000])
    batch = jobs[10_000 : 10_000 + BATCH]
    async with through.connection.transaction():
        before = await _scanned_rows(through)
        await _open(through, batch, fence=2)
        assert await _read_whole(through, "open_attempts") == []
        await _settle(through, batch)
        assert await _read_whole(through, "settle") == []
        assert await _scanned_rows(through) == before
