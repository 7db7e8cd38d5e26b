"""`ProviderWorker`: one process's share of a provider's pool. The whole seam to arq is here.

arq keeps the life cycle: signals, `max_jobs`, hooks, health record, cron. Its claim, finish and
result polling are replaced: jobs are claimed in batches under leases, opened in Postgres before
any request is sent, and settled in groups. The loop survives a restart of Redis or Postgres.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from signal import Signals
from typing import Any
from uuid import UUID

from arq.worker import Worker

from penstock_client.background import end, forever
from penstock_client.connections import AWAY, REDIS_AWAY, persistently
from penstock_client.ledger import Ledger
from penstock_schemas.pricing import TokenPrices
from penstock_worker.admission.index import UNSENT, Again, Claimed, Drop, ProviderIndex
from penstock_worker.attempts import Attempt, Opened, Settlement, open_attempts
from penstock_worker.budgets import Rooms
from penstock_worker.ending import returned
from penstock_worker.execute import Executor
from penstock_worker.heartbeat import Heartbeat
from penstock_worker.leases import Held, Lease
from penstock_worker.reconcile import reindex_by_ledger
from penstock_worker.settle import Pending, Settler
from penstock_worker.wake import Wake

logger = logging.getLogger("penstock.worker")

#: Runs an opened attempt to its settlement.
Run = Callable[[Attempt], Awaitable[Settlement]]

#: A worker that hears nothing looks again after this long, with jitter, in seconds.
FALLBACK_S = 1.0
#: Under load, slots gather this long before the next claim, in seconds: batches are cheap.
NAP_S = 0.004
#: A closed index is worth a warning after this long, in seconds.
FROZEN_WARNING_S = 10.0
#: Claims are at most this large: starting hundreds of calls at once would keep the loop from
#: answers that have come, and the servers idle meanwhile.
CLAIM_BATCH = 50
#: Claims that are being opened at the same time at most.
OPENINGS = 3
#: From this many jobs under way on, a claim waits for company.
BUSY = 8
#: The share of slots that only interactive work may take.
INTERACTIVE_SHARE = 0.2
#: Claims that brought nothing are at least this far apart, in seconds.
PACE_S = 0.002


async def attempt(ctx: dict[str, Any], opened: Attempt) -> None:
    """The arq function of a provider's pool: run an opened attempt and hand over its settlement."""
    run: Run = ctx["run"]
    settler: Settler = ctx["settler"]
    settlement = await run(opened)
    settler.put(Pending(settlement, opened.lease))


class ProviderWorker(Worker):
    """Claims, runs and settles the jobs of one provider until it is stopped."""

    def __init__(
        self,
        *,
        name: str,
        index: ProviderIndex,
        ledger: Ledger,
        executor: Executor,
        heartbeat: Heartbeat,
        held: Held,
        wake: Wake,
        max_jobs: int,
        drain_s: float,
        cache_reads_count: bool,
        around: Callable[[Run], Run] = lambda run: run,
        **arq: Any,
    ) -> None:
        self.ctx: dict[str, Any]
        super().__init__(
            [attempt],
            queue_name=f"{index.keys.base}arq",
            health_check_key=f"{index.keys.base}health:{name}",
            health_check_interval=10,
            max_jobs=max_jobs,
            job_completion_wait=int(drain_s),
            **arq,
        )
        self.name = name
        self._index = index
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._held = held
        self._wake = wake
        self._executor = executor
        self._rooms = Rooms(ledger, index)
        self._settler = Settler(
            ledger,
            index,
            on_settled=self._on_settled,
            reconcile=self._reconcile_later,
            after=self._rooms.settled,
            cache_reads_count=cache_reads_count,
        )
        self._reconciling: set[asyncio.Task[None]] = set()
        self._ledger_doubtful = False
        self._opening: set[asyncio.Task[None]] = set()
        self._calls: dict[tuple[bytes, bytes], asyncio.Task[None]] = {}
        self._claiming: asyncio.Task[Claimed] | None = None
        self._opened_at = self.loop.time()
        self.ctx |= {"run": around(executor.run), "settler": self._settler}

    async def main(self) -> None:
        """Work until stopped, then settle what is under way."""
        self.ctx["redis"] = self.pool
        self._settler.start()
        self._heartbeat.start(stop_calls=self._stop_calls_later)
        self._wake.start()
        beat = forever(self.heart_beat, event="worker.beat_failed", logger=logger, every_s=1.0)
        housekeeping = asyncio.create_task(beat)
        if self.on_startup:
            await self.on_startup(self.ctx)
        logger.info(
            "worker.started",
            extra={"provider": self._index.provider, "worker": self.name, "slots": self.max_jobs},
        )
        try:
            while True:
                await self._turn()
        finally:
            await end([housekeeping])
            await self._finish()

    async def _turn(self) -> None:
        """Claim once if there is room, then wait until another claim may bring something."""
        free = self.max_jobs - len(self._held)
        if free <= 0 or not self.allow_pick_jobs:
            self._wake.clear()
            await self._wake.wait(FALLBACK_S)
            return
        # Shielded: a worker that is stopped in the middle of a claim finishes it, then drains.
        if len(self._opening) >= OPENINGS:
            await asyncio.wait(self._opening, return_when=asyncio.FIRST_COMPLETED)
        wanted = min(free, CLAIM_BATCH)
        self._claiming = self.loop.create_task(self._claim(wanted))
        try:
            claimed = await asyncio.shield(self._claiming)
        except AWAY as error:
            logger.warning("claim.away", extra={"reason": str(error) or type(error).__name__})
            await asyncio.sleep(0.25)
            return
        except Exception:
            logger.exception("claim.failed")
            await asyncio.sleep(1.0)
            return
        if not claimed.open:
            await self._frozen()
            return
        self._opened_at = self.loop.time()
        if len(claimed.leases) == wanted < free:
            return  # there is room for more, and probably more to claim
        # Full, or nothing left: a settled job, a push, the next due job or an open gate wakes us.
        if claimed.wait_ms is not None and claimed.wait_ms < FALLBACK_S * 1000:
            await self._wake.wait(max(claimed.wait_ms / 1000, PACE_S), exactly=True)
        else:
            await self._wake.wait(FALLBACK_S)
        if len(self._held) >= BUSY:
            await asyncio.sleep(NAP_S)

    async def _frozen(self) -> None:
        """The index is closed until a steward has rebuilt it; say so when that takes long."""
        now = self.loop.time()
        if now - self._opened_at > FROZEN_WARNING_S:
            self._opened_at = now
            logger.warning(
                "index.closed",
                extra={"provider": self._index.provider, "hint": "is `penstock steward` running?"},
            )
        await asyncio.sleep(0.25)

    async def _claim(self, free: int) -> Claimed:
        """Claim a batch and start to open it; a few batches are opened side by side."""
        self._wake.clear()
        if self._ledger_doubtful:
            await self._ledger.fetch("ping")
            self._ledger_doubtful = False
        claimed = await self._index.claim(free, other_slots=self._other_slots())
        if not claimed.leases:
            return claimed
        for lease in claimed.leases:
            self._held[lease.key] = lease
        opening = self.loop.create_task(self._open_and_start(claimed.leases))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return claimed

    def _other_slots(self) -> int:
        """Slots that work which is not interactive may still take."""
        most = max(1, int(self.max_jobs * (1 - INTERACTIVE_SHARE)))
        return max(0, most - sum(1 for lease in self._held.values() if lease.flow.lane))

    async def _open_and_start(self, leases: Sequence[Lease]) -> None:
        try:
            opened = await self._open(leases)
        except Exception as error:  # noqa: BLE001 - whatever it was, the ledger decides
            # Whether they were opened only the ledger knows: their leases lapse.
            self._forget(leases)
            self._ledger_doubtful = True
            reason = str(error) or type(error).__name__
            logger.warning("open.failed", extra={"jobs": len(leases), "reason": reason})
            return
        for attempt in opened.attempts:
            self._start(attempt)
        if len(opened.attempts) < len(leases):
            await self._not_opened(leases, opened)
        elif opened.rooms:
            await self._tell_rooms(opened, leases)

    async def _open(self, leases: Sequence[Lease]) -> Opened:
        return await open_attempts(
            self._ledger,
            leases,
            provider=self._index.provider,
            worker=self.name,
            prices=self._prices(leases),
        )

    async def _tell_rooms(self, opened: Opened, leases: Sequence[Lease]) -> None:
        with contextlib.suppress(*REDIS_AWAY):  # jobs without room are put back one claim later
            await self._rooms.opened(opened, self._prices(leases))

    def _prices(self, leases: Sequence[Lease]) -> dict[str, TokenPrices]:
        models = {lease.flow.model for lease in leases}
        return {model: self._executor.prices(model) for model in models}

    def _start(self, opened: Attempt) -> None:
        lease = opened.lease
        if lease.stopped:
            self._settler.put(Pending(returned(opened), lease))
            return
        function: Any = self.functions["attempt"]
        task = self.loop.create_task(function.coroutine(self.ctx, opened))
        key = f"{opened.job_id}:{opened.number}"
        self.tasks[key] = self._calls[lease.key, lease.token] = task

        def ended(done: asyncio.Task[None]) -> None:
            self.tasks.pop(key, None)
            self._calls.pop((lease.key, lease.token), None)
            if done.cancelled():  # before its first step: nothing was sent
                self._settler.put(Pending(returned(opened), lease))
            elif error := done.exception():  # its lease lapses, and the ledger decides
                logger.error("attempt.broken", extra={"job_id": opened.job_id}, exc_info=error)
                self._forget([lease])

        task.add_done_callback(ended)

    def _stop_calls_later(self, leases: list[Lease]) -> None:
        """Stop the calls of these leases; called on the heartbeat's thread."""
        self.loop.call_soon_threadsafe(self._stop_calls, leases)

    def _stop_calls(self, leases: list[Lease]) -> None:
        """What has been opened and not been started yet is not started, see `_start`."""
        for lease in leases:
            if task := self._calls.get((lease.key, lease.token)):
                task.cancel()
        logger.info("calls.stopped", extra={"worker": self.name, "jobs": len(leases)})

    async def _not_opened(self, leases: Sequence[Lease], opened: Opened) -> None:
        """Give back what waits for room in a budget, and what the ledger did not let us start
        because it has ended, was moved, or is held by somebody else."""
        ours = {attempt.lease.job_id for attempt in opened.attempts}
        left = [lease for lease in leases if lease.job_id not in ours]
        waiting = {lease.job_id for lease in opened.postponed}
        self._forget(left)
        await self._tell_rooms(opened, leases)
        self._wake.set()
        with contextlib.suppress(*REDIS_AWAY):  # the leases lapse
            await self._index.release(
                [
                    Again(lease, 0, lease.flow, lease.entry, UNSENT)
                    if lease.job_id in waiting
                    else Drop(lease, UNSENT)
                    for lease in left
                ]
            )
        unsure = [lease.job_id for lease in left if lease.job_id not in waiting]
        if unsure:
            self._reconcile_later(unsure)

    def _forget(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._held.get(lease.key) is lease:
                del self._held[lease.key]

    def _on_settled(self, group: Sequence[Pending]) -> None:
        self._forget([pending.lease for pending in group])
        for pending in group:
            if pending.settlement.error_kind is None:
                self.jobs_complete += 1
            elif pending.settlement.state.is_terminal:
                self.jobs_failed += 1
            else:
                self.jobs_retried += 1
        self._wake.set()

    def _reconcile_later(self, job_ids: Sequence[UUID]) -> None:
        task = self.loop.create_task(self._reconcile(job_ids))
        self._reconciling.add(task)
        task.add_done_callback(self._reconciling.discard)

    async def _reconcile(self, job_ids: Sequence[UUID]) -> None:
        """Put jobs where the ledger says they stand; the steward's audit stands behind this."""
        work = functools.partial(reindex_by_ledger, self._ledger, self._index_of, job_ids)
        try:
            await persistently(work, away=AWAY, for_s=60.0)
        except AWAY as error:
            reason = str(error) or type(error).__name__
            logger.warning("reconcile.given_up", extra={"jobs": len(job_ids), "reason": reason})

    def _index_of(self, provider: str) -> ProviderIndex:
        if provider == self._index.provider:
            return self._index
        return ProviderIndex(self.pool, provider)

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Drain on the first signal; arq would cut the drain short on the second."""
        if self.allow_pick_jobs:
            super().handle_sig_wait_for_completion(signum)

    async def _finish(self) -> None:
        """Stopped: what was sent is settled, what was not goes back, then the threads end."""
        if self._claiming is not None:
            await asyncio.wait([self._claiming])
        await asyncio.gather(*self._opening)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        await self._settler.drain(within_s=10.0)
        if self._reconciling:
            await asyncio.wait(self._reconciling, timeout=5.0)
        await self._wake.stop()
        self._heartbeat.stop()
        logger.info("worker.stopped", extra={"provider": self._index.provider, "worker": self.name})
