"""Group commit of settlements: one Postgres transaction, then release, cache and notify on Redis.

Settles at once when idle; while a group is being written the next one gathers. When Postgres is
away the replies are kept in a Redis stream and written later: no second call is made for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY
from penstock_client.entries import Entry, Flow
from penstock_client.ledger import Ledger
from penstock_worker.admission.index import Again, Done, Drop, ProviderIndex, Release
from penstock_worker.attempts import Settlement, settle
from penstock_worker.leases import Lease
from penstock_worker.stash import encode_settlements

logger = logging.getLogger("penstock.worker")

#: A group is at most this large.
GROUP = 200
#: While other groups are being written, one gathers this long, in seconds.
GATHER_S = 0.004
#: Leases of stashed settlements are held this long; the steward writes them well before.
STASH_HOLD_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A settlement with the lease that it ends."""

    settlement: Settlement
    lease: Lease


class Settler:
    """Writes settlements in groups. `on_settled` is told which leases were given back."""

    def __init__(
        self,
        ledger: Ledger,
        index: ProviderIndex,
        *,
        on_settled: Callable[[Sequence[Pending]], None],
        reroute: Callable[[Sequence[UUID]], object],
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._on_settled = on_settled
        self._reroute = reroute
        self._waiting: list[Pending] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start writing."""
        self._task = asyncio.create_task(self._run(), name="penstock-settle")

    def put(self, pending: Pending) -> None:
        """Hand over a settlement; it is written in one of the next groups."""
        self._waiting.append(pending)
        self._idle.clear()
        self._arrived.set()

    async def drain(self, *, within_s: float) -> bool:
        """Write everything handed over so far; False when that took too long."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout=within_s)
        except TimeoutError:
            logger.warning("settle.undrained", extra={"jobs": len(self._waiting)})
            return False
        finally:
            if self._task is not None:
                self._task.cancel()
        return True

    async def _run(self) -> None:
        last_size = 0
        while True:
            await self._arrived.wait()
            if last_size > 1 and len(self._waiting) < GROUP:
                await asyncio.sleep(GATHER_S)
            group = self._take()
            last_size = len(group)
            moved = await self._write(group)
            self._on_settled(group)  # first, so that no heartbeat renews what is given back
            await self._release(group, moved)
            if not self._waiting:
                self._arrived.clear()
                self._idle.set()

    def _take(self) -> list[Pending]:
        """The next group; a job stands in it once, since one statement settles it once."""
        seen: set[UUID] = set()
        group: list[Pending] = []
        rest: list[Pending] = []
        for pending in self._waiting:
            job_id = pending.settlement.job_id
            if len(group) < GROUP and job_id not in seen:
                seen.add(job_id)
                group.append(pending)
            else:
                rest.append(pending)
        self._waiting = rest
        return group

    async def _write(self, group: list[Pending]) -> dict[UUID, int]:
        """Write a group, however long Postgres stays away; stashed in Redis meanwhile."""
        settlements = [pending.settlement for pending in group]
        stashed: bytes | None = None
        wait_s = 0.1
        while True:
            try:
                moved = await self._settle_apart(settlements)
            except POSTGRES_AWAY as error:
                logger.warning("settle.postgres_away", extra={"reason": str(error)})
                stashed = stashed or await self._stash(group)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 2.0)
                continue
            if stashed is not None:
                await self._unstash(stashed)
            return moved

    async def _settle_apart(self, settlements: list[Settlement]) -> dict[UUID, int]:
        """Settle a group; one that Postgres refuses does not keep the others from theirs."""
        try:
            return await settle(self._ledger, settlements)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            logger.exception("settle.refused", extra={"attempts": len(settlements)})
            if len(settlements) == 1:
                return {}
        moved: dict[UUID, int] = {}
        for settlement in settlements:
            moved |= await self._settle_apart([settlement])
        return moved

    async def _stash(self, group: list[Pending]) -> bytes | None:
        data = encode_settlements([pending.settlement for pending in group])
        leases = [pending.lease for pending in group]
        try:
            return await self._index.stash(data, leases, hold_ms=STASH_HOLD_MS)
        except REDIS_AWAY:
            return None

    async def _unstash(self, entry: bytes) -> None:
        try:
            await self._index.unstash(entry)
        except REDIS_AWAY as error:  # the steward settles it again, which changes nothing
            logger.warning("settle.unstash_later", extra={"reason": str(error)})

    async def _release(self, group: list[Pending], moved: dict[UUID, int]) -> None:
        """Give leases back. If Redis is away they lapse; the ledger refuses a second call."""
        here = self._index.provider
        releases = [_release_of(pending, moved, here) for pending in group]
        try:
            await self._index.release(releases)
        except REDIS_AWAY as error:
            logger.warning("settle.release_failed", extra={"reason": str(error)})
            self._reroute(
                [p.settlement.job_id for p in group if not p.settlement.state.is_terminal]
            )
            return
        elsewhere = [
            pending.settlement.job_id
            for pending in group
            if pending.settlement.job_id in moved and pending.settlement.provider != here
        ]
        if elsewhere:
            self._reroute(elsewhere)


def _release_of(pending: Pending, moved: dict[UUID, int], here: str) -> Release:
    settlement, lease = pending.settlement, pending.lease
    if settlement.job_id not in moved:
        return Drop(lease)
    if settlement.state.is_terminal:
        return Done(lease, settlement.workspace, settlement.result or b"")
    if settlement.provider != here:
        return Drop(lease)
    entry = Entry(
        lease.job_id,
        lease.entry.input_tokens,
        lease.entry.output_tokens,
        moved[settlement.job_id],
    )
    flow = Flow(lease.flow.workspace, lease.flow.lane, settlement.model)
    return Again(lease, settlement.wait_ms, flow, entry)
