"""`penstock.backfills`: start backfills, follow them, steer them, read what they gave.

A backfill is loaded page by page and then committed; from there on stewards carry it, and no
process of its producer has to stay alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import from_json

from penstock_client.backfill.exporting import Exported, exported_rows
from penstock_client.backfill.limit_share import limit_share_of
from penstock_client.backfill.options import BackfillOptions
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.rows import status_of
from penstock_client.backfill.starting import BackfillStarts, known_id
from penstock_client.cancelling import cancel
from penstock_schemas.backfills import BackfillState, BackfillStatus
from penstock_schemas.errors import InvalidJob, ResultTimeout, UnknownBackfill

if TYPE_CHECKING:
    from penstock_client.client import Penstock

OnStatus = Callable[[BackfillStatus], object]
_MOST: Final = 1000
_POLL_S, _SHARE_S = 0.25, 2.0
_STOP_JOBS: Final = 1000


class Backfills(BackfillStarts):
    """Backfills. Every method raises Unavailable where Postgres stays away."""

    async def get(self, backfill_id: str, *, share: bool = False) -> BackfillStatus:
        """How a backfill stands; raises UnknownBackfill.

        With `share` also which share of a provider's limits is in use, which asks Redis.
        """
        row = await self._row(backfill_id)
        in_use = await limit_share_of(self._penstock, row) if share else None
        return status_of(row, limit_share=in_use)

    async def plan(self, backfill_id: str) -> Plan:
        """What a backfill asks of its rows; raises UnknownBackfill."""
        return plan_of(await self._row(backfill_id))

    async def list(
        self,
        workspace: str,
        *,
        state: BackfillState | str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[BackfillStatus]:
        """A workspace's backfills, newest first; page on with `before`, the last ID seen."""
        await self._penstock.workspaces.get(workspace)
        last = None if before is None else known_id(before)
        if not 1 <= limit <= _MOST:
            raise InvalidJob(f"limit: must be 1 to {_MOST}", field="limit")
        args = (workspace, BackfillState.of(state), last, limit)
        rows = await self._ledger.fetch_safely("backfill_list", *args)
        return [status_of(row) for row in rows]

    async def wait(
        self,
        backfill_id: str,
        *,
        timeout_s: float | None = None,
        progress: OnStatus | None = None,
    ) -> BackfillStatus:
        """Return once the backfill has ended or is paused, with how it stands then.

        `progress` is called about twice a second. Raises UnknownBackfill, ResultTimeout.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async for status in self.follow(backfill_id):
                    if progress is not None:
                        progress(status)
                    if status.status is BackfillState.PAUSED or status.status.is_terminal:
                        return status
        except TimeoutError:
            raise ResultTimeout(str(known_id(backfill_id)), timeout_s or 0) from None
        raise UnknownBackfill(backfill_id)

    async def follow(self, backfill_id: str) -> AsyncIterator[BackfillStatus]:
        """How the backfill stands, each time that has changed, and at least every two seconds."""
        version, share, looked_at, told_at = -1, None, float("-inf"), float("-inf")
        clock = asyncio.get_running_loop().time
        while True:
            row, now = await self._row(backfill_id), clock()
            if row["state"] == BackfillState.RUNNING and now - looked_at >= _SHARE_S:
                share, looked_at = await limit_share_of(self._penstock, row), now
            if row["version"] != version or now - told_at >= _SHARE_S:
                version, told_at = row["version"], now
                yield status_of(row, limit_share=share)
            await asyncio.sleep(_POLL_S)

    async def pause(self, backfill_id: str, *, reason: str = "") -> BackfillStatus:
        """Start no more rows of a running backfill; what is under way goes on. Idempotent."""

        async def change(row: Any, connection: Any) -> None:
            if row["state"] == BackfillState.RUNNING:
                args = (row["id"], BackfillState.PAUSED, reason[:500] or "by hand", False)
                await self._ledger.fetch("backfill_set", *args, connection=connection)
            else:
                _refuse_loading(row, "paused")

        await self._locked(known_id(backfill_id), change)
        return await self.get(backfill_id)

    async def resume(
        self, backfill_id: str, *, changes: Mapping[str, Any] | None = None
    ) -> BackfillStatus:
        """Let a paused backfill go on, also after a dry run; one that runs only gets the `changes`.

        These are `window`, `max_cost_usd` and `max_error_rate`. Raises UnknownBackfill, and
        InvalidJob for a backfill that has ended or is being loaded.
        """
        given = dict(changes or {})

        async def change(row: Any, connection: Any) -> None:
            state = BackfillState(row["state"])
            _refuse_loading(row, "resumed")
            if state.is_terminal:
                told = f"backfill {row['id']} has ended: it {state.label}"
                raise InvalidJob(told, field="backfill_id")
            now = BackfillOptions.of(
                {
                    "max_cost_usd": given.get("max_cost_usd", row["max_cost_usd"]),
                    "max_error_rate": given.get("max_error_rate", row["max_error_rate"]),
                    "window": given.get("window", row["row_window"]),
                }
            )
            args = (row["id"], now.max_cost_usd, now.max_error_rate, now.window)
            await self._ledger.fetch("backfill_resume", *args, connection=connection)

        await self._locked(known_id(backfill_id), change)
        return await self.get(backfill_id)

    async def retry_failed(self, backfill_id: str) -> int:
        """Ask the failed rows again, as new jobs; gives how many rows. Idempotent.

        Rows that could not be asked stay as they are. Raises UnknownBackfill, and InvalidJob for a
        backfill that was cancelled, is being loaded, or whose rows are no longer kept.
        """

        async def change(row: Any, connection: Any) -> int:
            _refuse_loading(row, "retried")
            if row["state"] == BackfillState.CANCELLED:
                told = f"backfill {row['id']} was cancelled: start it anew"
                raise InvalidJob(told, field="backfill_id")
            if not row["kept"]:
                told = f"backfill {row['id']}: its rows are no longer kept"
                raise InvalidJob(told, field="backfill_id")
            rows = await self._long("backfill_retry", row["id"], connection=connection)
            return rows[0]["rows"]

        return await self._locked(known_id(backfill_id), change)

    async def cancel(self, backfill_id: str) -> BackfillStatus:
        """End a backfill now, with its calls under way; what was answered stays. Idempotent.

        Started again, rows that it has answers to are not asked again.
        """
        known = known_id(backfill_id)

        async def change(row: Any, connection: Any) -> None:
            if not BackfillState(row["state"]).is_terminal:
                args = (known, BackfillState.CANCELLED, "it was cancelled", True)
                await self._ledger.fetch("backfill_set", *args, connection=connection)

        await self._locked(known, change)
        await stop_jobs(self._penstock, known)
        return await self.get(backfill_id)

    def export(
        self, backfill_id: str, *, after: int = -1, every_row: bool = False
    ) -> AsyncIterator[Exported]:
        """The rows that have ended, in the order of the input, with their answers.

        Memory stays the same for any number of rows. Rows without an ID only with `every_row`.
        """
        return exported_rows(
            self._penstock, known_id(backfill_id), after=after, every_row=every_row
        )

    async def invalid_rows(
        self, backfill_id: str, *, after: int = -1, limit: int = 100
    ) -> list[str]:
        """Why the first rows after number `after` could not be asked, each with its place."""
        args = (known_id(backfill_id), after, limit)
        return [row["error"] for row in await self._ledger.fetch_safely("backfill_invalid", *args)]


async def stop_jobs(penstock: Penstock, backfill: UUID) -> None:
    """Cancel what is under way of a backfill. Safe to repeat; raises Unavailable."""
    seen: set[UUID] = set()
    while True:
        rows = await penstock.ledger.fetch_safely("backfill_stop_jobs", backfill, _STOP_JOBS)
        job_ids = [row["job_id"] for row in rows if row["job_id"] not in seen]
        if not job_ids:
            return
        seen.update(job_ids)
        await cancel(penstock.ledger, penstock.redis, job_ids)


def plan_of(row: Any) -> Plan:
    """The plan of a backfill's row."""
    return Plan.of(row["workspace"], from_json(row["plan"]))


def _refuse_loading(row: Any, what: str) -> None:
    if row["state"] == BackfillState.LOADING:
        told = f"backfill {row['id']} is being loaded: it cannot be {what} before it starts"
        raise InvalidJob(told, field="backfill_id")
