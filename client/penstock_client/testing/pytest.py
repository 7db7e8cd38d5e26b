"""The fixture `fake_penstock`, for those who ask for it.

In a `conftest.py`: `pytest_plugins = ["penstock_client.testing.pytest"]`. Needs the extra
`testing`, which is pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from penstock_client.testing.fake import FakePenstock


@pytest_asyncio.fixture
async def fake_penstock() -> AsyncIterator[FakePenstock]:
    """A Penstock in the process that gives simulated answers; set its `answers` and `fails`."""
    async with FakePenstock() as penstock:
        yield penstock
