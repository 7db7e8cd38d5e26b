"""A ledger on empty tables with the workspace `acme`, and a connection to look behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger


@pytest.fixture
async def ledger(empty: Settings) -> AsyncIterator[Ledger]:
    """A ledger that has the workspace `acme`, without a budget."""
    opened = await Ledger.connect(empty)
    await opened.create_workspace("acme", routing={}, monthly_tokens=None)
    yield opened
    await opened.close()


@pytest.fixture
async def db(empty: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(empty.require_database())
    yield connection
    await connection.close()
