"""Why a job waits: what the ledger and its provider's index say of it, put together for people.

Reads only, a bounded number of them, and a moment old. The index may know nothing, for instance
while it is rebuilt; the explanation then says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.gates import GateState, described, recheck
from penstock_client.index_state import LimitState
from penstock_client.job_place import JobPlace, look
from penstock_client.ledger import Ledger
from penstock_client.starting import COUNTED_FROM_S, estimated_start
from penstock_schemas.errors import UnknownJob
from penstock_schemas.ids import JobId
from penstock_schemas.status import AttemptState, JobState, Lane

_ENDS_BY_ITSELF = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSeen:
    """One call of a job, or the start of one; `cost_usd` None is not known, which is not free."""

    number: int
    state: str
    provider: str
    model: str
    worker: str
    started_at: datetime
    duration_ms: int | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExplanation:
    """Where a job stands and why.

    `why` is one sentence. While the job waits: `gate` is what keeps its queue (None: its turn),
    `until` when that is looked at again, `place` its place in its own queue of `queued` jobs, from
    1, and `estimated_start` when it may start if things go on as they do, None where that is not
    known. Where a limit, breaker or credential keeps it, `limit` or `shut` has all of that. `notes`
    are further things to know, as sentences. `routes` are where it may go, best first. `cost_usd`
    sums up what its attempts cost, None where one of them is not known.

    While a worker has it, `leased_until` is when others may take it over unless that is renewed.
    `credential` is what its workspace uses at the provider, None once it has ended. `tokens_used`
    of `token_budget` (None: without bounds) are its workspace's of this month.
    """

    job_id: JobId
    workspace: str
    capability: str
    state: JobState
    lane: str
    provider: str
    model: str
    why: str
    credential: str | None = None
    gate: str | None = None
    limit: LimitState | None = None
    shut: GateState | None = None
    until: datetime | None = None
    place: int | None = None
    queued: int | None = None
    estimated_start: datetime | None = None
    leased_until: datetime | None = None
    tokens_used: int = 0
    token_budget: int | None = None
    notes: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    attempts: tuple[AttemptSeen, ...] = ()
    cost_usd: Decimal | None = Decimal(0)


async def explain_job(ledger: Ledger, redis: ArqRedis, job_id: JobId) -> JobExplanation:
    """Explain one job; raises UnknownJob, Unavailable, and redis errors when Redis is away."""
    rows = await ledger.fetch_safely("explain_job", UUID(job_id))
    if not rows:
        raise UnknownJob(job_id)
    row, state = rows[0], JobState(rows[0]["state"])
    attempts = seen_attempts(await ledger.attempts(UUID(job_id)))
    costs = [attempt.cost_usd for attempt in attempts if attempt.state != "returned"]
    common: dict[str, Any] = {
        "job_id": job_id,
        "workspace": row["workspace"],
        "capability": row["capability"],
        "state": state,
        "lane": Lane(row["lane"]).label,
        "provider": row["provider"],
        "model": row["model"],
        "routes": tuple(row["routes"] or ()),
        "attempts": attempts,
        "cost_usd": None if None in costs else sum((c for c in costs if c), Decimal(0)),
        "tokens_used": row["tokens_used"] or 0 if row["budget_counts"] else 0,
        "token_budget": row["token_budget"],
    }
    if state.is_terminal:
        return JobExplanation(**common, why=_how_it_ended(row, state, attempts))
    place = await look(redis, row)
    common |= {"credential": place.credential, "leased_until": place.leased_until}
    common["notes"] = _notes(row, place)
    if state is JobState.RUNNING:
        return JobExplanation(**common, why=_how_it_runs(place, attempts))
    return JobExplanation(**common, **_why_it_waits(row, place))


def _why_it_waits(row: Any, place: JobPlace) -> dict[str, Any]:
    if row["state"] == JobState.BLOCKED:
        return {"why": "it waits for other jobs to finish first"}
    if place.index != "open":
        state = place.index or "empty"
        return {"why": f"the index of {row['provider']} is {state}: a steward opens it again"}
    if row["available_at"] and row["available_at"] > place.now:
        why = f"it waits to be tried again after {row['last_error'] or 'a failure'}"
        return {"why": why, "until": row["available_at"], "estimated_start": row["available_at"]}
    if place.leased:
        return {"why": "a worker has claimed it and is about to start it"}
    if place.leased_until is not None:
        return {"why": "its worker is gone: the next claim takes it back"}
    if place.rank is None:
        return {"why": "it is not in the index yet: a steward puts it there within a minute or two"}
    start = estimated_start(
        place, input_tokens=row["input_tokens_est"], output_tokens=row["output_tokens_est"]
    )
    told: dict[str, Any] = {"place": place.rank + 1, "queued": place.queued}
    told["estimated_start"] = start if place.workers else None
    if place.gate is None:
        return {**told, "why": _turn(row, place)}
    why = f"its queue is kept by {described(place.gate)}{_details(place)}"
    kept = {"gate": place.gate, "limit": place.limit, "shut": place.shut, "until": place.until}
    return {**told, **kept, "why": why}


def _turn(row: Any, place: JobPlace) -> str:
    if not place.workers:
        return f"no worker of {row['provider']} is running"
    others = max(0, place.workspaces - 1)
    told = f", with {others} other workspace{'s' if others != 1 else ''} in turn" if others else ""
    return f"it waits for its turn and a free slot{told}"


def _details(place: JobPlace) -> str:
    if place.limit is not None:
        return f": {place.limit.amount}, {place.limit.source}{_use(place.limit)}"
    reason = place.shut.reason if place.shut is not None else place.reason
    return f": {reason}" if reason else ""


def _use(limit: LimitState) -> str:
    told = f", of which {limit.share:.0%} is used now" if limit.share < 0.995 else ""
    if limit.used is None:
        return told
    when = "are used up" if limit.window_s >= COUNTED_FROM_S else "run now"
    return f"{told}, {limit.used} {when}"


def _how_it_runs(place: JobPlace, attempts: tuple[AttemptSeen, ...]) -> str:
    if not attempts:
        return "a worker is starting it"
    last = attempts[-1]
    if not place.leased:
        return "its worker is gone or Redis was: it runs again once its lease has passed"
    running_s = (place.now - last.started_at).total_seconds()
    where = f"at {last.provider}/{last.model}, by worker {last.worker}"
    return f"attempt {last.number} runs {where}, for {running_s:.1f} s"


def _how_it_ended(row: Any, state: JobState, attempts: tuple[AttemptSeen, ...]) -> str:
    when = row["finished_at"].strftime("%Y-%m-%d %H:%M:%S UTC")
    tries = f"after {len(attempts)} attempt{'s' if len(attempts) != 1 else ''}"
    reason = f": {row['last_error']}" if state is not JobState.SUCCEEDED else ""
    verb = state.label if state in _ENDS_BY_ITSELF else f"was {state.label}"
    return f"it {verb} at {when} {tries}{reason}"


def _notes(row: Any, place: JobPlace) -> tuple[str, ...]:
    found: list[str] = []
    budget, used = row["token_budget"], row["tokens_used"] or 0
    if budget is not None and row["budget_counts"] and used >= budget:
        then = "the job fails when its turn comes"
        if row["on_budget"] == "wait":
            then = f"the job waits until {row['budget_resets_at']:%Y-%m-%d %H:%M} UTC or for more"
        found.append(
            f"workspace {row['workspace']} has used {used:,} of its {budget:,} "
            f"tokens of this month: {then}"
        )
    if row["state"] != JobState.RUNNING:
        found += _who_could_run_it(row, place)
        found += _about_gate(row, place)
    if row["wait_until"]:
        found.append(
            f"at {row['wait_until']:%H:%M:%S} it takes its next route or fails: max_queue_wait_s"
        )
    if row["deadline"]:
        found.append(f"at {row['deadline']:%Y-%m-%d %H:%M:%S} it expires, by its deadline")
    return tuple(found)


def _who_could_run_it(row: Any, place: JobPlace) -> list[str]:
    provider = row["provider"]
    if not place.workers:
        start = f"start a worker: penstock worker --provider {provider}"
        if place.worker_seen is None:
            return [start]
        return [f"the last worker was seen at {place.worker_seen:%Y-%m-%d %H:%M:%S}", start]
    if place.turn is None or place.gate is not None:
        return []
    whose = f"{row['workspace']} is number {place.turn + 1} of {place.workspaces} workspaces"
    return [f"{whose} in turn; {place.running:,} jobs run at {provider}"]


def _about_gate(row: Any, place: JobPlace) -> list[str]:
    shut, limit = place.shut, place.limit
    found: list[str] = []
    if shut is not None:
        since = f"shut since {shut.since:%Y-%m-%d %H:%M:%S}" if shut.since else "shut"
        calls = "1 call is" if shut.probes == 1 else f"{shut.probes} calls are"
        trying = f", {calls} trying it" if shut.probes else ""
        found.append(f"{since}{trying}; tried at once: {recheck(row['provider'], shut.name)}")
    if limit is not None and limit.refused and limit.refused_at:
        found.append(
            f"{row['provider']} has refused {limit.refused:,} calls at this limit, "
            f"the last at {limit.refused_at:%Y-%m-%d %H:%M:%S}"
        )
    if place.beside > 1:
        found.append(f"other queues that wait at the same gate: {place.beside - 1:,}")
    return found


def seen_attempts(records: Sequence[Any]) -> tuple[AttemptSeen, ...]:
    """Attempts from the rows of the ledger."""
    return tuple(_attempt(record) for record in records)


def _attempt(record: Any) -> AttemptSeen:
    kind, message = record["error_kind"], record["error_message"]
    return AttemptSeen(
        number=record["number"],
        state=AttemptState(record["state"]).label,
        provider=record["provider"],
        model=record["model"],
        worker=record["worker"],
        started_at=record["started_at"],
        duration_ms=record["duration_ms"],
        error=f"{kind}: {message}" if kind and message else kind,
        input_tokens=record["input_tokens"],
        output_tokens=record["output_tokens"],
        cost_usd=record["cost_usd"],
    )
