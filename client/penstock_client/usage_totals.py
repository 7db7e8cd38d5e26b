"""Usage of all workspaces as totals that only rise, for counters. Read from the ledger's hours.

What was estimated and then settled may lower a sum, and a counter that falls reads as a restart. So
the highest value told is kept, in this process and in Redis for the ones after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.keys import TOTALS

#: Models with totals of their own; those beyond are added up as `OTHER`.
MODELS = 100
OTHER = "other"
#: Hours before the present one in which usage may still change, and that are read each time.
OPEN_HOURS = 6

Measure = Literal["calls", "tokens", "cost_usd", "unpriced", "call_ms"]
_ModelKey = tuple[str, str]
_MEASURES: Final[Mapping[str, tuple[Measure, str]]] = {
    "succeeded": ("calls", "succeeded"),
    "failed": ("calls", "failed"),
    "abandoned": ("calls", "abandoned"),
    "input_tokens": ("tokens", "input"),
    "output_tokens": ("tokens", "output"),
    "cache_read_tokens": ("tokens", "cache_read"),
    "cache_write_tokens": ("tokens", "cache_write"),
    "reasoning_tokens": ("tokens", "reasoning"),
    "cost_usd": ("cost_usd", ""),
    "unpriced": ("unpriced", ""),
    "duration_ms": ("call_ms", ""),
}
_BY_NAME: Final[Mapping[str, Measure]] = {measure: measure for measure, _ in _MEASURES.values()}
_SEPARATOR = "\0"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)


class Series(NamedTuple):
    """One total. `kind` is the outcome of calls (`succeeded` `failed` `abandoned`) or of tokens
    (`input`, which contains those of the cache, `output`, `cache_read` `cache_write` `reasoning`).
    """

    measure: Measure
    provider: str
    model: str
    kind: str
    simulated: bool


class UsageTotals:
    """Reads the totals; each read costs by the usage of a few hours, but for the first."""

    def __init__(
        self,
        ledger: Ledger,
        redis: ArqRedis,
        known: Callable[[], Collection[_ModelKey]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._redis = redis
        self._known = known
        self._clock = clock
        self._closed: dict[Series, float] = {}
        self._closed_until = _BEGINNING
        self._told: dict[Series, float] = {}

    async def read(self) -> Mapping[Series, float]:
        """The totals now; raises what the ledger does. Without Redis those of this process hold."""
        this_hour = self._clock().replace(minute=0, second=0, microsecond=0)
        until = this_hour - timedelta(hours=OPEN_HOURS)
        if until > self._closed_until:
            closed = await self._between(self._closed_until, until)
            self._closed, self._closed_until = _added(self._closed, closed), until
        usage = _added(self._closed, await self._between(until, _END))
        try:
            self._raise(await self._remembered())
            self._raise(capped(usage, self._own_models(usage)))
            await self._remember()
        except REDIS_AWAY:
            self._raise(capped(usage, self._own_models(usage)))
        return dict(self._told)

    async def _between(self, since: datetime, until: datetime) -> dict[Series, float]:
        return _counted(await self._ledger.fetch("usage_totals", since, until))

    def _own_models(self, usage: Mapping[Series, float]) -> set[_ModelKey]:
        """Which models keep totals of their own: once told, always; then the most used."""
        own = {(series.provider, series.model) for series in self._told}
        calls: Counter[_ModelKey] = Counter()
        for series, value in usage.items():
            if series.measure == "calls":
                calls[series.provider, series.model] += int(value)
        known = self._known()
        ranked = sorted(calls, key=lambda model: (model not in known, -calls[model], model))
        room = max(0, MODELS - sum(1 for _, model in own if model != OTHER))
        return own | set([model for model in ranked if model not in own][:room])

    def _raise(self, totals: Mapping[Series, float]) -> None:
        for series, value in totals.items():
            if value > self._told.get(series, -1.0):
                self._told[series] = value

    async def _remembered(self) -> dict[Series, float]:
        commands: Any = self._redis
        found = await commands.zrange(TOTALS, 0, -1, withscores=True)
        return {series: score for member, score in found if (series := _parsed(member))}

    async def _remember(self) -> None:
        if self._told:
            commands: Any = self._redis
            await commands.zadd(TOTALS, {_named(s): v for s, v in self._told.items()}, gt=True)


def capped(usage: Mapping[Series, float], own: Collection[_ModelKey]) -> dict[Series, float]:
    """Totals in which models that are not in `own` are added up as their provider's `OTHER`."""
    totals: dict[Series, float] = {}
    for series, value in usage.items():
        if (series.provider, series.model) not in own:
            series = series._replace(model=OTHER)
        totals[series] = totals.get(series, 0) + value
    return totals


def _added(some: Mapping[Series, float], more: Mapping[Series, float]) -> dict[Series, float]:
    return {s: some.get(s, 0) + more.get(s, 0) for s in {**some, **more}}


def _counted(rows: Iterable[Any]) -> dict[Series, float]:
    counted: dict[Series, float] = {}
    for row in rows:
        for column, (measure, kind) in _MEASURES.items():
            if row[column] or column == "succeeded":
                series = Series(measure, row["provider"], row["model"], kind, row["simulated"])
                counted[series] = row[column]
    return counted


def _named(series: Series) -> str:
    return _SEPARATOR.join((*series[:4], str(int(series.simulated))))


def _parsed(member: bytes) -> Series | None:
    """A series as `_named` wrote it; None for one of another version."""
    parts = member.decode(errors="replace").split(_SEPARATOR)
    measure = _BY_NAME.get(parts[0])
    if measure is None or len(parts) != len(Series._fields):
        return None
    return Series(measure, parts[1], parts[2], parts[3], parts[4] == "1")
