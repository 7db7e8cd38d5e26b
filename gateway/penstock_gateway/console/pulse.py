"""What the overview is made of, read once for all who look on at this gateway."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from penstock_client import Penstock
from penstock_client.background import end
from penstock_client.gates import GateState
from penstock_client.index_state import LimitState
from penstock_client.metering import Metering
from penstock_client.queue_depth import Depths

#: Readings are shared for so long, in seconds; those of errors, which cost more, for longer.
FRESH_S: Final = 0.8
_ERRORS_FRESH_S: Final = 5.0
#: Throughput is told over this time, in seconds.
_OVER_S: Final = 20.0
#: Failed calls are looked for among so many.
RECENT_CALLS: Final = 20_000
#: A workspace's live jobs are counted so far.
COUNTED_JOBS: Final = 20_000
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """A provider's calls since the day began. `cost_usd` is of those with a known price."""

    calls: int
    failed: int
    cost_usd: Decimal
    unpriced: int
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJobs:
    """A workspace's jobs at a provider that have not ended."""

    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """One reading. `rates` are calls a minute, None until there is something to compare with."""

    at: datetime
    redis: bool
    depths: Depths | None
    gates: tuple[GateState, ...]
    limits: tuple[LimitState, ...]
    today: dict[str, Today]
    rates: dict[str, float] | None
    errors: tuple[tuple[str, str, int], ...]
    live: dict[str, LiveJobs] | None = None
    paused: tuple[tuple[str, str, str], ...] = ()


@dataclass(slots=True)
class _Kept:
    at: float
    value: asyncio.Task[Any]


@dataclass(slots=True)
class Pulses:
    """Readings of all workspaces together, or of one, made when somebody asks for them."""

    connected: Callable[[], Penstock]
    _metering: tuple[Penstock, Metering] | None = None
    _kept: dict[Hashable, _Kept] = field(default_factory=dict[Hashable, _Kept])
    _history: dict[str | None, deque[tuple[float, dict[str, int]]]] = field(
        default_factory=dict[str | None, deque[tuple[float, dict[str, int]]]]
    )

    async def read(self, workspace: str | None) -> Pulse:
        """The reading of this moment, for a workspace or for all; raises Unavailable."""
        return await self._shared(("pulse", workspace), FRESH_S, lambda: self._read(workspace))

    async def close(self) -> None:
        """End the readings under way, before their connections are closed."""
        await end(kept.value for kept in self._kept.values())
        if self._metering is not None:
            await self._metering[1].close()

    async def _read(self, workspace: str | None) -> Pulse:
        penstock = self.connected()
        metered = await self._meter(penstock).read()
        zone = "UTC"
        live = None
        if workspace is not None:
            zone = (await penstock.workspaces.get(workspace)).time_zone
            live = await _live(penstock, workspace)
        today = await _today(penstock, workspace, zone)
        errors = await self._shared(
            ("errors", workspace), _ERRORS_FRESH_S, lambda: _errors(penstock, workspace)
        )
        pauses = await penstock.ledger.steering.pauses()
        return Pulse(
            at=datetime.now(UTC),
            redis=metered.redis,
            depths=metered.depths,
            gates=metered.gates,
            limits=metered.limits,
            today=today,
            rates=self._rates(workspace, {name: each.calls for name, each in today.items()}),
            errors=errors,
            live=live,
            paused=tuple(
                (pause.target.provider, pause.target.scope, pause.reason) for pause in pauses
            ),
        )

    def _meter(self, penstock: Penstock) -> Metering:
        if self._metering is None or self._metering[0] is not penstock:
            self._metering = (penstock, penstock.metering())
        return self._metering[1]

    def _rates(self, workspace: str | None, calls: dict[str, int]) -> dict[str, float] | None:
        history = self._history.setdefault(workspace, deque(maxlen=120))
        now = time.monotonic()
        if history and sum(calls.values()) < sum(history[-1][1].values()):  # a new day
            history.clear()
        while history and now - history[0][0] > 3 * _OVER_S:
            history.popleft()
        history.append((now, calls))
        before = next((each for each in reversed(history) if now - each[0] >= _OVER_S), history[0])
        over_s = now - before[0]
        if over_s < FRESH_S:
            return None
        return {
            name: (count - before[1].get(name, 0)) * 60 / over_s for name, count in calls.items()
        }

    async def _shared(
        self, key: Hashable, fresh_s: float, read: Callable[[], Awaitable[_Read]]
    ) -> _Read:
        kept = self._kept.get(key)
        now = time.monotonic()
        failed = kept is not None and kept.value.done() and kept.value.exception() is not None
        if kept is None or failed or (kept.value.done() and now - kept.at > fresh_s):
            self._forget_old(now)
            kept = self._kept[key] = _Kept(now, asyncio.ensure_future(_awaited(read)))
        return await asyncio.shield(kept.value)

    def _forget_old(self, now: float) -> None:
        for key, kept in list(self._kept.items()):
            if kept.value.done() and now - kept.at > 60:
                del self._kept[key]


async def _awaited(read: Callable[[], Awaitable[_Read]]) -> _Read:
    return await read()


async def _today(penstock: Penstock, workspace: str | None, zone: str) -> dict[str, Today]:
    began = datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = await penstock.ledger.fetch_safely("calls_today", began, workspace)
    return {
        row["provider"]: Today(**{name: row[name] for name in Today.__dataclass_fields__})
        for row in rows
    }


async def _errors(penstock: Penstock, workspace: str | None) -> tuple[tuple[str, str, int], ...]:
    rows = await penstock.ledger.fetch_safely("recent_errors", workspace, RECENT_CALLS)
    return tuple((row["provider"], row["kind"], row["calls"]) for row in rows)


async def _live(penstock: Penstock, workspace: str) -> dict[str, LiveJobs]:
    rows = await penstock.ledger.fetch_safely("live_by_provider", workspace, COUNTED_JOBS)
    return {
        row["provider"]: LiveJobs(
            waiting=row["waiting"], running=row["running"], oldest=row["oldest"]
        )
        for row in rows
    }
