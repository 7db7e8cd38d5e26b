"""Moves waiting jobs to other routes: away from gates that are shut, and after too long a wait.

Postgres decides each move by the placement that was read, so a job that a worker starts at the same
moment is left to it, and a job is moved once however many stewards look. The old index may go on
offering a moved job: it is refused by its placement.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.entries import Flow
from penstock_client.ledger import Ledger, StandingJob, standing_job
from penstock_schemas.keys import ProviderKeys
from penstock_worker.gates import Gates
from penstock_worker.reconcile import IndexOf, put_in_place

logger = logging.getLogger("penstock.steward")

_PAGE = 500
#: One turn looks at jobs for at most this long, in seconds.
_BUDGET_S = 0.4
#: What was looked at in vain is looked at again after this long, in seconds; where jobs have come
#: back to their old places, after this long.
_AGAIN_S = 30.0
_RETURNED_S = 5.0
#: Ready workspaces of a tree, and ready flows of each, that are looked at.
_READY = 1000
_TREES = "ibz"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits and that nobody holds, with the routes it may take, best first."""

    job: StandingJob
    routes: tuple[str, ...]

    @classmethod
    def read(cls, row: Any) -> Waiting:
        """Read a row of a query that gives both."""
        return cls(standing_job(row), tuple(row["routes"]))


class Mover:
    """Moves jobs in the ledger and in the indexes."""

    def __init__(self, redis: ArqRedis, ledger: Ledger, index_of: IndexOf) -> None:
        self._redis = redis
        self._ledger = ledger
        self._index_of = index_of

    async def move(self, moves: Sequence[tuple[StandingJob, str]]) -> set[UUID]:
        """Move jobs to routes, where they queue at once; returns those that were still there."""
        if not moves:
            return set()
        split = [route.split("/", 1) for _, route in moves]
        moved = await self._ledger.standing(
            "divert",
            [job.job_id for job, _ in moves],
            [job.entry.placement_version for job, _ in moves],
            [provider for provider, _ in split],
            [model for _, model in split],
        )
        await put_in_place(self._index_of, moved)
        ids = {job.job_id for job in moved}
        await self.forget([job for job, _ in moves if job.job_id in ids])
        return ids

    async def forget(self, jobs: Iterable[StandingJob]) -> None:
        """Take jobs out of the queues that they stood in."""
        queues: defaultdict[str, list[bytes]] = defaultdict(list)
        for job in jobs:
            queues[_queue(job.provider, job.flow.name)].append(job.entry.pack())
        pipeline: Any = self._redis.pipeline(transaction=False)
        async with pipeline:
            for queue, entries in queues.items():
                pipeline.zrem(queue, *entries)
            await pipeline.execute()


@dataclass(slots=True)
class _Looked:
    """How far a queue was looked at in vain: up to which place, how many jobs that left there, and
    since when and when last, in s of the monotonic clock."""

    place: float = 0.0
    left: int = 0
    since: float = 0.0
    last: float = 0.0


class Diversion:
    """Keeps moving what waits behind gates that are shut to routes whose gates are open."""

    def __init__(self, redis: ArqRedis, ledger: Ledger, mover: Mover) -> None:
        self._redis = redis
        self._ledger = ledger
        self._mover = mover
        self._gates: frozenset[tuple[str, str]] = frozenset()
        self._looked: dict[str, _Looked] = {}

    async def run(self, providers: Iterable[str]) -> int:
        """One turn over all gates that are shut; returns how many jobs were moved."""
        gates = await Gates.read(self._redis, providers)
        if gates.fingerprint != self._gates:
            self._gates = gates.fingerprint
            self._looked.clear()
        began, moved = time.monotonic(), 0
        kept: dict[str, _Looked] = {}
        for provider, shut in gates.shut_for_long().items():
            flows = await self._flows_kept(gates, provider, shut)
            for flow in sorted(flows, key=lambda flow: self._look_of(provider, flow).last):
                moved += await self._empty(gates, provider, flow, until=began + _BUDGET_S)
                if time.monotonic() > began + _BUDGET_S:
                    return moved
            kept |= {queue: self._looked[queue] for queue in map(partial(_queue, provider), flows)}
        self._looked = kept
        return moved

    def _look_of(self, provider: str, flow: str) -> _Looked:
        return self._looked.setdefault(_queue(provider, flow), _Looked(since=time.monotonic()))

    async def _flows_kept(self, gates: Gates, provider: str, shut: frozenset[str]) -> set[str]:
        """The flows that these gates keep: those parked there, and those that no claim has met."""
        redis, base = cast("Any", self._redis), ProviderKeys(provider).base
        pipeline: Any = redis.pipeline(transaction=False)
        async with pipeline:
            for gate in shut:
                pipeline.zrange(f"{base}w:gate:{gate}", 0, -1)
            for tree in _TREES:
                pipeline.zrange(f"{base}{tree}turns", 0, _READY - 1)
            *parked, of_i, of_b, of_z = await pipeline.execute()
            for tree, workspaces in zip(_TREES, (of_i, of_b, of_z), strict=True):
                for workspace in workspaces:
                    pipeline.zrange(f"{base}{tree}flows:{workspace.decode()}", 0, _READY - 1)
            ready: list[list[bytes]] = await pipeline.execute()
        names = {name.decode() for group in (*parked, *ready) for name in group}
        flows = {name: Flow.parse(name) for name in names}
        await gates.learn((), flows.values())
        return {name for name, flow in flows.items() if gates.keeps(provider, flow)}

    async def _empty(self, gates: Gates, provider: str, flow: str, *, until: float) -> int:
        """Move what can be moved of a queue, behind what was looked at already."""
        looked, queue, redis = self._look_of(provider, flow), _queue(provider, flow), self._redis
        looked.last = time.monotonic()
        await self._look_again_in_time(looked, queue)
        zrangebyscore: Any = cast("Any", redis).zrangebyscore
        moved = 0
        while True:
            page: list[tuple[bytes, float]] = await zrangebyscore(
                queue, f"({looked.place}", "+inf", 0, _PAGE, withscores=True
            )
            gone = await self._divert(gates, provider, [entry for entry, _ in page]) if page else 0
            moved += gone
            if gone < len(page):
                looked.place, looked.left = page[-1][1], looked.left + len(page) - gone
            if len(page) < _PAGE:
                break
            looked.since = time.monotonic()  # the whole queue first, then from its head again
            if looked.since > until:
                break
        if moved:
            logger.info("jobs.diverted", extra={"provider": provider, "flow": flow, "jobs": moved})
        return moved

    async def _look_again_in_time(self, looked: _Looked, queue: str) -> None:
        """Begin at the head again after a while, sooner when jobs came back to their old places."""
        age_s = looked.last - looked.since
        if looked.place and _RETURNED_S < age_s <= _AGAIN_S:
            there: int = await cast("Any", self._redis).zcount(queue, "-inf", looked.place)
            if there <= looked.left:
                looked.left = there
                return
        if age_s > _RETURNED_S:
            looked.place, looked.left, looked.since = 0.0, 0, looked.last

    async def _divert(self, gates: Gates, provider: str, entries: Sequence[bytes]) -> int:
        ids = [UUID(bytes=entry[:16]) for entry in entries]
        rows = await self._ledger.fetch("waiting_routes", provider, ids)
        found = [Waiting.read(row) for row in rows]
        await learn_routes(gates, found)
        moves: list[tuple[StandingJob, str]] = []
        for waiting in found:
            job, flow = waiting.job, waiting.job.flow
            if not gates.keeps(provider, flow):
                continue
            route = gates.next_open(waiting.routes, provider, flow)
            if route is not None:
                moves.append((job, route))
        return len(await self._mover.move(moves))


async def learn_routes(gates: Gates, jobs: Sequence[Waiting]) -> None:
    """Look at every provider on the jobs' routes."""
    providers = {route.split("/", 1)[0] for waiting in jobs for route in waiting.routes}
    here = {waiting.job.provider for waiting in jobs}
    await gates.learn(providers | here, [waiting.job.flow for waiting in jobs])


def _queue(provider: str, flow: str) -> str:
    return f"{ProviderKeys(provider).base}q:{flow}"
