"""What a claim costs Valkey, whatever is queued, in flight, limited or parked.

Each claim stands between two readings of the server's own CPU clock, and what two readings cost by
themselves is taken off, so other work on the machine does not count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.figures import Figure, percentile
from benchmarks.stand import Stand
from benchmarks.synthetic import Bench, bench, new_job
from penstock_client.ledger import NewJob
from penstock_worker.admission.index import Again, Drop, Limit
from penstock_worker.leases import Lease

_DEPTHS, _DEPTHS_FULL = (1_000, 100_000), (1_000, 100_000, 1_000_000)
_IN_FLIGHT = (10, 500, 5_000)
#: As many as a worker claims at once.
_BATCH = 50
_ROUNDS, _ROUNDS_FULL = 60, 200
#: Jobs are spread over so many workspaces, which take turns.
_WORKSPACES = 8
_PARKED, _JOBS_EACH = 5_000, 4
_SPAN_S, _SPAN_FULL_S = 5, 20
_MINUTE_MS = 60_000
#: A limit that was set begins as if used up; by then it has its burst.
_SETTLE_S = 0.4
#: Limits that do not bind, so that a claim looks at all of them and passes.
_WIDE = (
    Limit("provider", "requests", _MINUTE_MS, 10**9),
    Limit("provider", "tokens", _MINUTE_MS, 10**12),
    Limit("provider", "concurrency", 0, 10**6),
)
#: Limits that bind: 100 jobs a second, and 40 at the same time beside what interactive work keeps.
_BY_THE_MINUTE = Limit("model:full", "requests", _MINUTE_MS, 6_000)
_AT_ONCE, _HELD = Limit("model:full", "concurrency", 0, 50), 38


@dataclass(frozen=True, slots=True)
class Cost:
    """What claims cost: Valkey's CPU and the round trip, both in µs for each job or claim."""

    cpu_us: float | None
    round_trip_us: float


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """CPU and round trip of a claim over depths, leases and limits; and beside parked flows."""
    rounds, span_s = (_ROUNDS_FULL, _SPAN_FULL_S) if full else (_ROUNDS, _SPAN_S)
    costs: dict[tuple[bool, int, int], Cost] = {}
    rate = 0.0
    for depth in _DEPTHS_FULL if full else _DEPTHS:
        async with bench(stand, f"bench-claims-{depth}") as on:
            held, queued = 0, 0
            for in_flight in _IN_FLIGHT:
                await on.push(_jobs(on, depth + in_flight - held - queued))
                await _hold(on, in_flight - held)
                held, queued = in_flight, depth
                for limited in (False, True):
                    await on.index.set_limits(_WIDE if limited else ())
                    await asyncio.sleep(_SETTLE_S)
                    costs[limited, depth, in_flight] = await _cost(on, rounds)
            rate = await _rate(on, 2 * rounds)
    return [
        *_grid(costs),
        Figure(bench="claims", name="claimed and released, batches of 50", value=rate, unit="/s"),
        *await _beside_parked(stand, rounds),
        *await _at_one_limit(stand, _BY_THE_MINUTE, hold=0, span_s=span_s),
        *await _at_one_limit(stand, _AT_ONCE, hold=_HELD, span_s=span_s),
    ]


def _jobs(on: Bench, count: int) -> Iterator[NewJob]:
    return (new_job(on.index.provider, f"workspace-{n % _WORKSPACES}") for n in range(count))


async def _hold(on: Bench, count: int) -> None:
    while count > 0:
        count -= len((await on.index.claim(min(500, count))).leases)


async def _cost(on: Bench, rounds: int) -> Cost:
    """The median claim of a batch, for each of its jobs. They queue again at their places."""
    cpu_us: list[float | None] = []
    took_us: list[float] = []
    for _ in range(rounds):
        cost, leases = await _measured_claim(on)
        cpu_us.append(None if cost.cpu_us is None else cost.cpu_us / len(leases))
        took_us.append(cost.round_trip_us / len(leases))
        await on.index.release([Again(lease, 0, lease.flow, lease.entry) for lease in leases])
    return Cost(_middle(cpu_us), median(took_us))


async def _measured_claim(on: Bench) -> tuple[Cost, Sequence[Lease]]:
    earlier, before = await on.cpu_us(), await on.cpu_us()
    began = time.perf_counter()
    claimed = await on.index.claim(_BATCH)
    took_us = (time.perf_counter() - began) * 1e6
    after = await on.cpu_us()
    if earlier is None or before is None or after is None:
        return Cost(None, took_us), claimed.leases
    return Cost((after - before) - (before - earlier), took_us), claimed.leases


async def _rate(on: Bench, rounds: int) -> float:
    """Jobs claimed and released a second, one batch after the other."""
    count, began = 0, time.perf_counter()
    for _ in range(rounds):
        leases = (await on.index.claim(_BATCH)).leases
        await on.index.release([Again(lease, 0, lease.flow, lease.entry) for lease in leases])
        count += len(leases)
    return count / (time.perf_counter() - began)


async def _beside_parked(stand: Stand, rounds: int) -> list[Figure]:
    """Claims of a free model's jobs, before and after thousands wait at another's limit."""
    async with bench(stand, "bench-claims-beside") as on:
        await on.index.set_limits([Limit("model:full", "requests", 24 * 60 * _MINUTE_MS, 1)])
        await on.push(_jobs(on, 1_000))
        alone = await _cost(on, rounds)
        await _park(on, model="full")
        beside = await _cost(on, rounds)
    return [
        _figure(f"claim of 50 beside {_PARKED:,} parked flows, CPU", beside.cpu_us, "µs/job"),
        _figure("  the same / without them", _over(beside.cpu_us, alone.cpu_us), "x", goal=1.3),
    ]


async def _park(on: Bench, *, model: str) -> None:
    """Queue many workspaces' jobs and claim until all of them wait at their model's limit."""
    await on.push(
        new_job(on.index.provider, f"parked-{n % _PARKED}", model=model)
        for n in range(_PARKED * _JOBS_EACH)
    )
    while await on.redis.zcard(f"{on.index.keys.base}bturns") > _WORKSPACES:
        leases = (await on.index.claim(_BATCH)).leases
        await on.index.release([Again(lease, 0, lease.flow, lease.entry) for lease in leases])


async def _at_one_limit(stand: Stand, limit: Limit, *, hold: int, span_s: float) -> list[Figure]:
    """Thousands wait at a limit; a worker claims on time, and gives back all leases but `hold`."""
    async with bench(stand, f"bench-claims-{limit.unit}") as on:
        await on.index.set_limits([limit])
        await _park(on, model="full")
        costs: list[Cost] = []
        held: list[Lease] = []
        claimed, began = 0, time.perf_counter()
        while time.perf_counter() - began < span_s:
            cost, leases = await _measured_claim(on)
            claimed += len(leases)
            costs.append(cost)
            held += leases
            over = max(0, len(held) - hold)
            ended, held = held[:over], held[over:]
            await on.index.release([Drop(lease) for lease in ended])
            await asyncio.sleep(0.01)
        took_s = time.perf_counter() - began
    cpu_us = [cost.cpu_us for cost in costs if cost.cpu_us is not None]
    at = f"claim, {_PARKED:,} flows at a limit of {limit.unit}, CPU"
    return [
        _figure(f"{at}, mean", fmean(cpu_us) if cpu_us else None, "µs", goal=1000),
        _figure(f"{at}, p99", percentile(cpu_us, 0.99) if cpu_us else None, "µs"),
        _figure("  jobs claimed meanwhile", claimed / took_s, "/s"),
    ]


def _grid(costs: dict[tuple[bool, int, int], Cost]) -> list[Figure]:
    figures: list[Figure] = []
    for limited in (False, True):
        of_kind = {key: cost for key, cost in costs.items() if key[0] is limited}
        limits = "3 limits" if limited else "no limits"
        for (_, depth, in_flight), cost in of_kind.items():
            at = f"{limits}, {depth:,} queued, {in_flight:,} in flight"
            figures += [
                _figure(f"claim of 50, CPU, {at}", cost.cpu_us, "µs/job"),
                _figure("  round trip", cost.round_trip_us, "µs/job"),
            ]
        known = [cost.cpu_us for cost in of_kind.values() if cost.cpu_us is not None]
        ratio = max(known) / min(known) if known else None
        figures.append(_figure(f"largest / smallest CPU, {limits}", ratio, "x", goal=1.3))
    return figures


def _figure(name: str, value: float | None, unit: str, *, goal: float | None = None) -> Figure:
    return Figure(bench="claims", name=name, value=value, unit=unit, goal=goal)


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _over(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other
