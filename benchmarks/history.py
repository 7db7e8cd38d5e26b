"""A long history to read from: 1,000,000 settled calls of 60 days, in one workspace.

They are written by statements of their own, as settled attempts stand in the ledger.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.stand import Stand

CALLS: Final = 1_000_000
DAYS: Final = 60
WORKSPACE: Final = "bench-history"
_TABLES = ("jobs", "attempts", "usage_hours")
_HERE = Path(__file__).parent


@asynccontextmanager
async def history(stand: Stand) -> AsyncGenerator[asyncpg.Connection]:
    """Fills the ledger and gives a connection to it; the ledger is empty again afterwards."""
    connection = await asyncpg.connect(stand.settings.require_database())
    try:
        async with stand.client() as penstock:
            await penstock.workspaces.create(WORKSPACE, monthly_tokens=None)
        await _fill(connection)
        yield connection
    finally:
        await _clear(connection)
        await connection.close()


async def _fill(connection: asyncpg.Connection) -> None:
    weeks = DAYS // 7 + 3
    since = datetime.now(UTC) - timedelta(days=DAYS)
    await connection.fetchval("select penstock.ensure_partitions($1, $2)", since, weeks)
    fill = (_HERE / "usage_ledger.sql").read_text("utf-8")
    await connection.execute(fill, CALLS, WORKSPACE, DAYS, timeout=600)
    sum_up = (_HERE / "usage_hours.sql").read_text("utf-8")
    await connection.execute(sum_up, WORKSPACE, timeout=600)
    for table in _TABLES:
        await connection.execute(f"vacuum analyze penstock.{table}", timeout=600)


async def _clear(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "truncate penstock.jobs, penstock.payloads, penstock.answers, penstock.attempts, "
        "penstock.submissions, penstock.usage_hours"
    )
