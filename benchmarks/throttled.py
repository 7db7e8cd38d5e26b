"""Whether a workspace that runs into its own limit slows its neighbour. Whole processes, simulated.

Calls are long enough for the slots to be what bounds throughput, so that a slot which waits for
the limit would show.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.figures import Figure
from benchmarks.pickup import OTHER, PROVIDER, STEERED_S, Calls, Floor, running_worker
from benchmarks.stand import Stand
from penstock_schemas.limits import LimitSetting

_BIG = "big"
_ROWS, _PER_MINUTE = 50_000, 60
_LIMIT = LimitSetting(
    provider=PROVIDER, scope=f"workspace:{_BIG}", unit="requests", window_s=60, amount=_PER_MINUTE
)
_CALLS = Calls(150, 200)
#: The neighbour's jobs, more than can end meanwhile.
_BACKLOG, _BACKLOG_FULL = 10_000, 20_000
_SPAN_S, _SPAN_FULL_S = 7.0, 20.0

_DONE = "select count(*) from penstock.jobs where workspace = $1 and finished_at is not null"


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """A workspace's throughput, before and after another queues much under a small limit."""
    span_s = _SPAN_FULL_S if full else _SPAN_S
    async with running_worker(stand, _BIG, OTHER) as floor:
        steering = floor.penstock.ledger.steering
        await steering.set_limits([_LIMIT])
        try:
            await floor.take(_CALLS)
            await floor.queue(_BACKLOG_FULL if full else _BACKLOG, OTHER, "bulk")
            alone = await _rate(floor, span_s)
            await floor.queue(_ROWS, _BIG, "bulk")
            beside = await _rate(floor, span_s)
            done = await floor.ledger.fetchval(_DONE, _BIG)
        finally:
            await steering.unset_limits(PROVIDER, _LIMIT.scope)
    name = f"beside {_ROWS:,} rows under {_PER_MINUTE} a minute"
    return [
        _figure("throughput alone", alone, "/s"),
        _figure(f"throughput {name}", beside, "/s"),
        Figure(
            bench="throttled",
            name="  beside / alone",
            value=beside / alone,
            unit="x",
            goal=0.95,
            within="at least",
        ),
        _figure("  jobs of the throttled workspace meanwhile", done, ""),
    ]


async def _rate(floor: Floor, span_s: float) -> float:
    """The neighbour's jobs that end in a second, once things have settled."""
    await asyncio.sleep(STEERED_S)
    before, began = await floor.ledger.fetchval(_DONE, OTHER), time.perf_counter()
    await asyncio.sleep(span_s)
    after = await floor.ledger.fetchval(_DONE, OTHER)
    return (after - before) / (time.perf_counter() - began)


def _figure(name: str, value: float, unit: str) -> Figure:
    return Figure(bench="throttled", name=name, value=value, unit=unit)
