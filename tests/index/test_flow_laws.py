"""Whatever happens in whatever order, no limit is overrun and no concurrency leaks.

Schedules of pushes, claims, releases, crashes and clock jumps are drawn at random and run on a real
server whose clock the test sets.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_worker.admission.index import Again, Done, Drop, Limit, ProviderIndex, Used, Verdict
from penstock_worker.leases import Lease
from tests.index.clocked import clocked_index
from tests.ledger.making import new_job

MINUTE_MS = 60_000
RATE, TOKENS, AT_ONCE, AT_ONCE_EACH = 600, 60_000, 12, 4
BURST_MS, LARGEST = 300, 900
LEASE_MS = 15_000


class Schedule:
    """One random run: what was started when, in the server's own time."""

    def __init__(self, seed: int, index: ProviderIndex, broker: Broker, clock: Any) -> None:
        self.chance = random.Random(seed)
        self.index, self.broker, self.clock = index, broker, clock
        self.leased: list[Lease] = []
        self.spans: list[list[tuple[int, int]]] = [[]]  # starts between two jumps of the clock

    async def step(self) -> None:
        actions = [self.push, self.claim, self.claim, self.claim, self.end, self.end, self.wait]
        await self.chance.choice([*actions, self.crash, self.jump])()

    async def push(self) -> None:
        await self.broker.push(
            new_job(
                self.chance.choice("abc"),
                lane=self.chance.choice([0, 1, 2]),
                model=self.chance.choice(["x", "y"]),
                input_tokens=self.chance.randint(1, LARGEST),
                output_tokens=0,
            )
            for _ in range(self.chance.randint(1, 10))
        )

    async def claim(self) -> None:
        for lease in (await self.index.claim(self.chance.randint(1, 10))).leases:
            self.leased.append(lease)
            self.spans[-1].append((self.clock.ms, lease.entry.input_tokens))

    async def end(self) -> None:
        if not self.leased:
            return
        lease = self.leased.pop(self.chance.randrange(len(self.leased)))
        used = Used(lease.entry.input_tokens, 0, Verdict.WORKS)
        ways = (
            Done(lease, "acme", b"", used),
            Drop(lease, used),
            Again(lease, 0, lease.flow, lease.entry, used),
        )
        await self.index.release([self.chance.choice(ways)])

    async def wait(self) -> None:
        await self.clock.pass_ms(self.chance.choice([1, 20, 200, 2000]))

    async def crash(self) -> None:
        """All workers die, and their leases run out."""
        self.leased.clear()
        await self.clock.pass_ms(LEASE_MS + 1)

    async def jump(self) -> None:
        await self.clock.pass_ms(self.chance.choice([-1, 1]) * self.chance.randint(1, 3_600_000))
        self.spans.append([])
        self.leased.clear()


def _most_in_any_span(starts: list[tuple[int, int]], *, per_minute: int, burst: int) -> None:
    """Between any two starts no more than the rate, its burst and one job more."""
    for first in range(len(starts)):
        total = 0
        for at, worth in starts[first:]:
            total += worth
            allowed = per_minute * (at - starts[first][0] + BURST_MS) / MINUTE_MS + burst
            assert total <= allowed + 1e-6


@pytest.mark.parametrize("seed", range(12))
async def test_no_schedule_overruns_a_limit_or_leaks_concurrency(
    redis: ArqRedis, broker: Broker, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    index, clock = await clocked_index(redis, monkeypatch)
    await index.set_all("tuning", {"counted": "input"})
    await index.set_limits(
        [
            Limit("provider", "requests", MINUTE_MS, RATE),
            Limit("group:*", "tokens", MINUTE_MS, TOKENS),
            Limit("provider", "concurrency", 0, AT_ONCE),
            Limit("workspace:*", "concurrency", 0, AT_ONCE_EACH),
        ]
    )
    schedule = Schedule(seed, index, broker, clock)
    client: Any = redis
    base = index.keys.base
    for _ in range(150):
        await schedule.step()
        held = await client.hgetall(f"{base}held")
        each: defaultdict[bytes, int] = defaultdict(int)
        for record in held.values():
            each[record[44:].split(b"|", 1)[0]] += 1
        assert len(held) <= AT_ONCE
        assert all(count <= AT_ONCE_EACH for count in each.values())
        used = await client.hget(f"{base}b:provider|concurrency/0", "used")
        assert int(used or 0) == len(held)
    for starts in schedule.spans:
        _most_in_any_span([(at, 1) for at, _ in starts], per_minute=RATE, burst=1)
        _most_in_any_span(starts, per_minute=2 * TOKENS, burst=2 * LARGEST)  # two models
    await clock.pass_ms(10 * LEASE_MS)
    await index.claim(1)
    for name in ("provider|concurrency/0", "workspace:a|concurrency/0"):
        used = await client.hget(f"{base}b:{name}", "used")
        assert 0 <= int(used or 0) <= 1
