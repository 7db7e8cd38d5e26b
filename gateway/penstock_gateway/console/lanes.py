"""Pure: a reading -> the lanes of the overview, one for each provider at work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from penstock_client.gates import GateState
from penstock_client.index_state import LimitState
from penstock_client.queue_depth import ProviderDepth
from penstock_gateway.console.pulse import Pulse
from penstock_schemas.status import Lane

#: The drawing's measures: its width, where the gate stands, and the counts that fill each side.
WIDTH: Final = 600
GATE: Final = 360
_GATE_WIDE: Final = 10
_FULL_QUEUE: Final = 100_000
_FULL_RUNNING: Final = 1_000
_MOST_LIMITS: Final = 6
_WORDS: Final[Mapping[str, str]] = {
    "open": "breaker open",
    "half_open": "being tried",
    "bad_key": "key refused",
    "no_key": "no key",
    "quota_spent": "quota spent",
    "no_access": "no access",
    "model_not_found": "model not found",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateShown:
    """A gate that is not open to everybody. `name` is what the index calls it."""

    name: str
    what: str
    state: str
    word: str
    reason: str
    since: datetime | None
    tried_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitShown:
    """A limit and the share of it in use, 0 to 1; None where each name has its own."""

    what: str
    amount: int
    per: str
    in_use: float | None
    width: float
    source: str
    share: float
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneShown:
    """A provider at work. `kept` of the `queued` jobs stand at a gate; `oldest_s` is the age of
    the first of them; `per_minute` counts calls, None until it is known.
    """

    provider: str
    name: str
    index: str
    workers: int | None
    queued: int
    kept: int
    retrying: int
    running: int
    oldest_s: float | None
    per_minute: float | None
    calls: int
    failed: int
    cost_usd: Decimal
    unpriced: int
    simulated: bool
    gates: tuple[GateShown, ...]
    limits: tuple[LimitShown, ...]
    pauses: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, int], ...]

    @property
    def shut(self) -> str:
        """How the gate is drawn: `shut` when nothing passes, `part` when some does not."""
        if any(scope == "provider" for scope, _ in self.pauses):
            return "shut"
        if any(gate.what in {"the platform's key", "the key"} for gate in self.gates):
            return "shut"
        return "part" if self.gates or self.pauses else ""

    @property
    def queue_width(self) -> float:
        """Of the water before the gate."""
        return _scaled(self.queued, _FULL_QUEUE, GATE)

    @property
    def kept_width(self) -> float:
        """Of its part that a gate keeps."""
        return round(self.queue_width * self.kept / self.queued, 1) if self.queued else 0

    @property
    def running_width(self) -> float:
        """Of the water beyond the gate."""
        return _scaled(self.running, _FULL_RUNNING, WIDTH - GATE - _GATE_WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewShown:
    """All lanes, and their sums. `steward` None: not known."""

    lanes: tuple[LaneShown, ...]
    at: datetime
    redis: bool
    steward: bool | None
    whole: bool

    @property
    def queued(self) -> int:
        """Jobs that wait, everywhere."""
        return sum(lane.queued for lane in self.lanes)

    @property
    def running(self) -> int:
        """Calls in flight."""
        return sum(lane.running for lane in self.lanes)

    @property
    def workers(self) -> int:
        """Worker processes that were seen within the last minute."""
        return sum(lane.workers or 0 for lane in self.lanes)

    @property
    def per_minute(self) -> float | None:
        """Calls a minute; None until it is known."""
        known = [lane.per_minute for lane in self.lanes if lane.per_minute is not None]
        return sum(known) if known else None

    @property
    def calls(self) -> int:
        """Calls of today."""
        return sum(lane.calls for lane in self.lanes)

    @property
    def failed(self) -> int:
        """Those of them that failed or were lost."""
        return sum(lane.failed for lane in self.lanes)

    @property
    def cost_usd(self) -> Decimal:
        """What they cost, of those with a known price."""
        return sum((lane.cost_usd for lane in self.lanes), Decimal(0))

    @property
    def unpriced(self) -> int:
        """Calls without a known price."""
        return sum(lane.unpriced for lane in self.lanes)

    @property
    def simulated(self) -> bool:
        """Whether any answer of today was simulated."""
        return any(lane.simulated for lane in self.lanes)


def overview_shown(pulse: Pulse, names: Mapping[str, str], workspace: str | None) -> OverviewShown:
    """The lanes of all providers at work, those with most to do first.

    `names` are the providers' display names. Of one `workspace` only its own jobs are told, and no
    limits, which it shares with others.
    """
    depths = (
        {} if pulse.depths is None else {each.provider: each for each in pulse.depths.providers}
    )
    lanes = [
        _lane(provider, names.get(provider, provider), pulse, depths.get(provider), workspace)
        for provider in [*names, *(set(pulse.today) - set(names))]
    ]
    busy = [lane for lane in lanes if _tells(lane)]
    busy.sort(key=lambda lane: (-(lane.queued + lane.running + lane.calls > 0), lane.name.lower()))
    return OverviewShown(
        lanes=tuple(busy),
        at=pulse.at,
        redis=pulse.redis,
        steward=None if pulse.depths is None else pulse.depths.steward,
        whole=workspace is None,
    )


def _tells(lane: LaneShown) -> bool:
    return bool(
        lane.workers or lane.queued or lane.running or lane.calls or lane.pauses or lane.gates
    )


def _lane(
    provider: str, name: str, pulse: Pulse, depth: ProviderDepth | None, workspace: str | None
) -> LaneShown:
    today = pulse.today.get(provider)
    queued, kept, running, oldest_s = _standing(provider, pulse, depth)
    gates = tuple(_gate(gate) for gate in pulse.gates if gate.provider == provider)
    limits = () if workspace else _limits(provider, pulse.limits)
    if workspace is not None:  # other workspaces' keys are not its business
        gates = tuple(gate for gate in gates if gate.name.startswith("model:"))
    return LaneShown(
        provider=provider,
        name=name,
        index=depth.index if depth else "",
        workers=depth.workers if depth and workspace is None else None,
        queued=queued,
        kept=kept,
        retrying=depth.retrying if depth and workspace is None else 0,
        running=running,
        oldest_s=oldest_s,
        per_minute=None if pulse.rates is None else pulse.rates.get(provider, 0.0),
        calls=today.calls if today else 0,
        failed=today.failed if today else 0,
        cost_usd=today.cost_usd if today else Decimal(0),
        unpriced=today.unpriced if today else 0,
        simulated=bool(today and today.simulated),
        gates=gates,
        limits=limits,
        pauses=_pauses(provider, pulse.paused, workspace),
        errors=tuple((kind, calls) for where, kind, calls in pulse.errors if where == provider),
    )


def _pauses(
    provider: str, paused: tuple[tuple[str, str, str], ...], workspace: str | None
) -> tuple[tuple[str, str], ...]:
    """What is paused at a provider, with its reason; to a workspace nothing of another's."""
    found: list[tuple[str, str]] = []
    for where, scope, reason in paused:
        kind, _, name = scope.partition(":")
        foreign = kind == "tag" or (kind == "workspace" and name != workspace)
        if where not in {provider, "*"} or (workspace is not None and foreign):
            continue
        named = Lane(int(name)).label if kind == "lane" else name
        found.append((f"{kind} {named}".strip(), reason))
    return tuple(found)


def _standing(
    provider: str, pulse: Pulse, depth: ProviderDepth | None
) -> tuple[int, int, int, float | None]:
    """Jobs that wait, those of them that a gate keeps, those that run, and the oldest's age."""
    if pulse.live is not None:
        live = pulse.live.get(provider)
        if live is None:
            return 0, 0, 0, None
        oldest_s = (pulse.at - live.oldest).total_seconds() if live.oldest else None
        return live.waiting, 0, live.running, oldest_s
    if depth is None or pulse.depths is None:
        return 0, 0, 0, None
    waiting = sum(each.jobs for each in depth.waiting)
    kept = sum(each.jobs for each in depth.waiting if each.where != "turn")
    since = [each.oldest_ms for each in depth.waiting if each.oldest_ms is not None]
    oldest_s = max(0.0, (pulse.depths.now_ms - min(since)) / 1000) if since else None
    return waiting + depth.retrying, kept + depth.retrying, depth.running, oldest_s


def _gate(gate: GateState) -> GateShown:
    kind, _, rest = gate.name.partition(":")
    credential, _, model = rest.partition("/")
    key = "the platform's key" if credential == "platform" else f"key {credential}"
    what = {"model": rest, "credential": key, "access": f"{model} with {key}"}.get(kind, gate.name)
    return GateShown(
        name=gate.name,
        what=what,
        state="half_open" if gate.state == "half_open" else "open",
        word=_WORDS.get(gate.state, gate.state),
        reason=gate.reason,
        since=gate.since,
        tried_from=gate.tried_from.astimezone(UTC),
    )


def _limits(provider: str, limits: tuple[LimitState, ...]) -> tuple[LimitShown, ...]:
    found = [limit for limit in limits if limit.provider == provider and limit.amount > 0]
    found.sort(key=lambda limit: (-(limit.in_use or 0.0), limit.scope, limit.unit))
    return tuple(_limit(limit) for limit in found[:_MOST_LIMITS])


def _limit(limit: LimitState) -> LimitShown:
    unit = limit.unit.replace("_", " ")
    per = {0: "", 60: "a minute", 86_400: "a day"}.get(limit.window_s, f"in {limit.window_s} s")
    kind, _, named = limit.scope.partition(":")
    unit = "calls at once" if limit.unit == "concurrency" else unit
    return LimitShown(
        what=_scope(kind, named, unit),
        amount=limit.amount,
        per=per,
        in_use=limit.in_use,
        width=round(100 * min(1.0, max(0.0, limit.in_use or 0.0)), 1),
        source=limit.source,
        share=limit.share,
        waiting=limit.waiting,
    )


_OF_PLATFORM: Final = " of the platform's key"


def _scope(kind: str, named: str, unit: str) -> str:
    """A limit's unit, and whose it is: `gpt-4o requests`, `gpt-4o requests of key 1f…`."""
    if kind == "provider":
        return unit
    if named == "*":
        return f"{unit} of each {kind}"
    credential, slash, model = named.partition("/")
    if kind not in {"group", "credential"}:
        return f"{named} {unit}" if kind == "model" else f"{unit} of {kind} {named}"
    whose = "" if credential == "platform" else f" of {credential.replace('-', ' ', 1)}"
    return f"{model} {unit}{whose}" if slash else f"{unit}{whose or _OF_PLATFORM}"


def _scaled(number: int, full: int, width: float) -> float:
    """A width that grows with the logarithm, so that ten and ten thousand both can be seen."""
    if number <= 0:
        return 0
    return round(width * min(1.0, math.log1p(number) / math.log1p(full)), 1)
