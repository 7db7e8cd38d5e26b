"""Searching a workspace's jobs, for people: bounded, however many there are.

Postgres looks at so many of the newest jobs and says how far back that was; older ones are searched
by going on from there. Jobs that have not ended, and those that failed for one reason, have indexes
of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from penstock_client.job_reads import JobSeen, seen_job
from penstock_client.ledger import Ledger
from penstock_schemas.ids import JobId
from penstock_schemas.status import JobState

#: Jobs that one search looks at.
SCANNED: Final = 10_000
#: Failed jobs of a kind are counted so far.
COUNTED: Final = 10_000
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSearch:
    """Which jobs of a workspace, newest first. None: any.

    `since` and `until` are when they were submitted, `before` the last ID seen. `error` finds those
    that ended without an answer for that reason, and then nothing else chooses.
    """

    workspace: str
    states: tuple[JobState, ...] | None = None
    capability: str | None = None
    skill: str | None = None
    step: str | None = None
    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    session_key: str | None = None
    configuration: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: JobId | None = None
    limit: int = 50

    @property
    def chosen(self) -> tuple[str | None, ...]:
        """What chooses beside states and time."""
        return (
            self.capability,
            self.skill,
            self.step,
            self.agent,
            self.provider,
            self.model,
            self.session_key,
            self.configuration,
        )


@dataclass(frozen=True, slots=True)
class JobsFound:
    """Some jobs; `before` leads on to the next ones, and is None when there are no more.

    `horizon` is None, or the time to which the search came: what is older was not looked at.
    """

    jobs: Sequence[JobSeen]
    before: JobId | None
    horizon: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFor:
    """Jobs that ended without an answer for one reason, counted to `COUNTED`."""

    kind: str
    jobs: int
    newest: datetime


async def search_jobs(ledger: Ledger, search: JobSearch) -> JobsFound:
    """The jobs that a search finds; raises Unavailable."""
    first = _FIRST if search.since is None else _id_at(search.since)
    bounds = [_LAST if search.until is None else _id_at(search.until)]
    if search.before is not None:
        bounds.append(UUID(search.before))
    last = min(bounds)
    if search.error is not None:
        args = (search.workspace, search.error, first, last, search.limit + 1)
        rows: Sequence[Any] = await ledger.fetch_safely("search_failed_jobs", *args)
        return _found(rows, search.limit)
    wanted = None if search.states is None else list(search.states)
    live = wanted is not None and not any(state.is_terminal for state in wanted)
    chooses = wanted is not None or any(value is not None for value in search.chosen)
    scanned = SCANNED if chooses else search.limit + 1
    rows = await ledger.fetch_safely(
        "search_live_jobs" if live else "search_jobs",
        search.workspace,
        first,
        last,
        scanned,
        search.limit + 1,
        wanted,
        *search.chosen,
    )
    extent = rows[0]
    found = _found([row for row in rows if row["id"] is not None], search.limit)
    if live or found.before is not None or not chooses or extent["scanned"] < scanned:
        return found
    horizon: UUID = extent["horizon"]
    return JobsFound(found.jobs, JobId(str(horizon)), _time_of(horizon))


async def failed_reasons(
    ledger: Ledger, workspace: str, *, since: datetime | None = None
) -> list[FailedFor]:
    """Why a workspace's jobs ended without an answer, the most frequent first."""
    first = _FIRST if since is None else _id_at(since)
    rows = await ledger.fetch_safely("failed_reasons", workspace, first, COUNTED)
    return [
        FailedFor(kind=row["kind"], jobs=row["jobs"], newest=_time_of(row["newest"]))
        for row in rows
    ]


def _found(rows: Sequence[Any], limit: int) -> JobsFound:
    jobs = [
        seen_job({name: value for name, value in row.items() if name not in _EXTENT})
        for row in rows[:limit]
    ]
    return JobsFound(jobs, jobs[-1].job_id if len(rows) > limit else None)


_EXTENT = frozenset({"scanned", "horizon"})


def _id_at(moment: datetime) -> UUID:
    """The smallest job ID of a moment: they are UUIDv7, which begin with the time in ms."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def _time_of(job_id: UUID) -> datetime:
    return datetime.fromtimestamp((job_id.int >> 80) / 1000, UTC)
