"""Why a job waits: what the ledger and its provider's index say of it, put together for people.

Reads only, a bounded number of them, and a moment old. The index may know nothing, for instance
while it is rebuilt; the explanation then says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from arq.connections import ArqRedis

from penstock_client.entries import Entry, Flow, capability_code
from penstock_client.gates import bucket_of, described, moment
from penstock_client.ledger import Ledger
from penstock_client.presence import ALIVE_S
from penstock_schemas.errors import UnknownJob
from penstock_schemas.ids import JobId
from penstock_schemas.keys import ProviderKeys
from penstock_schemas.status import AttemptState, JobState, Lane

_MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSeen:
    """One call of a job, or the start of one; `cost_usd` None is not known, which is not free."""

    number: int
    state: str
    provider: str
    model: str
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
    known. `notes` are further things to know, as sentences. `routes` are where it may go, best
    first. `cost_usd` sums up what its attempts cost, None where one of them is not known.
    """

    job_id: JobId
    workspace: str
    capability: str
    state: JobState
    lane: str
    provider: str
    model: str
    why: str
    gate: str | None = None
    until: datetime | None = None
    place: int | None = None
    queued: int | None = None
    estimated_start: datetime | None = None
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
    attempts = tuple(_attempt(record) for record in await ledger.attempts(UUID(job_id)))
    costs = [attempt.cost_usd for attempt in attempts if attempt.state != "returned"]
    common: dict[str, Any] = {
        "job_id": job_id,
        "workspace": row["workspace"],
        "capability": row["capability"],
        "state": state,
        "lane": Lane(row["lane"]).label,
        "provider": row["provider"],
        "model": row["model"],
        "routes": tuple(orjson.loads(row["routes"])) if row["routes"] else (),
        "attempts": attempts,
        "cost_usd": None if None in costs else sum((c for c in costs if c), Decimal(0)),
    }
    if state.is_terminal:
        return JobExplanation(**common, why=_how_it_ended(row, state, attempts))
    seen = await _look(redis, row)
    if state is JobState.RUNNING:
        return JobExplanation(**common, why=_how_it_runs(seen, attempts), notes=_notes(row, seen))
    return JobExplanation(**common, **_why_it_waits(row, seen), notes=_notes(row, seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the index of the job's provider says."""

    now: datetime
    index: str
    leased: bool
    gate: str | None
    rank: int | None
    queued: int
    flows: int
    workers: int
    claimed_a_second: float
    wake: datetime | None = None
    beside: int = 0
    details: Mapping[bytes, bytes] | bytes | None = None


async def _look(redis: ArqRedis, row: Any) -> _Seen:
    base = ProviderKeys(row["provider"]).base
    flow = Flow(row["workspace"], row["lane"], row["model"], row["limit_tag"] or "").name
    entry = Entry(
        row["id"],
        row["input_tokens_est"],
        row["output_tokens_est"],
        row["placement_version"],
        capability_code(row["capability"]),
    ).pack()
    commands: Any = redis
    seconds, micros = await commands.time()
    minute = seconds // _MINUTE_S
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.hget(f"{base}epoch", "state")
        pipeline.hexists(f"{base}held", row["id"].bytes)
        pipeline.hget(f"{base}at", flow)
        pipeline.zrank(f"{base}q:{flow}", entry)
        pipeline.zcard(f"{base}q:{flow}")
        for tree in "ibz":
            pipeline.zcard(f"{base}{tree}turns")
        pipeline.zcount(f"{base}workers", (seconds - ALIVE_S) * 1000, "+inf")
        pipeline.mget(f"{base}pace:{minute}", f"{base}pace:{minute - 1}")
        pipeline.hkeys(f"{base}paused")
        pipeline.hgetall(f"{base}shut")
        pipeline.hget(f"{base}credentials", row["workspace"])
        found: list[Any] = await pipeline.execute()
    index, leased, at, rank, queued, *turns, workers, pace, paused, shut, credential = found
    gate = _gate(row, at, paused, shut, (credential or b"platform").decode())
    claimed = sum(int(count or 0) for count in pace)
    seen: dict[str, Any] = {
        "now": datetime.fromtimestamp(seconds + micros / 1e6, UTC),
        "index": (index or b"").decode(),
        "leased": bool(leased),
        "gate": gate,
        "rank": rank,
        "queued": queued,
        "flows": sum(turns),
        "workers": workers,
        "claimed_a_second": claimed / (_MINUTE_S + seconds % _MINUTE_S),
    }
    if gate is None:
        return _Seen(**seen)
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.zscore(f"{base}parked", gate)
        pipeline.zcard(f"{base}w:{gate}")
        if gate.startswith("pause:"):
            pipeline.hget(f"{base}paused", gate.removeprefix("pause:"))
        else:
            pipeline.hgetall(f"{base}{bucket_of(gate)}")
        wake, beside, details = await pipeline.execute()
    return _Seen(**seen, wake=moment(wake), beside=beside, details=details)


def _gate(
    row: Any, at: bytes | None, paused: list[bytes], shut: Mapping[bytes, bytes], credential: str
) -> str | None:
    """What keeps the job's queue; a queue that nobody has looked at yet is kept all the same."""
    model = row["model"]
    scopes = ("provider", f"lane:{row['lane']}", f"workspace:{row['workspace']}")
    for scope in (*scopes, f"model:{model}", f"tag:{row['limit_tag']}"):
        if scope.encode() in paused:
            return f"pause:{scope}"
    if at is not None:
        return at.decode()
    gates = (f"model:{model}", f"credential:{credential}", f"access:{credential}/{model}")
    return next((f"gate:{gate}" for gate in gates if gate.encode() in shut), None)


def _why_it_waits(row: Any, seen: _Seen) -> dict[str, Any]:
    place: dict[str, Any] = {
        "place": None if seen.rank is None else seen.rank + 1,
        "queued": seen.queued,
    }
    if row["state"] == JobState.BLOCKED:
        return {"why": "it waits for other jobs to finish first"}
    if seen.index != "open":
        state = seen.index or "empty"
        return {"why": f"the index of {row['provider']} is {state}: a steward opens it again"}
    if row["available_at"] and row["available_at"] > seen.now:
        why = f"it waits to be tried again after {row['last_error'] or 'a failure'}"
        return {"why": why, "until": row["available_at"], "estimated_start": row["available_at"]}
    if seen.rank is None and not seen.leased:
        return {"why": "it is not in the index yet: a steward puts it there within a minute or two"}
    if seen.gate is not None:
        told = f"its queue is kept by {described(seen.gate)}{_details(seen)}"
        start = _start_at_gate(row, seen)
        return {
            **place,
            "why": told,
            "gate": seen.gate,
            "until": seen.wake,
            "estimated_start": start,
        }
    return {**place, "why": _turn(row, seen), "estimated_start": _start_by_turn(seen)}


def _turn(row: Any, seen: _Seen) -> str:
    if not seen.workers:
        return f"no worker of {row['provider']} is running"
    if seen.leased:
        return "a worker has claimed it and is about to start it"
    others = max(0, seen.flows - 1)
    told = f", with {others} other workspace{'s' if others != 1 else ''} in turn" if others else ""
    return f"it waits for its turn and a free slot{told}"


def _details(seen: _Seen) -> str:
    fields = seen.details
    if isinstance(fields, bytes):
        return f": {fields.decode(errors='replace')}" if fields else ""
    if not fields:
        return ""
    if reason := fields.get(b"reason"):
        return f": {reason.decode(errors='replace')}"
    if b"amount" not in fields:
        return ""
    amount, source = fields[b"amount"].decode(), fields.get(b"source", b"").decode()
    share = float(fields.get(b"factor", b"1"))
    told = f", of which {share:.0%} is used now" if share < 0.995 else ""
    return f": {amount}, {source}{told}"


def _start_at_gate(row: Any, seen: _Seen) -> datetime | None:
    """When the gate opens, and the jobs before it have gone at the limit's pace."""
    fields = seen.details
    if seen.wake is None or seen.gate is None:
        return None
    start = max(seen.wake, seen.now)
    if isinstance(fields, Mapping) and b"amount" in fields and seen.gate.startswith("b:"):
        unit, _, window_ms = bucket_of(seen.gate).rpartition("|")[2].partition("/")
        each = {
            "requests": 1,
            "input_tokens": row["input_tokens_est"],
            "output_tokens": row["output_tokens_est"],
        }.get(unit, float(fields.get(b"each", b"1")))
        pace = float(fields[b"amount"]) * float(fields.get(b"factor", b"1"))
        ahead = (seen.rank or 0) * max(1, seen.beside)
        return start + timedelta(milliseconds=ahead * each * float(window_ms) / pace)
    return start


def _start_by_turn(seen: _Seen) -> datetime | None:
    """After the jobs before it, at the pace of the last minutes; None where nothing moves."""
    if not seen.workers or not seen.claimed_a_second or seen.rank is None:
        return None
    ahead = seen.rank * max(1, seen.flows)
    return seen.now + timedelta(seconds=ahead / seen.claimed_a_second)


def _how_it_runs(seen: _Seen, attempts: tuple[AttemptSeen, ...]) -> str:
    if not attempts:
        return "a worker is starting it"
    last = attempts[-1]
    if not seen.leased:
        return "its worker is gone or Redis was: it runs again once its lease has passed"
    running_s = (seen.now - last.started_at).total_seconds()
    return f"attempt {last.number} runs at {last.provider}/{last.model} for {running_s:.1f} s"


def _how_it_ended(row: Any, state: JobState, attempts: tuple[AttemptSeen, ...]) -> str:
    when = row["finished_at"].strftime("%Y-%m-%d %H:%M:%S")
    tries = f"after {len(attempts)} attempt{'s' if len(attempts) != 1 else ''}"
    reason = f": {row['last_error']}" if state is not JobState.SUCCEEDED else ""
    return f"it {state.label} at {when} {tries}{reason}"


def _notes(row: Any, seen: _Seen) -> tuple[str, ...]:
    found: list[str] = []
    budget = row["token_budget"]
    if budget is not None and row["budget_counts"] and row["tokens_used"] >= budget:
        found.append(
            f"workspace {row['workspace']} has used {row['tokens_used']:,} of its {budget:,} "
            "tokens of this month: the job fails when its turn comes"
        )
    if not seen.workers and row["state"] != JobState.RUNNING:
        found.append(f"start a worker: penstock worker --provider {row['provider']}")
    if row["wait_until"]:
        found.append(
            f"at {row['wait_until']:%H:%M:%S} it takes its next route or fails: max_queue_wait_s"
        )
    if row["deadline"]:
        found.append(f"at {row['deadline']:%Y-%m-%d %H:%M:%S} it expires, by its deadline")
    return tuple(found)


def _attempt(record: Any) -> AttemptSeen:
    kind, message = record["error_kind"], record["error_message"]
    return AttemptSeen(
        number=record["number"],
        state=AttemptState(record["state"]).label,
        provider=record["provider"],
        model=record["model"],
        started_at=record["started_at"],
        duration_ms=record["duration_ms"],
        error=f"{kind}: {message}" if kind and message else kind,
        input_tokens=record["input_tokens"],
        output_tokens=record["output_tokens"],
        cost_usd=record["cost_usd"],
    )
