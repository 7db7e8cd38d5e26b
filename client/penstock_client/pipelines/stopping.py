"""What a run had begun is cancelled once it has ended: by whoever ended it, or else a steward."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from penstock_client.cancelling import cancel, cancel_waiting

if TYPE_CHECKING:
    from penstock_client.client import Penstock

_JOBS = 100_000


async def stop_run(penstock: Penstock, run_id: UUID, *, running: bool) -> None:
    """Cancel what waits of a run that has ended; with `running` calls under way too.

    Without it they may finish, and what they gave is there when the run is resumed. Safe to repeat.
    """
    ledger = penstock.ledger
    await ledger.fetch_safely("run_stop_calls", run_id, running)
    rows = await ledger.fetch_safely("run_unended_jobs", run_id, _JOBS)
    job_ids = [row["id"] for row in rows]
    if running:
        await cancel(ledger, penstock.redis, job_ids)
    else:
        await cancel_waiting(ledger, penstock.redis, job_ids)
    await ledger.fetch_safely("run_stopped", run_id)
