"""Deliveries on real servers, a receiver on loopback, and a courier that tests move by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from penstock_client import Penstock, Settings
from penstock_client.sealing import sealing_id
from penstock_client.webhooks.rows import Delivery
from penstock_worker.keyring import Keyring, PrivateKey
from penstock_worker.webhooks.courier import Courier
from penstock_worker.webhooks.sending import Sending
from tests.webhooks.receiver import Receiver


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that let webhooks lead to loopback."""
    return settings.model_copy(update={"webhook_private": "allow"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@pytest.fixture
async def db(empty: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty.require_database())
    yield connection
    await connection.close()


@pytest.fixture
async def private_key(penstock: Penstock, db: asyncpg.Connection) -> PrivateKey:
    """A workers' key, published as a worker does."""
    key = PrivateKey.new()
    await db.execute(
        "insert into penstock.sealing_keys (id, public_key) values ($1, $2)",
        sealing_id(key.public),
        key.public,
    )
    return key


@dataclass
class Deliveries:
    """Notes ends of made-up jobs, and moves a courier through them."""

    penstock: Penstock
    db: asyncpg.Connection
    courier: Courier

    async def note(
        self, subject: object, url: str, *, workspace: str = "acme", kind: str = "job.failed"
    ) -> None:
        await self.db.execute(
            'select penstock.note_delivery($1, $2, $3, $4, \'{"status": "failed"}\')',
            workspace,
            subject,
            kind,
            url,
        )

    async def turn(self) -> None:
        """One look of the courier, and all that it began."""
        await self.courier.turn()
        await self.courier.idle()

    async def all(self) -> list[Delivery]:
        """Oldest first."""
        return (await self.penstock.webhooks.list("acme", limit=1000))[::-1]

    async def make_due(self) -> None:
        """Let the time until the next attempts pass."""
        await self.db.execute(
            "update penstock.deliveries set next_at = now() where next_at is not null"
        )


@pytest.fixture
async def secret(penstock: Penstock, private_key: PrivateKey) -> str:
    return (await penstock.webhooks.make_secret("acme")).secret


@pytest.fixture
async def deliveries(
    penstock: Penstock,
    settings: Settings,
    db: asyncpg.Connection,
    private_key: PrivateKey,
    secret: str,
) -> AsyncIterator[Deliveries]:
    sending = Sending(private="allow", timeout_s=0.5)
    courier = Courier(
        penstock, settings, Keyring([private_key]), sending=sending, jitter=lambda: 0.0
    )
    yield Deliveries(penstock, db, courier)
    await courier.close()
