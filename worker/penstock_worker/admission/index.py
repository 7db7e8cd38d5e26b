"""A worker's side of one provider's index: one typed wrapper for each script."""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any, Literal

from arq.connections import ArqRedis

from penstock_client.ending import RESULT_TTL_S
from penstock_client.entries import Entry, Flow, pack_fence, unpack_fence
from penstock_client.ledger import StandingJob
from penstock_client.scripts import Argument, Script
from penstock_schemas.ids import Fence
from penstock_schemas.keys import ProviderKeys, done_channel
from penstock_worker.leases import LEASE_S, Lease

#: Larger results are read from Postgres.
CACHED_RESULT_BYTES = 65_536
_TAKE_BACK = 200
_LIKELY = struct.Struct(">II")

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency"]
#: Hashes that are set as a whole: workspace -> credential, model -> group of models, workspace ->
#: weight, and the breaker's `open_ms` and `failures` with what is `counted` as tokens.
Setting = Literal["credentials", "groups", "weights", "tuning"]


def worker_script(name: str, *, after: Sequence[str] = (), salt: str = "") -> Script:
    """A script of this distribution, by file name, with the parts that stand before it."""
    folder = files("penstock_worker.admission").joinpath("lua")
    parts = [folder.joinpath(f"{part}.lua") for part in after]
    return Script(folder.joinpath(f"{name}.lua"), parts=parts, salt=salt)


def renew_script() -> Script:
    """The script that renews leases, for the heartbeat."""
    return worker_script("renew", after=["limits"])


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave: leases, or none because the index is not open.

    `wait_ms` is the time until there may be more, None when that is not before something happens.
    """

    open: bool
    leases: tuple[Lease, ...] = ()
    wait_ms: int | None = None


class Verdict(StrEnum):
    """What an attempt says of its provider, for the breaker of its model."""

    WORKS = "+"
    FAILS = "-"
    UNSENT = "0"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Used:
    """What an attempt really used of limits and turns, and what it says of its provider.

    `input_tokens` are those that count against limits: without cache reads, where the provider
    does not count them. None: not known, so that the estimate stands.
    """

    input_tokens: int | None = None
    output_tokens: int = 0
    verdict: Verdict = Verdict.NOTHING


UNKNOWN_USE = Used()
UNSENT = Used(0, 0, Verdict.UNSENT)


@dataclass(frozen=True, slots=True)
class Done:
    """Give a lease back: the job has its result, which is cached and announced."""

    lease: Lease
    workspace: str
    body: bytes
    used: Used = UNKNOWN_USE


@dataclass(frozen=True, slots=True)
class Again:
    """Give a lease back: the job queues again, now or after `wait_ms`."""

    lease: Lease
    wait_ms: int
    flow: Flow
    entry: Entry
    used: Used = UNKNOWN_USE


@dataclass(frozen=True, slots=True)
class Drop:
    """Give a lease back: this index has no more to do with the job."""

    lease: Lease
    used: Used = UNKNOWN_USE


Release = Done | Again | Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a provider said of one of its limits, by headers and by refusals, on calls of a flow.

    `used` are units that its own bucket has not refilled yet; `retry_ms` is until it wants to be
    asked again; `takes_ms` is how long its calls take; `accepted` are the calls of this worker that
    it takes within a window.
    """

    flow: Flow
    unit: Unit
    window_ms: int
    limit: int | None = None
    used: int | None = None
    refusals: int = 0
    retry_ms: int | None = None
    takes_ms: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that an operator set: `amount` units in each window, or at the same time (0)."""

    scope: str
    unit: Unit
    window_ms: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRoom:
    """What a budget has left: tokens, or nano-dollars with the `prices` of models (in, out).

    `free` is what is not reserved either. It is believed `for_ms`.
    """

    name: str
    left: int
    free: int
    hard: bool
    waits: bool
    for_ms: int
    prices: Mapping[str, tuple[int, int]]


class ProviderIndex:
    """One provider's index on Redis. Every method raises redis errors when Redis is away."""

    def __init__(self, redis: ArqRedis, provider: str) -> None:
        self.keys = ProviderKeys(provider)
        self.provider = provider
        self._redis = redis
        # Salted, so that each provider's first claim on a new server meets NOSCRIPT by itself.
        self._claim = worker_script("claim", after=["limits", "gates", "rooms"], salt=provider)
        self._release = worker_script("release", after=["limits"])
        self._observe = worker_script("observe", after=["limits"])
        self._steer = worker_script("steer")
        self._reindex = worker_script("reindex")
        self._epoch = worker_script("epoch")
        self._stash = worker_script("stash")
        self._tell = worker_script("tell")

    async def claim(self, slots: int, *, other_slots: int | None = None) -> Claimed:
        """Lease up to `slots` jobs in fair order, in one round trip.

        At most `other_slots` of them are not interactive; None: as many as there are slots.
        """
        fence = Fence(secrets.randbits(62) | 1)
        asked_at = time.monotonic()
        others = slots if other_slots is None else other_slots
        args: list[Argument] = [slots, pack_fence(fence), int(LEASE_S * 1000), _TAKE_BACK, others]
        reply: list[Any] = await self._claim(
            self._redis, self.keys.epoch, args, on_new_server=self.check_server
        )
        if reply[0] == 0:
            return Claimed(open=False)
        names: list[bytes] = reply[3]
        flows = [Flow.parse(name.decode()) for name in names]
        epoch = reply[2].decode()
        expires_at = asked_at + LEASE_S
        items: list[Any] = reply[4:]
        leases: list[Lease] = []
        for at in range(0, len(items), 4):
            packed, lapsed_token, flow_at, likely = items[at : at + 4]
            entry = Entry.unpack(packed)
            lease = Lease(
                job_id=entry.job_id,
                fence=fence,
                entry=entry,
                flow=flows[int(flow_at) - 1],
                lapsed=Fence(unpack_fence(lapsed_token)) if lapsed_token else None,
                epoch=epoch,
                expires_at=expires_at,
                likely=_LIKELY.unpack(likely) if likely else None,
            )
            leases.append(lease)
        wait_ms: int = reply[1]
        return Claimed(True, tuple(leases), None if wait_ms < 0 else wait_ms)

    async def release(self, releases: Sequence[Release]) -> None:
        """Give leases back in one round trip; results are cached and announced."""
        args: list[Argument] = [self.keys.wake, RESULT_TTL_S, self.provider]
        for release in releases:
            args += (release.lease.key, release.lease.token, *_release_args(release))
        if releases:
            await self._release(self._redis, self.keys.epoch, args)

    async def observe(self, observations: Sequence[Observation]) -> None:
        """Move limits by what the provider said of them."""
        args: list[Argument] = [self.keys.wake]
        for seen in observations:
            args += (seen.flow.name, seen.unit, seen.window_ms, _text(seen.limit), _text(seen.used))
            args += (seen.refusals, _text(seen.retry_ms), seen.takes_ms, seen.accepted)
        if observations:
            await self._observe(self._redis, self.keys.epoch, args)

    async def set_rooms(self, rooms: Sequence[IndexRoom]) -> None:
        """Tell what budgets have left, so that claims leave jobs in the queue that have no room."""
        args: list[Argument] = [self.keys.wake]
        for room in rooms:
            args += (room.name, room.left, room.free, int(room.hard), int(room.waits))
            args += (room.for_ms, len(room.prices))
            for model, (price_in, price_out) in room.prices.items():
                args += (model, f"{price_in} {price_out}")
        if rooms:
            await self._tell(self._redis, self.keys.epoch, args)

    async def set_limits(self, limits: Sequence[Limit]) -> None:
        """Replace the limits that operators set; learned ones stay."""
        args: list[Argument] = []
        for limit in limits:
            args += (limit.scope, limit.unit, limit.window_ms, limit.amount)
        await self._steered("limits", *args)

    async def set_all(self, name: Setting, values: Mapping[str, str | float]) -> None:
        """Replace one of the index's settings."""
        args: list[Argument] = [name]
        for field, value in values.items():
            args += (field, value)
        await self._steered("settings", *args)

    async def set_pauses(self, reasons: Mapping[str, str]) -> None:
        """Replace all pauses, {scope: reason}; what is not among them resumes."""
        args: list[Argument] = []
        for scope, reason in reasons.items():
            args += (scope, reason)
        await self._steered("pauses", *args)

    async def shut(self, gate: str, *, state: str, reason: str, for_s: float) -> None:
        """Let nothing through a gate for so long, then probes."""
        await self._steered("shut", gate, state, reason, int(for_s * 1000))

    async def try_gate(self, gate: str) -> None:
        """Let probes through a gate at once."""
        await self._steered("try", gate)

    async def restore(self, gate: str) -> None:
        """Let everything through a gate."""
        await self._steered("restore", gate)

    async def _steered(self, operation: str, *args: Argument) -> None:
        await self._steer(self._redis, self.keys.epoch, [operation, self.keys.wake, *args])

    async def reindex(
        self, jobs: Sequence[StandingJob], *, lapsed: bool = False, wake: bool = True
    ) -> int:
        """Put jobs that Postgres knows into the index, unless they are leased.

        With `lapsed` each job's fence is that of a lease that ran out. Returns how many were put.
        """
        args: list[Argument] = [self.keys.wake if wake else ""]
        for job in jobs:
            token = pack_fence(job.fence) if lapsed and job.fence is not None else b""
            args += (job.entry.pack(), job.flow.name, job.wait_ms, token)
        return await self._reindex(self._redis, self.keys.epoch, args) if jobs else 0

    async def stash(self, settlements: bytes, leases: Sequence[Lease], *, hold_ms: int) -> bytes:
        """Keep settlements that Postgres cannot take now, and hold their leases meanwhile."""
        args: list[Argument] = [settlements, hold_ms]
        for lease in leases:
            args += (lease.key, lease.token)
        return await self._stash(self._redis, self.keys.epoch, args)

    async def unstash(self, entry: bytes) -> None:
        """Forget stashed settlements: they are in Postgres."""
        await self._redis.xdel(self.keys.unsettled, entry)

    async def server_run(self) -> str:
        """The ID of the Redis server's present run: a restart changes it."""
        info: dict[str, Any] = await self._redis.info("server")  # pyright: ignore[reportUnknownMemberType]
        return str(info["run_id"])

    async def check_server(self, run: str | None = None) -> str:
        """Close the index if it was opened under another run of the server; returns its state.

        `run` is the server's present run, where the caller knows it.
        """
        return await self._operate("check", run or await self.server_run())

    async def begin_rebuild(self, epoch: str) -> str:
        """Start a rebuild, or join the one under way; returns its epoch."""
        return await self._operate("begin", epoch, await self.server_run(), int(LEASE_S * 1000))

    async def finish_rebuild(self, epoch: str) -> str:
        """Open the index for claims; returns its state, which may be that of a later rebuild."""
        return await self._operate("open", epoch, self.keys.wake)

    async def state(self) -> str:
        """`open`, `rebuilding`, `stale`, or empty when there is no index at all."""
        hget: Any = self._redis.hget
        state: bytes | None = await hget(self.keys.epoch, "state")
        return (state or b"").decode()

    async def unheld(self, job_ids: Sequence[bytes]) -> set[bytes]:
        """Which of these jobs nobody holds a lease on."""
        reply = await self._epoch(self._redis, self.keys.epoch, ["unheld", *job_ids])
        return set(reply)

    async def _operate(self, operation: str, *args: Argument) -> str:
        reply: bytes = await self._epoch(self._redis, self.keys.epoch, [operation, *args])
        return reply.decode()


def record_rest(lease: Lease) -> bytes:
    """A lease's record without its token, for a heartbeat that has to write it again.

    Place and charges are not known to workers: a job whose record was lost queues at the front, and
    its estimates stand.
    """
    entry = lease.entry
    charged = struct.pack(">dIId", 0.0, entry.input_tokens, entry.output_tokens, 0.0)
    return entry.pack()[16:] + charged + lease.flow.name.encode()


def _release_args(release: Release) -> tuple[Argument, ...]:
    used = release.used
    told = (_text(used.input_tokens), used.output_tokens, used.verdict)
    match release:
        case Done(lease, workspace, body):
            cached = body if len(body) <= CACHED_RESULT_BYTES else b""
            return "done", str(lease.job_id), done_channel(workspace), cached, *told
        case Again(_, wait_ms, flow, entry):
            return "again", wait_ms, entry.pack()[16:], flow.name, *told
        case Drop():
            return "drop", "", "", "", *told


def _text(number: int | None) -> Argument:
    return "" if number is None else number
