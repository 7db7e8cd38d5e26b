"""Workers and stewards in this process, and their servers stopped and started under them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from penstock_client import Classify, Penstock
from penstock_client.ledger import Ledger
from penstock_schemas.pricing import TokenPrices
from penstock_worker import compose, heartbeat, leases, reconcile, steward
from penstock_worker.admission import index as index_module
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.attempts import Attempt, open_attempts
from penstock_worker.embedded import EmbeddedStack

PROVIDER = "fireworks"


def tickets(count: int, **fields: Any) -> list[Classify]:
    """Jobs for the simulated provider."""
    return [
        Classify(workspace="acme", text=f"refund {n}", labels=("refund", "praise"), **fields)
        for n in range(count)
    ]


class Servers:
    """The stack's servers, from a test's event loop."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        running: Any = stack._running
        self._loop = running.postgres._watcher.get_loop()

    async def stop_postgres(self) -> None:
        """Stop it until it is started again."""
        await self._there(self._stack.stop_postgres())

    async def start_postgres(self) -> None:
        """Start it; returns once it answers."""
        await self._there(self._stack.start_postgres())

    def kill(self, name: str) -> None:
        """SIGKILL for `redis` or `postgres`, which is then started again."""
        pid = self._stack.pids[name]
        assert pid
        os.kill(pid, signal.SIGKILL)

    async def _there(self, change: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(change, self._loop))


def shorten_leases(monkeypatch: Any, *, lease_s: float = 3.0, renew_s: float = 0.5) -> None:
    """Leases of `lease_s` for everything that starts from now on."""
    for module in (leases, index_module, heartbeat, steward):
        monkeypatch.setattr(module, "LEASE_S", lease_s)
    monkeypatch.setattr(heartbeat, "RENEW_S", renew_s)
    monkeypatch.setattr(leases, "MARGIN_S", lease_s / 8)
    monkeypatch.setattr(reconcile, "_DOUBT_MS", int(lease_s * 1000))


def catch_worker(monkeypatch: Any) -> list[Any]:
    """The workers that are composed from now on."""
    caught: list[Any] = []

    class Caught(compose.ProviderWorker):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            caught.append(self)

    monkeypatch.setattr(compose, "ProviderWorker", Caught)
    return caught


async def start_and_vanish(
    index: ProviderIndex, ledger: Ledger, count: int = 1
) -> Sequence[Attempt]:
    """Claim and open as a worker does that is then lost: nothing renews, nothing settles."""
    claimed = (await index.claim(count)).leases
    assert len(claimed) == count
    opened = await open_attempts(
        ledger,
        claimed,
        provider=index.provider,
        worker="lost",
        prices={lease.flow.model: TokenPrices(Decimal("0.1"), Decimal("0.1")) for lease in claimed},
    )
    return opened.attempts


async def attempts_of(penstock: Penstock, job_id: str) -> list[asyncpg.Record]:
    """A job's attempts, in order."""
    return await penstock.ledger.attempts(UUID(job_id))


async def called(simulator: Any, count: int) -> None:
    """Wait until that many calls are in flight."""
    async with asyncio.timeout(15):
        while _in_flight(simulator) < count:
            await asyncio.sleep(0.01)


def _in_flight(simulator: Any) -> int:
    stats = simulator.stats()["by_provider"].get(PROVIDER)
    return stats["in_flight"] if stats else 0
