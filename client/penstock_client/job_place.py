"""Where one job stands in its provider's index: its queue, what keeps that, and who could serve it.

Read for people in three round trips, a moment old; nothing is written. `explaining.py` puts it into
words, `starting.py` estimates a start from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis

from penstock_client.entries import Entry, Flow, capability_code
from penstock_client.gates import GateState, bucket_of, gate_state, moment
from penstock_client.index_state import Bucket, LimitState, state_of
from penstock_client.ledger import flow_of
from penstock_client.presence import ALIVE_S
from penstock_schemas.keys import ProviderKeys

_MINUTE_S = 60
#: The tree in which a lane's workspaces take turns.
_TREES = "ibz"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlace:
    """What the index says of one job.

    `index` is `open`, `rebuilding`, `stale` or empty. `leased_until`: a worker has it until then,
    unless it renews. `rank` is its place in its own queue of `queued` jobs, from 0; `turn` that of
    its workspace among the `workspaces` in turn in its lane. `workers` are alive, one was last seen
    at `worker_seen`; `running` jobs are claimed, `claimed_a_second` in the last minute or two.

    `gate` keeps its queue until `until` (None: until something happens), beside others so that
    `beside` queues wait there. One of these tells of it: `limit` and what its last job was charged
    (`each`), `shut`, or a pause's `reason`; a limit's slow start has none.
    """

    now: datetime
    index: str
    credential: str
    leased_until: datetime | None
    rank: int | None
    queued: int
    turn: int | None
    workspaces: int
    workers: int
    worker_seen: datetime | None
    running: int
    claimed_a_second: float
    gate: str | None = None
    until: datetime | None = None
    beside: int = 0
    limit: LimitState | None = None
    each: float = 1.0
    shut: GateState | None = None
    reason: str = ""

    @property
    def leased(self) -> bool:
        """Whether a worker holds the job now: a lease that ran out is taken back by a claim."""
        return self.leased_until is not None and self.leased_until > self.now


async def look(redis: ArqRedis, row: Any) -> JobPlace:
    """Look for a job, a row of `explain_job.sql`; raises redis errors."""
    keys = ProviderKeys(row["provider"])
    base, job_flow = keys.base, flow_of(row)
    flow = job_flow.name
    commands: Any = redis
    seconds, micros = await commands.time()
    minute = seconds // _MINUTE_S
    turns = f"{base}{_TREES[row['lane']]}turns"
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.hget(keys.epoch, "state")
        pipeline.hmget(f"{base}credentials", *job_flow.credential_names)
        pipeline.zscore(keys.leases, row["id"].bytes)
        pipeline.zrank(f"{base}q:{flow}", _entry(row))
        pipeline.zcard(f"{base}q:{flow}")
        pipeline.zrank(turns, row["workspace"])
        pipeline.zcard(turns)
        pipeline.zcount(keys.workers, (seconds - ALIVE_S) * 1000, "+inf")
        pipeline.zrevrange(keys.workers, 0, 0, withscores=True)
        pipeline.zcard(keys.leases)
        pipeline.mget(f"{base}pace:{minute}", f"{base}pace:{minute - 1}")
        pipeline.hget(f"{base}at", flow)
        pipeline.hkeys(f"{base}paused")
        pipeline.hgetall(f"{base}shut")
        found: list[Any] = await pipeline.execute()
    index, credentials, lease, rank, queued, turn, workspaces, workers, latest, running = found[:10]
    pace, at, paused, shut = found[10:]
    credential = job_flow.credential(credentials)
    place = JobPlace(
        now=datetime.fromtimestamp(seconds + micros / 1e6, UTC),
        index=(index or b"").decode(),
        credential=credential,
        leased_until=moment(lease),
        rank=rank,
        queued=queued,
        turn=turn,
        workspaces=workspaces,
        workers=workers,
        worker_seen=moment(latest[0][1]) if latest else None,
        running=running,
        claimed_a_second=sum(int(count or 0) for count in pace) / (_MINUTE_S + seconds % _MINUTE_S),
    )
    gate = gate_that_keeps(job_flow, at=at, paused=paused, shut=shut, credential=credential)
    return place if gate is None else await _with_gate(redis, row["provider"], gate, place)


def gate_that_keeps(
    flow: Flow,
    *,
    at: bytes | None,
    paused: list[bytes],
    shut: Mapping[bytes, bytes],
    credential: str,
) -> str | None:
    """What keeps a queue; one that no claim has looked at yet is kept all the same.

    `at` is the gate where it waits. A pause goes before everything: it ends only by hand.
    """
    scopes = ("provider", f"lane:{flow.lane}", f"workspace:{flow.workspace}")
    for scope in (*scopes, f"model:{flow.model}", f"tag:{flow.tag}"):
        if scope.encode() in paused:
            return f"pause:{scope}"
    if at is not None:
        return at.decode()
    model = flow.model
    gates = (f"model:{model}", f"credential:{credential}", f"access:{credential}/{model}")
    return next((f"gate:{gate}" for gate in gates if gate.encode() in shut), None)


async def _with_gate(redis: ArqRedis, provider: str, gate: str, place: JobPlace) -> JobPlace:
    base = ProviderKeys(provider).base
    kind, _, name = gate.partition(":")
    bucket = Bucket.parse(provider, bucket_of(gate)) if kind == "b" else None
    commands: Any = redis
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.zscore(f"{base}parked", gate)
        pipeline.zcard(f"{base}w:{gate}")
        if bucket is not None:
            pipeline.hgetall(base + bucket.key)
            pipeline.hgetall(base + bucket.general.key)
        elif kind == "gate":
            pipeline.hgetall(base + gate)
            pipeline.hget(f"{base}shut", name)
        elif kind == "pause":
            pipeline.hget(f"{base}paused", name)
        elif kind == "room":
            pipeline.hmget(base + gate, "left", "free")
        wake, beside, *details = await pipeline.execute()
    place = replace(place, gate=gate, until=moment(wake), beside=beside)
    if bucket is not None:
        own, general = details
        return _at_limit(place, bucket, _filled(own, general))
    if kind == "gate":
        fields, from_ms = details
        return _at_shut(place, (provider, name), fields, from_ms)
    if kind == "room":
        return replace(place, reason=_room_left(details[0], money="/" in name))
    return replace(place, reason=(details[0] or b"").decode(errors="replace")) if details else place


def _room_left(told: Sequence[bytes | None], *, money: bool) -> str:
    """What a budget had left when a worker last told of it."""
    if told[0] is None or told[1] is None:
        return ""
    left, free = (max(0, int(float(part))) for part in (told[0], told[1]))
    if money:
        return f"${left / 1e9:,.4f} left, of which ${free / 1e9:,.4f} is not reserved"
    return f"{left:,} left, of which {free:,} are not reserved"


def _filled(own: Mapping[bytes, bytes], general: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """A bucket's own state with the amount of the limit for each, where that is what it obeys."""
    if b"amount" in own:
        return dict(own)
    taken = {name: general[name] for name in (b"amount", b"source") if name in general}
    return {**taken, **own}


def _at_limit(place: JobPlace, bucket: Bucket, fields: Mapping[bytes, bytes]) -> JobPlace:
    now_ms = int(place.now.timestamp() * 1000)
    limit = state_of(bucket, fields, waiting=place.beside, now_ms=now_ms)
    return replace(place, limit=limit, each=float(fields.get(b"each", b"1")))


def _at_shut(
    place: JobPlace,
    where: tuple[str, str],
    fields: Mapping[bytes, bytes],
    from_ms: bytes | None,
) -> JobPlace:
    """A gate that nobody waits at yet has no time of its own at which to look again."""
    if from_ms is None:
        return place
    tried_ms, now_ms = int(float(from_ms)), int(place.now.timestamp() * 1000)
    shut = gate_state((*where, tried_ms), fields, waiting=place.beside, now_ms=now_ms)
    return replace(place, shut=shut, until=place.until or shut.tried_from)


def _entry(row: Any) -> bytes:
    return Entry(
        row["id"],
        row["input_tokens_est"],
        row["output_tokens_est"],
        row["placement_version"],
        capability_code(row["capability"]),
    ).pack()
