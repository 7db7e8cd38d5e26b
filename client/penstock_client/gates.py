"""Where flows wait in a provider's index: gates in words, and what is known of each.

A gate is a limit's bucket, a budget, a breaker, a credential or a pause; the claim script keeps
them (`penstock_worker/admission/lua`). What is read here is a moment old and for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis

from penstock_client.scripts import client_script
from penstock_schemas.keys import ProviderKeys

_WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}
#: Flows that wait at a gate are in one of two classes, by which limits keep a reserve.
_CLASSES = ("|i", "|b")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """A breaker or credential that is not closed, in the sense of a breaker.

    `name` is `model:<m>`, `credential:<c>` or `access:<c>/<m>`; `state` is `open`, `half_open`, or
    why a credential is shut: `bad_key`, `no_key`, `quota_spent`, `no_access`, `model_not_found`.
    From `tried_from` on a few calls try it; `probes` are under way. It keeps `waiting` flows.
    """

    provider: str
    name: str
    state: str
    reason: str
    since: datetime | None
    tried_from: datetime
    probes: int
    waiting: int


async def read_gates(redis: ArqRedis, providers: Sequence[str]) -> list[GateState]:
    """What is not closed at these providers, in two round trips; raises redis errors."""
    commands: Any = redis
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for provider in providers:
            pipeline.hgetall(ProviderKeys(provider).base + "shut")
        (seconds, micros), *shut = await pipeline.execute()
    found = [
        (provider, name.decode(), int(float(from_ms)))
        for provider, gates in zip(providers, shut, strict=True)
        for name, from_ms in sorted(gates.items())
    ]
    if not found:
        return []
    async with commands.pipeline(transaction=False) as pipeline:
        for provider, name, _ in found:
            base = ProviderKeys(provider).base
            pipeline.hgetall(f"{base}gate:{name}")
            pipeline.zcard(f"{base}w:gate:{name}")
        details: list[Any] = await pipeline.execute()
    now_ms = seconds * 1000 + micros // 1000
    return [
        gate_state(place, details[2 * at], waiting=details[2 * at + 1], now_ms=now_ms)
        for at, place in enumerate(found)
    ]


def gate_state(
    place: tuple[str, str, int], fields: Mapping[bytes, bytes], *, waiting: int, now_ms: int
) -> GateState:
    """A gate from its hash. `place`: provider, name, and ms from which it lets calls try it."""
    provider, name, from_ms = place
    state = fields.get(b"state", b"open").decode()
    return GateState(
        provider=provider,
        name=name,
        state="half_open" if state == "open" and from_ms <= now_ms else state,
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        since=moment(fields.get(b"changed")),
        tried_from=datetime.fromtimestamp(from_ms / 1000, UTC),
        probes=max(0, int(float(fields.get(b"used", b"0")))),
        waiting=waiting,
    )


def moment(ms: bytes | float | None) -> datetime | None:
    """A time of the index, in ms; None for none, and for not before something happens."""
    value = float(ms) if ms is not None else 0.0
    return datetime.fromtimestamp(value / 1000, UTC) if 0 < value < 1e15 else None


async def try_gate(redis: ArqRedis, provider: str, gate: str) -> bool:
    """Let calls try a gate at once; False when it is not shut."""
    keys = ProviderKeys(provider)
    return bool(await client_script("gate")(redis, keys.epoch, ["try", keys.wake, gate]))


async def restore_gate(redis: ArqRedis, provider: str, gate: str) -> bool:
    """Let everything through a gate; False when it is not shut."""
    keys = ProviderKeys(provider)
    return bool(await client_script("gate")(redis, keys.epoch, ["restore", keys.wake, gate]))


async def forget_rooms(
    redis: ArqRedis, providers: Sequence[str], workspace: str, configurations: Iterable[str]
) -> None:
    """Have jobs that wait for room in a workspace's budgets look again, once those have changed.

    What the indexes were told of the budgets is forgotten: the next claim asks the ledger. Raises
    redis errors.
    """
    rooms = [f"room:{workspace}", *(f"room:{workspace}/{name}" for name in configurations)]
    commands: Any = redis
    async with commands.pipeline(transaction=False) as pipeline:
        for provider in providers:
            keys = ProviderKeys(provider)
            for room in rooms:
                pipeline.unlink(keys.base + room)
                pipeline.zadd(f"{keys.base}parked", {room: 1}, xx=True)
            pipeline.publish(keys.wake, "")
        await pipeline.execute()


def recheck(provider: str, gate: str) -> str:
    """The command that has a gate tried at once; `gate` is the name of a `GateState`."""
    kind, _, name = gate.partition(":")
    if kind == "access":
        credential, _, model = name.partition("/")
        return f"penstock providers check {provider} --credential {credential} --model {model}"
    option = "--model" if kind == "model" else "--credential"
    return f"penstock providers check {provider} {option} {name}"


def described(gate: str) -> str:
    """A gate at which a flow waits, for people: `the limit of requests a minute of model:m`."""
    kind, _, rest = gate.partition(":")
    match kind:
        case "b":
            return _described_limit(rest)
        case "gate":
            what, _, name = rest.partition(":")
            if what == "model":
                return f"the breaker of {name}, which is open"
            return f"{what} {name}, which is shut"
        case "room":
            workspace, _, configuration = rest.partition("/")
            if configuration:
                return f"the money budget of configuration {configuration} of {workspace}"
            return f"the token budget of {workspace}"
        case _:
            return f"a pause of {'the provider' if rest == 'provider' else rest}"


def _described_limit(bucket: str) -> str:
    scope, *limit = bucket_of(bucket).split("|")
    scope = "the whole provider" if scope == "provider" else scope
    if not limit:
        return f"the slow start of {scope.removeprefix('start:')}"
    unit, _, window_ms = limit[0].partition("/")
    window_s = int(window_ms) / 1000
    if window_s == 0:
        return f"the limit of calls at the same time of {scope}"
    span = _WINDOWS.get(int(window_s), f"in {window_s:g} s")
    return f"the limit of {unit.replace('_', ' ')} {span} of {scope}"


def bucket_of(gate: str) -> str:
    """The bucket behind a gate, without the class of the flows that wait there."""
    return gate[: -len(_CLASSES[0])] if gate.endswith(_CLASSES) else gate
