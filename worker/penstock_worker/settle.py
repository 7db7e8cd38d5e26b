"""Group commit of settlements: one Postgres transaction, then release, cache and notify on Redis.

Settles at once when idle; while a group is being written the next one gathers. When Postgres is
away all replies are kept in a Redis stream and written later: no second call is made for them.
A group that meets anything unexpected is given up: its leases lapse, and the ledger decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from penstock_client.background import end, forever
from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.status import AttemptState
from penstock_worker.admission.index import (
    Again,
    Done,
    Drop,
    ProviderIndex,
    Release,
    Used,
    Verdict,
)
from penstock_worker.attempts import Settlement, settle
from penstock_worker.leases import Lease
from penstock_worker.outcome import works
from penstock_worker.stash import encode_settlements

logger = logging.getLogger("penstock.worker")

#: A group is at most this large.
GROUP = 200
#: While other groups are being written, one gathers this long, in seconds.
GATHER_S = 0.004
#: Leases of stashed settlements are held this long; the steward writes them well before.
STASH_HOLD_MS = 3_600_000


@dataclass(slots=True, eq=False)
class Pending:
    """A settlement with the lease that it ends, and where it is stashed meanwhile, if it is."""

    settlement: Settlement
    lease: Lease
    stashed: bytes | None = None


class Settler:
    """Writes settlements in groups.

    `on_settled` is told which leases end, before they do; `after` is told whose attempts have
    ended.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: ProviderIndex,
        *,
        on_settled: Callable[[Sequence[Pending]], None],
        reconcile: Callable[[Sequence[UUID]], object],
        after: Callable[[set[str]], Awaitable[None]],
        cache_reads_count: bool,
    ) -> None:
        self._ledger = ledger
        self._cache_reads_count = cache_reads_count
        self._index = index
        self._on_settled = on_settled
        self._reconcile = reconcile
        self._after = after
        self._waiting: list[Pending] = []
        self._writing: list[Pending] = []
        self._stashes: Counter[bytes] = Counter()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_size = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start writing."""
        loop = forever(self._turn, event="settle.failed", logger=logger)
        self._task = asyncio.create_task(loop, name="penstock-settle")

    def put(self, pending: Pending) -> None:
        """Hand over a settlement; it is written in one of the next groups."""
        self._waiting.append(pending)
        self._idle.clear()
        self._arrived.set()

    async def drain(self, *, within_s: float) -> None:
        """Write everything handed over so far; what cannot be written in time is stashed."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            left = [*self._writing, *self._waiting]
            logger.warning("settle.undrained", extra={"jobs": len(left)})
            await self._stash(left)
        finally:
            if self._task is not None:
                await end([self._task])

    async def _turn(self) -> None:
        """Write one group, then give its leases back."""
        await self._arrived.wait()
        if self._last_size > 1 and len(self._waiting) < GROUP:
            await asyncio.sleep(GATHER_S)
        self._writing = self._take()
        self._last_size = len(self._writing)
        moved: dict[UUID, int] = {}
        try:
            moved = await self._write(self._writing)
        finally:
            group, self._writing = self._writing, []
            self._on_settled(group)  # first, so that no heartbeat renews what is given back
            await self._release(group, moved)
            await self._after({pending.settlement.workspace for pending in group})
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
        """Write a group, however long Postgres stays away; all that waits is stashed meanwhile."""
        settlements = [pending.settlement for pending in group]
        wait_s = 0.1
        while True:
            try:
                moved = await settle_apart(self._ledger, settlements)
            except POSTGRES_AWAY as error:
                reason = str(error) or type(error).__name__
                logger.warning("settle.postgres_away", extra={"reason": reason})
                await self._stash([*group, *self._waiting])
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 2.0)
                continue
            await self._unstash(group)
            return moved

    async def _stash(self, pending: Sequence[Pending]) -> None:
        new = [item for item in pending if item.stashed is None]
        if not new:
            return
        data = encode_settlements([item.settlement for item in new])
        leases = [item.lease for item in new]
        try:
            entry = await self._index.stash(data, leases, hold_ms=STASH_HOLD_MS)
        except REDIS_AWAY as error:  # both are away: they stay in memory, under their leases
            logger.warning("settle.stash_failed", extra={"reason": str(error)})
            return
        for item in new:
            item.stashed = entry
        self._stashes[entry] = len(new)

    async def _unstash(self, group: Sequence[Pending]) -> None:
        """Forget the stashes of which everything is in Postgres by now."""
        for item in group:
            if item.stashed is None:
                continue
            self._stashes[item.stashed] -= 1
            if self._stashes[item.stashed] == 0:
                del self._stashes[item.stashed]
                with contextlib.suppress(*REDIS_AWAY):  # settled again later, which is nothing
                    await self._index.unstash(item.stashed)

    async def _release(self, group: list[Pending], moved: dict[UUID, int]) -> None:
        """Give leases back; what is not certain is put where the ledger says it stands."""
        here = self._index.provider
        unsure = [
            pending.settlement.job_id
            for pending in group
            if pending.settlement.job_id not in moved or pending.settlement.provider != here
        ]
        try:
            await self._index.release([self._release_of(pending, moved) for pending in group])
        except REDIS_AWAY as error:  # the leases lapse; the ledger refuses a second call
            logger.warning("settle.release_failed", extra={"reason": str(error)})
            unsure = [pending.settlement.job_id for pending in group]
        if unsure:
            self._reconcile(unsure)

    def _release_of(self, pending: Pending, moved: dict[UUID, int]) -> Release:
        settlement, lease = pending.settlement, pending.lease
        known = settlement.job_id in moved
        used = used_by(settlement, cache_reads_count=self._cache_reads_count)
        if settlement.state.is_terminal:
            # Not known: written by an earlier try, or the job has another result. Say that it
            # ended, and let who awaits it look in Postgres.
            body = (settlement.result or b"") if known else b""
            return Done(lease, settlement.workspace, body, used)
        if not known or settlement.provider != self._index.provider:
            return Drop(lease, used)
        entry = replace(lease.entry, placement_version=moved[settlement.job_id])
        flow = replace(lease.flow, model=settlement.model)
        return Again(lease, settlement.wait_ms, flow, entry, used)


async def settle_apart(ledger: Ledger, settlements: list[Settlement]) -> dict[UUID, int]:
    """Settle a group; one that Postgres refuses does not keep the others from theirs.

    Returns what `settle` does, without the refused; raises when Postgres is away.
    """
    try:
        return await settle(ledger, settlements)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
        logger.exception("settle.refused", extra={"attempts": len(settlements)})
        if len(settlements) == 1:
            return {}
    moved: dict[UUID, int] = {}
    for settlement in settlements:
        moved |= await settle_apart(ledger, [settlement])
    return moved


def used_by(settlement: Settlement, *, cache_reads_count: bool) -> Used:
    """What an attempt says of its provider, and what it used of turns and limits.

    `cache_reads_count`: whether the provider's limits count what was read from its cache.
    """
    verdict = _verdict(settlement)
    if settlement.attempt_state is AttemptState.RETURNED:
        return Used(0, 0, Verdict.UNSENT if verdict is Verdict.NOTHING else verdict)
    usage = settlement.usage
    if usage.estimated:
        return Used(verdict=verdict)
    counted = usage.input_tokens - (0 if cache_reads_count else usage.cache_read_tokens)
    return Used(max(0, counted), usage.output_tokens, verdict)


def _verdict(settlement: Settlement) -> Verdict:
    """What is not charged was our own doing, or a limit: it says nothing of the provider."""
    if settlement.error_kind is None:
        return Verdict.WORKS if settlement.http_status is not None else Verdict.NOTHING
    well = works(settlement.error_kind)
    if well is False and settlement.charge:
        return Verdict.FAILS
    if well and settlement.http_status is not None:
        return Verdict.WORKS
    return Verdict.NOTHING
