"""What a run waits for that somebody has to do."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from penstock_client.connections import REDIS_AWAY
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import JobId, first_id_at
from penstock_schemas.keys import ComputeKeys
from penstock_schemas.status import JobState

if TYPE_CHECKING:
    from penstock_client.client import Penstock

#: A worker says this often that it is there, and is gone after so long without a word; in seconds.
SEEN_EVERY_S: Final = 2.0
GONE_AFTER_S: Final = 10.0
#: Jobs that wait for less, in seconds, wait for their turn.
_LONG_S: Final = 2.0


async def waits_for(penstock: Penstock, run_id: UUID) -> list[str]:
    """What keeps a run: workers that its COMPUTE steps need, gates before jobs of its LLM steps."""
    return [*await _workers(penstock, run_id), *await _gates(penstock, run_id)]


async def _gates(penstock: Penstock, run_id: UUID) -> list[str]:
    """Why the oldest job of each step waits, where that is more than its turn."""
    before = first_id_at(datetime.now(UTC) - timedelta(seconds=_LONG_S))
    told: list[str] = []
    for row in await penstock.ledger.fetch_safely("run_waiting_jobs", run_id, before):
        try:
            found = await penstock.operations.explain(JobId(str(row["id"])))
        except (*REDIS_AWAY, Unavailable):
            continue
        if not found.state.is_terminal and found.state is not JobState.RUNNING:
            told.append(f"a job of {row['step']} ({found.job_id}): {found.why}")
    return told


async def _workers(penstock: Penstock, run_id: UUID) -> list[str]:
    """The commands that start workers which a run's COMPUTE steps wait for."""
    rows = await penstock.ledger.fetch_safely("run_waiting_calls", run_id)
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        module, _, function = row["function"].partition(":")
        modules[module].append(function)
    told: list[str] = []
    for module, functions in sorted(modules.items()):
        if await workers_of(penstock, module) == 0:
            names = ", ".join(sorted(functions))
            told.append(
                f"a worker that has {names}: start one with `penstock worker --compute {module}`"
            )
    return told


async def workers_of(penstock: Penstock, module: str) -> int | None:
    """How many workers have a module; None when Redis does not say."""
    commands: Any = penstock.redis
    try:
        seconds, _ = await commands.time()
        since = (seconds - GONE_AFTER_S) * 1000
        return await commands.zcount(ComputeKeys(module).workers, since, "+inf")
    except REDIS_AWAY:
        return None
