"""Brings index and ledger together for jobs whose place in the index is in doubt.

Used by workers (a claim that the ledger refused, a reroute) and by the steward. The ledger
decides: what ended is left out, what is fenced comes back only after a lease has passed, and
whatever is put in twice is refused by the ledger when it is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from penstock_client.ledger import Ledger, StandingJob
from penstock_schemas.status import JobState
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.leases import LEASE_S

IndexOf = Callable[[str], ProviderIndex]
#: A job that the ledger says is running has this long to show its lease, in ms.
_DOUBT_MS = int(2 * LEASE_S * 1000)
_CHUNK = 500


async def reindex_by_ledger(ledger: Ledger, index_of: IndexOf, job_ids: Sequence[UUID]) -> None:
    """Put these jobs where the ledger says they stand. Raises when Redis or Postgres is away."""
    await put_in_place(index_of, await ledger.standing("standing", list(job_ids)))


async def put_in_place(index_of: IndexOf, jobs: Sequence[StandingJob]) -> None:
    """Index jobs by where they stand; safe to repeat."""
    free: defaultdict[str, list[StandingJob]] = defaultdict(list)
    fenced: defaultdict[str, list[StandingJob]] = defaultdict(list)
    for job in jobs:
        if job.state.is_terminal or job.state is JobState.BLOCKED:
            continue
        if job.fence is None:
            free[job.provider].append(job)
        else:
            fenced[job.provider].append(replace(job, wait_ms=_DOUBT_MS))
    for lapsed, groups in ((False, free), (True, fenced)):
        for provider, group in groups.items():
            for first in range(0, len(group), _CHUNK):
                chunk = group[first : first + _CHUNK]
                await index_of(provider).reindex(chunk, lapsed=lapsed)
