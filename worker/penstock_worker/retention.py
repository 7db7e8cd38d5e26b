"""Retention: prompts and answers of jobs that have ended go once their workspace's time is over.

So do what runs of skills took and gave; what a run under way needs stays until it has ended.

A duty of the steward. Usage, jobs and the figures of attempts stay; live jobs are never touched.
Works in pages, each a transaction of its own that holds the workspace's place, so that several
stewards share the work and whoever comes next goes on where the last one stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_client.ledger.queries import query
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.keys import ProviderKeys, deltas_key
from penstock_schemas.status import JobState
from penstock_schemas.unkept import OWN_WORDS, unkept, without_answer

logger = logging.getLogger("penstock.steward")

#: How long the answer can be fetched in workspaces that store nothing, in seconds after the end.
FETCHABLE_S = 600.0
#: How much later answers that came after their job's end are looked for.
LATE_S = 86_400.0
#: Jobs of one page, and pages of one round.
PAGE = 200
PAGES = 20
#: Rows of a backfill in one page.
ROWS = 2000
#: When a workspace is looked at again that has nothing more due, in seconds, by its days.
_REST_S, _REST_0_S = 600.0, 30.0
#: Answers that are in memory at the same time: each may have megabytes.
_ANSWERS = 10


class Retention:
    """Drops what workspaces keep no more. `fetchable_s` and `late_s` in seconds."""

    def __init__(
        self,
        redis: ArqRedis,
        ledger: Ledger,
        *,
        fetchable_s: float = FETCHABLE_S,
        late_s: float = LATE_S,
    ) -> None:
        self._redis = redis
        self._ledger = ledger
        self._fetchable_s = fetchable_s
        self._late_s = late_s

    async def run(self) -> int:
        """One round of bounded work; returns how many jobs it went over."""
        await self._ledger.fetch("retention_begin")
        total = 0
        for _ in range(PAGES):
            jobs = await self._page()
            if jobs is None:
                break
            total += jobs
        for _ in range(PAGES):
            if not await self._backfill_page():
                break
        if total:
            logger.info("retention.done", extra={"jobs": total})
        return total

    async def _page(self) -> int | None:
        """One page of the workspace that is due; None when none is."""
        acquired = self._ledger.pool.acquire(timeout=self._ledger.deadline_s)
        async with acquired as connection, connection.transaction():
            due = await self._ledger.fetch(
                "retention_next", self._fetchable_s, self._late_s, connection=connection
            )
            if not due:
                return None
            turn = due[0]
            place = (turn["finished_at"], turn["job_id"], turn["ended_before"])
            jobs = await self._ledger.fetch(
                "retention_jobs", turn["workspace"], *place, PAGE, connection=connection
            )
            pieces = await self._strip(connection, turn["workspace"], jobs) if jobs else []
            ended = (turn["workspace"], turn["ended_before"], PAGE)
            runs = await self._ledger.fetch("retention_runs", *ended, connection=connection)
            last = (jobs[-1]["finished_at"], jobs[-1]["id"]) if jobs else (None, None)
            rest_s = _REST_0_S if turn["retention_days"] == 0 else _REST_S
            again_s = 0.0 if PAGE in {len(jobs), len(runs)} else rest_s
            await self._ledger.fetch(
                "retention_done", turn["workspace"], turn["pass"], *last, again_s,
                connection=connection,
            )  # fmt: skip
        await self._forget_pieces(pieces)
        return len(jobs)

    async def _backfill_page(self) -> bool:
        """One page of a backfill whose time is over: first of its jobs, then of its rows."""
        fetch = self._ledger.fetch
        acquired = self._ledger.pool.acquire(timeout=self._ledger.deadline_s)
        async with acquired as connection, connection.transaction():
            due = await fetch("retention_backfill", self._fetchable_s, connection=connection)
            if not due:
                return False
            known, last_row = due[0]["id"], due[0]["stripped_rows"]
            args = (known, due[0]["stripped"], PAGE)
            jobs = await fetch("retention_backfill_jobs", *args, connection=connection)
            pieces: list[str] = []
            last_job = due[0]["stripped"]
            if jobs:
                pieces = await self._strip(connection, due[0]["workspace"], jobs)
                last_job = jobs[-1]["id"]
            else:
                upto = last_row + ROWS
                await fetch("retention_backfill_rows", known, last_row, upto, connection=connection)
                last_row = upto
            done = (known, last_job, last_row)
            await fetch("retention_backfill_done", *done, connection=connection)
        await self._forget_pieces(pieces)
        return True

    async def _strip(self, connection: Any, workspace: str, jobs: Sequence[Any]) -> list[str]:
        """Strip the jobs of one page; returns the keys of what Redis may still hold of them."""
        job_ids = [job["id"] for job in jobs]
        await self._strip_answers(connection, workspace, job_ids)
        kinds = sorted(OWN_WORDS)
        called = await self._ledger.fetch(
            "retention_forget", job_ids, workspace, kinds, connection=connection
        )
        places = {(row["job_id"], row["provider"]) for row in called}
        places |= {(job["id"], job["provider"]) for job in jobs}
        return [
            name
            for job_id, provider in places
            for name in _pieces(ProviderKeys(provider), str(job_id))
        ]

    async def _strip_answers(
        self, connection: Any, workspace: str, job_ids: Sequence[UUID]
    ) -> None:
        stored = await connection.cursor(query("retention_answers"), job_ids, workspace)
        while rows := await stored.fetch(_ANSWERS, timeout=self._ledger.deadline_s):
            bodies = [_stripped(row, workspace) for row in rows]
            new = [
                (row["job_id"], row["number"], body)
                for row, body in zip(rows, bodies, strict=True)
                if body != row["body"]
            ]
            if new:
                columns = (list(column) for column in zip(*new, strict=True))
                await self._ledger.fetch(
                    "retention_strip", *columns, workspace, connection=connection
                )

    async def _forget_pieces(self, names: Sequence[str]) -> None:
        """Streamed pieces and cached results expire by themselves; this is only sooner."""
        pipeline: Any = cast("Any", self._redis).pipeline(transaction=False)
        try:
            async with pipeline:
                for name in names:
                    pipeline.unlink(name)
                await pipeline.execute()
        except REDIS_AWAY as error:
            logger.warning("retention.pieces_left", extra={"reason": str(error)})


def _pieces(keys: ProviderKeys, job_id: str) -> tuple[str, str]:
    return deltas_key(job_id), keys.result(job_id)


def _stripped(row: Any, workspace: str) -> bytes:
    try:
        return without_answer(row["body"])
    except ValueError:  # nobody can read it as a result, so nothing is lost that could be kept
        job_id = str(row["job_id"])
        logger.exception("retention.unreadable", extra={"job_id": job_id})
        return unkept(job_id, WorkspaceId(workspace), JobState(row["state"]))


async def drop_old_partitions(ctx: dict[str, Any]) -> int:
    """The arq function that drops the weeks beyond `keep_weeks`; returns how many tables."""
    weeks: int | None = ctx["keep_weeks"]
    dropped = 0
    while weeks is not None:
        rows = await ctx["ledger"].fetch("drop_old_partition", weeks)
        name = rows[0]["dropped"]
        if name is None:
            break
        dropped += 1
        logger.info("partition.dropped", extra={"partition": name})
    return dropped
