"""Migrations: forward only, once each, from as many places at once as there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from penstock_client import Settings
from penstock_client.ledger import migrate, pending_migrations


@pytest.fixture
async def fresh(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """How to connect to a database without tables."""
    url = settings.require_database()
    server = await asyncpg.connect(url)
    await server.execute("create database fresh")
    yield {"dsn": url, "database": "fresh"}
    await server.execute("drop database fresh with (force)")
    await server.close()


async def test_migrate_twice_applies_each_once(fresh: dict[str, str]) -> None:
    connection = await asyncpg.connect(**fresh)
    missing = await pending_migrations(connection)
    assert await migrate(connection) == missing != []
    assert await migrate(connection) == []
    assert await pending_migrations(connection) == []
    await connection.close()


async def test_migrate_concurrently_applies_each_once(fresh: dict[str, str]) -> None:
    connections = [await asyncpg.connect(**fresh) for _ in range(4)]
    missing = await pending_migrations(connections[0])
    done = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(name for names in done for name in names) == missing
    for connection in connections:
        await connection.close()


async def test_migrate_rolls_back_a_migration_that_fails(fresh: dict[str, str]) -> None:
    connection = await asyncpg.connect(**fresh)
    await connection.execute("create schema penstock; create view penstock.attempts as select 1")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection)
    assert await connection.fetchval("select to_regclass('penstock.jobs')") is None
    assert await pending_migrations(connection) != []
    await connection.close()
