"""The heartbeat's thread: leases last while the event loop is busy."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis import Redis

from penstock_client import Penstock, Settings
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.simulator.server import Simulator
from tests.worker.running import PROVIDER, called, shorten_leases, tickets


async def test_heartbeat_keeps_leases_while_the_event_loop_is_busy(
    penstock: Penstock,
    empty: Settings,
    index: ProviderIndex,
    simulator: Simulator,
    work_for,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_leases(monkeypatch, lease_s=1.5, renew_s=0.3)
    simulator.latency.set("*", latency_ms=500, jitter_ms=0)
    await work_for(PROVIDER, concurrency=10)
    handles = await penstock.submit_many(tickets(10))
    await called(simulator, 10)
    server = Redis.from_url(empty.require_redis())
    until = time.monotonic() + 2.5
    while time.monotonic() < until:  # nothing else runs in this loop meanwhile
        now_ms = server.time()[0] * 1000
        expiries = [
            expiry for _, expiry in server.zrange(index.keys.leases, 0, -1, withscores=True)
        ]
        assert len(expiries) == 10
        assert min(expiries) > now_ms
        time.sleep(0.05)
    server.close()
    results = await asyncio.gather(*(handle.result(timeout_s=10) for handle in handles))
    assert {(result.ok, result.attempts) for result in results} == {(True, 1)}
    assert simulator.stats()["calls"] == 10
