"""The steward: keeps the index true to the ledger. Several may run; all they do is repeatable.

It opens each provider's index, rebuilds it after a loss of Redis, indexes submits whose producer
could not, writes settlements that waited for Postgres, ends jobs whose deadline passed, moves jobs
away from where they must not wait, drops what workspaces keep no longer, and writes into each index
what operators have set. Behind all that stands the audit: every live job is looked at in turn, and
whatever the index lacks is put back, for whatever reason it was lost.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from arq import cron
from arq.connections import ArqRedis
from arq.worker import Worker

from penstock_client.background import end, forever
from penstock_client.connections import AWAY
from penstock_client.ending import end_jobs, tell
from penstock_client.ledger import Ledger, StandingJob
from penstock_schemas.catalog import Catalog, catalog
from penstock_schemas.keys import PREFIX, STEWARD
from penstock_schemas.limits import LimitSetting
from penstock_schemas.status import ErrorKind, JobState
from penstock_worker.admission.index import Done, Drop, ProviderIndex, Release
from penstock_worker.attempts import Settlement
from penstock_worker.diversion import Diversion, Mover
from penstock_worker.leases import LEASE_S, nominal_lease
from penstock_worker.queue_wait import QueueWaits
from penstock_worker.reconcile import put_in_place, reindex_by_ledger
from penstock_worker.retention import Retention, drop_old_partitions
from penstock_worker.settle import settle_apart
from penstock_worker.stash import decode_settlements
from penstock_worker.steering import IndexSteering

logger = logging.getLogger("penstock.steward")

_GUARD_S = 0.5
_SWEEP_S = 0.25
_EXPIRE_S = 1.0
_DIVERT_S = 0.5
_STEER_S = 0.5
_STASH_S = 5.0
_RETAIN_S = 5.0
#: A stashed settlement is written by its own worker unless it is this old, in ms.
_STASH_AGE_MS = 10_000
_PAGE = 1000
_WEEKS_AHEAD = 5
_FIRST_ID = UUID(int=0)
#: Workers that live show their leases this soon after an index was lost, in seconds: their
#: heartbeats look twice a second.
_SHOW_S = 3.0
#: The audit looks only at what has not moved for this long, in seconds, and rests as long as this
#: between rounds; it works for at most a tenth of the time.
_AUDIT_AGE_S = 60
_AUDIT_DUTY = 0.1


class Duty(NamedTuple):
    """Something that a steward does every so often, until it is stopped."""

    name: str
    turn: Callable[[], Awaitable[None]]
    every_s: float


async def ensure_partitions(ctx: dict[str, Any]) -> int:
    """The arq function that makes the coming weeks' partitions."""
    ledger: Ledger = ctx["ledger"]
    rows = await ledger.fetch("ensure_partitions", _WEEKS_AHEAD)
    return rows[0][0]


class Steward(Worker):
    """One steward process. Slow periodic work is plain arq cron; the rest are its own loops.

    `file_limits` are those of the configuration file, `models` the catalogue in force; weeks beyond
    `keep_weeks` are dropped, none with None. `beside` is what else it does: whatever follows from
    the ends of jobs.
    """

    def __init__(
        self,
        *,
        name: str,
        redis: ArqRedis,
        ledger: Ledger,
        providers: Sequence[str],
        file_limits: Sequence[LimitSetting] = (),
        models: Catalog | None = None,
        keep_weeks: int | None = None,
        beside: Sequence[Duty] = (),
        **arq: Any,
    ) -> None:
        hourly = [
            cron(ensure_partitions, minute={7}, run_at_startup=True),
            cron(drop_old_partitions, minute={17}),
        ]
        super().__init__(
            cron_jobs=hourly, redis_pool=redis, queue_name=f"{PREFIX}:steward:arq", **arq
        )
        self.name = name
        self._ledger = ledger
        self._providers = frozenset(providers)
        self._known = self._providers
        self._rebuilding: dict[str, asyncio.Task[None]] = {}
        self._lapsing: set[asyncio.Task[None]] = set()
        self._steering = IndexSteering(
            ledger, redis, file_limits=file_limits, models=models or catalog()
        )
        mover = Mover(redis, ledger, self.index_of)
        self._diversion = Diversion(redis, ledger, mover)
        self._queue_waits = QueueWaits(redis, ledger, mover)
        self._retention = Retention(redis, ledger)
        self._beside = beside
        self.ctx["ledger"], self.ctx["keep_weeks"] = ledger, keep_weeks

    async def main(self) -> None:
        """Run every duty until stopped; a duty whose server is away is tried again."""
        self.ctx["redis"] = self.pool
        duties = [
            Duty("guard", self.guard, _GUARD_S),
            Duty("steer", self.steer, _STEER_S),
            Duty("index_submissions", self.index_submissions, _SWEEP_S),
            Duty("expire", self.expire, _EXPIRE_S),
            Duty("divert", self.divert, _DIVERT_S),
            Duty("bound_waits", self.bound_waits, _EXPIRE_S),
            Duty("settle_stashed", self.settle_stashed, _STASH_S),
            Duty("retain", self.retain, _RETAIN_S),
            Duty("audit", self.audit, _AUDIT_AGE_S),
            Duty("poll_iteration", self._poll_iteration, 1.0),
            *self._beside,
        ]
        logger.info("steward.started", extra={"steward": self.name})
        loops = [
            asyncio.create_task(
                forever(
                    duty.turn,
                    event=f"steward.{duty.name}_failed",
                    logger=logger,
                    every_s=duty.every_s,
                )
            )
            for duty in duties
        ]
        try:
            await asyncio.wait(loops)
        finally:
            await end(loops)
            await end([*self._rebuilding.values(), *self._lapsing])  # which the loops began
            logger.info("steward.stopped", extra={"steward": self.name})

    def index_of(self, provider: str) -> ProviderIndex:
        """A provider's index."""
        return ProviderIndex(self.pool, provider)

    async def guard(self) -> None:
        """Rebuild every index that is missing, stale, or left half rebuilt."""
        await self.pool.set(STEWARD, self.name, ex=5)
        run = await self.index_of(PREFIX).server_run()
        live = await self._ledger.fetch("live_providers")
        self._known = self._providers | {row["provider"] for row in live}
        for provider in self._known:
            state = await self.index_of(provider).check_server(run)
            running = self._rebuilding.get(provider)
            if state != "open" and (running is None or running.done()):
                self._rebuilding[provider] = asyncio.create_task(self._rebuild_safely(provider))

    async def steer(self) -> None:
        """Write into every index what operators have changed."""
        await self._steering.steer(self._known)

    async def _rebuild_safely(self, provider: str) -> None:
        try:
            await self.rebuild(provider)
        except AWAY as error:
            reason = str(error) or type(error).__name__
            logger.warning("rebuild.interrupted", extra={"provider": provider, "reason": reason})
        except Exception:
            logger.exception("rebuild.failed", extra={"provider": provider})

    async def rebuild(self, provider: str) -> None:
        """Rebuild one index: freeze, index what waits, let workers show their leases, open.

        The freeze ends as soon as every running job has its lease again, after a few seconds at
        most. A job whose lease nobody has shown by then runs again after a whole lease.
        """
        index = self.index_of(provider)
        began = time.monotonic()
        epoch = await index.begin_rebuild(secrets.token_hex(8))
        suspects: dict[UUID, StandingJob] = {}
        waiting = 0
        last = _FIRST_ID
        while page := await self._ledger.standing("live_jobs", provider, last, _PAGE):
            last = page[-1].job_id
            suspects |= {job.job_id: job for job in page if job.fence is not None}
            free = [job for job in page if job.fence is None and job.state is not JobState.BLOCKED]
            waiting += await index.reindex(free, wake=False)
        missing = await self._without_lease(index, suspects, until=began + _SHOW_S)
        await self._steering.prepare(provider)
        state = await index.finish_rebuild(epoch)
        if missing:
            self._lapse_later(index, missing, at=began + LEASE_S)
        logger.info(
            "index.rebuilt",
            extra={
                "provider": provider,
                "state": state,
                "waiting": waiting,
                "running": len(suspects) - len(missing),
                "missing": len(missing),
                "duration_ms": int((time.monotonic() - began) * 1000),
            },
        )

    def _lapse_later(
        self, index: ProviderIndex, missing: dict[UUID, StandingJob], *, at: float
    ) -> None:
        task = asyncio.create_task(self._lapse(index, missing, at=at))
        self._lapsing.add(task)
        task.add_done_callback(self._lapsing.discard)

    async def _lapse(
        self, index: ProviderIndex, missing: dict[UUID, StandingJob], *, at: float
    ) -> None:
        """Offer again what no worker has shown a lease on; the audit stands behind this."""
        try:
            lapsed = await self._without_lease(index, missing, until=at)
            await index.reindex(list(lapsed.values()), lapsed=True)
        except AWAY as error:
            reason = str(error) or type(error).__name__
            extra = {"provider": index.provider, "jobs": len(missing), "reason": reason}
            logger.warning("rebuild.lapsed_left", extra=extra)
            return
        extra = {"provider": index.provider, "lapsed": len(lapsed)}
        logger.info("rebuild.lapsed", extra=extra)

    async def _without_lease(
        self, index: ProviderIndex, suspects: dict[UUID, StandingJob], *, until: float
    ) -> dict[UUID, StandingJob]:
        """Running jobs that no worker has shown a lease on by `until` (monotonic)."""
        while suspects:
            unheld = await index.unheld([job_id.bytes for job_id in suspects])
            unknown = [UUID(bytes=key) for key in unheld]
            now = await self._ledger.standing("standing", unknown)
            live = [job for job in now if not job.state.is_terminal]
            # Given back meanwhile: whoever gave it back may have met an index without its lease.
            free = [job for job in live if job.fence is None]
            await index.reindex(free, wake=False)
            suspects = {job.job_id: job for job in live if job.fence is not None}
            if time.monotonic() >= until:
                break
            if suspects:
                await asyncio.sleep(0.25)
        return suspects

    async def index_submissions(self) -> None:
        """Index the jobs of submits whose producer did not say that it had done so."""
        overdue = await self._ledger.fetch("overdue_submissions")
        for row in overdue:
            jobs = await self._ledger.standing("live_between", row["first_id"], row["last_id"])
            await put_in_place(self.index_of, jobs)
            await self._ledger.mark_indexed([row["first_id"]])

    async def expire(self) -> None:
        """End the jobs whose deadline passed while they waited, and tell who awaits them.

        So are those whose worker should have ended them long ago, apart from the others: no lock of
        a waiting job is held while budgets are waited for.
        """
        for running in (False, True):
            ends = await end_jobs(
                self._ledger,
                "expire",
                running,
                state=JobState.EXPIRED,
                kind=ErrorKind.EXPIRED,
                message=lambda row: f"its deadline passed after {row['attempts']} attempts",
            )
            await tell(self.pool, ends)

    async def divert(self) -> None:
        """Move jobs away from gates that are shut, to routes whose gates are open."""
        await self._diversion.run(self._known)

    async def bound_waits(self) -> None:
        """Move or end the jobs that waited longer than they may."""
        await self._queue_waits.run()

    async def retain(self) -> None:
        """Drop prompts and answers of jobs whose workspaces keep them no longer."""
        await self._retention.run()

    async def audit(self) -> None:
        """Put back what the index lacks: one round over all live jobs that stand still."""
        for row in await self._ledger.fetch("live_providers"):
            index = self.index_of(row["provider"])
            last = _FIRST_ID
            while True:
                began = time.monotonic()
                page = await self._ledger.standing("idle_jobs", index.provider, last, _PAGE)
                if not page:
                    break
                last = page[-1].job_id
                await index.reindex([job for job in page if job.fence is None], wake=False)
                unheld = await index.unheld([job.job_id.bytes for job in page if job.fence])
                lost = [job for job in page if job.fence and job.job_id.bytes in unheld]
                await index.reindex(lost, lapsed=True)
                await asyncio.sleep((time.monotonic() - began) / _AUDIT_DUTY)

    async def settle_stashed(self) -> None:
        """Write settlements that their workers left in Redis while Postgres was away."""
        seconds, _ = await cast("Any", self.pool).time()
        oldest = f"({int(seconds) * 1000 - _STASH_AGE_MS}"
        for provider in self._known:
            index = self.index_of(provider)
            entries: list[Any] = await self.pool.xrange(
                index.keys.unsettled, min="-", max=oldest, count=50
            )
            for entry, fields in entries:
                try:
                    group = decode_settlements(fields[b"settlements"])
                except ValueError:  # a newer version wrote it, and a newer steward reads it
                    logger.exception("stash.unreadable", extra={"entry": entry.decode()})
                    continue
                await self._settle_left(index, group)
                await index.unstash(entry)

    async def _settle_left(self, index: ProviderIndex, group: list[Settlement]) -> None:
        moved = await settle_apart(self._ledger, group)
        releases: list[Release] = []
        for item in group:
            lease = nominal_lease(item.job_id, item.fence, item.workspace, item.model)
            if item.state.is_terminal and item.job_id in moved:
                releases.append(Done(lease, item.workspace, item.result or b""))
            else:
                releases.append(Drop(lease))
        await index.release(releases)
        await reindex_by_ledger(self._ledger, self.index_of, [item.job_id for item in group])
        logger.info("stash.settled", extra={"provider": index.provider, "attempts": len(group)})
