"""Submits that are part of the caller's transaction, that are made once, and that tell how far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from penstock_client import Generate, Penstock, Progress
from penstock_client import client as module


@pytest.fixture
async def orders(penstock: Penstock) -> AsyncIterator[asyncpg.Connection]:
    """The producer's own connection and its own table."""
    connection = await asyncpg.connect(penstock.settings.require_database())
    await connection.execute("create temporary table orders (message text)")
    yield connection
    await connection.close()


def job(**fields: Any) -> Generate:
    return Generate(workspace="acme", prompt="hi", **fields)


async def unindexed(connection: asyncpg.Connection) -> int:
    """Submits that a steward would still have to put into the index."""
    return await connection.fetchval("select count(*) from penstock.submissions")


async def test_transactional_submit_is_there_exactly_with_the_rows_beside_it(
    penstock: Penstock, orders: asyncpg.Connection
) -> None:
    transaction = orders.transaction()
    await transaction.start()
    await orders.execute("insert into orders values ('lost')")
    await penstock.submit(job(), connection=orders)
    await transaction.rollback()
    async with orders.transaction():
        await orders.execute("insert into orders values ('kept')")
        handle = await penstock.submit(job(), connection=orders)
        assert await penstock.jobs("acme") == []  # nobody else sees it yet
    assert [row.job_id for row in await penstock.jobs("acme")] == [handle.job_id]
    assert await orders.fetchval("select array_agg(message) from orders") == ["kept"]


async def test_transactional_submit_is_indexed_at_once_when_it_is_enqueued_after_the_commit(
    penstock: Penstock, orders: asyncpg.Connection
) -> None:
    placed = await penstock.place(job())
    async with orders.transaction():
        await penstock.record([placed], connection=orders)
    assert await unindexed(orders) == 1
    await penstock.enqueue([placed])
    async with asyncio.timeout(20):
        while await unindexed(orders):
            await asyncio.sleep(0.01)


async def test_transactional_submit_with_a_key_gives_the_first_job_later_on(
    penstock: Penstock, orders: asyncpg.Connection
) -> None:
    async with orders.transaction():
        first = await penstock.submit(job(idempotency_key="k"), connection=orders)
    async with orders.transaction():
        again = await penstock.submit(job(idempotency_key="k"), connection=orders)
    assert (again.job_id, again.provider) == (first.job_id, None)
    assert len(await penstock.jobs("acme")) == 1


async def test_key_of_a_transaction_that_was_rolled_back_is_free(
    penstock: Penstock, orders: asyncpg.Connection
) -> None:
    transaction = orders.transaction()
    await transaction.start()
    lost = await penstock.submit(job(idempotency_key="k"), connection=orders)
    await transaction.rollback()
    kept = await penstock.submit(job(idempotency_key="k"))
    assert kept.provider is not None
    assert [row.job_id for row in await penstock.jobs("acme")] == [kept.job_id] != [lost.job_id]


async def test_submit_of_many_tells_after_each_statement(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SUBMIT_CHUNK", 2)
    told: list[Progress] = []
    await penstock.submit_many([job() for _ in range(5)], on_progress=told.append)
    assert told == [Progress(submitted=2), Progress(submitted=4), Progress(submitted=5)]
