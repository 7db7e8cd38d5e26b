"""Metric families from one reading, for Prometheus. Pure; `metrics.py` serves them.

Labels are bounded: providers and models of the catalogue or among the most used, lanes, kinds of
scope. No workspace, job, tag or key is ever one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from penstock_client.gates import GateState
from penstock_client.index_state import LimitState
from penstock_client.metering import Metered, Owned
from penstock_client.queue_depth import Depths, ProviderDepth
from penstock_client.usage_totals import MODELS, OTHER, Measure, Series
from penstock_schemas.status import Lane

INDEX_STATES: Final = ("open", "rebuilding", "stale", "missing")
BREAKER_STATES: Final = ("closed", "half_open", "open")
#: A limit counts as refused for so long after its last refusal, in seconds.
REFUSED_FOR_S: Final = 60
_PLATFORM: Final = "platform"
_WINDOWS: Final = {0: "none", 60: "minute", 3600: "hour", 86_400: "day"}

_ByModel = tuple[str, str]


def families(found: Metered) -> Iterator[Metric]:
    """Everything that one reading tells; what a server that is away knows is left out."""
    up = _gauge("penstock_up", "1 when the server answered just now.", "server")
    up.add_metric(["postgres"], float(found.postgres))
    up.add_metric(["redis"], float(found.redis))
    yield up
    if found.depths is not None:
        yield from _processes(found.depths)
        yield from _queues(found.depths)
        yield from _limits(found.limits, now_ms=found.depths.now_ms)
        used = {(series.provider, series.model) for series in found.totals or ()}
        yield from _gates(found.gates, used)
    if found.owned is not None:
        yield from _owned(found.owned)
    if found.totals is not None:
        for measure in _COUNTERS:
            yield _counter(measure, found.totals.items())


def _processes(depths: Depths) -> Iterator[Metric]:
    steward = GaugeMetricFamily("penstock_steward_up", "1 while a steward is on duty.")
    steward.add_metric([], float(depths.steward))
    yield steward
    index = _gauge(
        "penstock_index_state", "1 for the state a provider's index is in.", "provider", "state"
    )
    for one in depths.providers:
        for state in INDEX_STATES:
            index.add_metric([one.provider, state], float((one.index or "missing") == state))
    yield index
    for name, told, value in _OF_PROVIDERS:
        family = _gauge(name, told, "provider")
        for one in depths.providers:
            family.add_metric([one.provider], value(one))
        yield family


_OF_PROVIDERS: Final[tuple[tuple[str, str, Callable[[ProviderDepth], float]], ...]] = (
    ("penstock_workers", "Workers seen within the last minute.", lambda one: one.workers),
    ("penstock_in_flight", "Jobs that workers have leased.", lambda one: one.running),
    ("penstock_pauses", "Pauses that operators have set.", lambda one: one.pauses),
    (
        "penstock_unsettled",
        "Stashes of answers that wait for Postgres.",
        lambda one: one.unsettled,
    ),
    (
        "penstock_queue_counted_whole",
        "0 when there are more queues than were counted.",
        lambda one: float(one.complete),
    ),
)


def _owned(owned: Owned) -> Iterator[Metric]:
    runs = GaugeMetricFamily("penstock_runs", "Runs of skills that have not ended.")
    runs.add_metric([], owned.runs)
    yield runs
    backfills = _gauge("penstock_backfills", "Backfills that have not ended, by state.", "state")
    backfills.add_metric(["loading"], owned.backfills_loading)
    backfills.add_metric(["running"], owned.backfills_running)
    backfills.add_metric(["paused"], owned.backfills_paused)
    yield backfills
    told = "Rows that running and paused backfills have still to do."
    rows = GaugeMetricFamily("penstock_backfill_rows_left", told)
    rows.add_metric([], owned.backfill_rows_left)
    yield rows
    calls = _gauge("penstock_compute_calls", "Calls of COMPUTE functions, by state.", "state")
    calls.add_metric(["waiting"], owned.compute_waiting)
    calls.add_metric(["running"], owned.compute_running)
    yield calls
    webhooks = _gauge(
        "penstock_webhooks",
        "Webhooks to be sent; of these the late ones, due for over a minute; and those given up "
        "within a day.",
        "state",
    )
    webhooks.add_metric(["waiting"], owned.webhooks_waiting)
    webhooks.add_metric(["late"], owned.webhooks_late)
    webhooks.add_metric(["given_up"], owned.webhooks_given_up)
    yield webhooks


def _queues(depths: Depths) -> Iterator[Metric]:
    jobs = _gauge("penstock_jobs", "Jobs that have not ended, by state.", "provider", "state")
    depth = _gauge("penstock_queue_depth", "Jobs that wait in queues.", "provider", "lane")
    parked = _gauge(
        "penstock_queue_parked", "Those of them that something keeps.", "provider", "kept_by"
    )
    ready = _gauge(
        "penstock_queue_oldest_ready_seconds",
        "Age since submit of the oldest job that only waits for its turn.",
        "provider",
        "lane",
    )
    kept = _gauge(
        "penstock_queue_oldest_parked_seconds",
        "Age since submit of the oldest job that something keeps.",
        "provider",
        "kept_by",
    )
    for one in depths.providers:
        queued = sum(waiting.jobs for waiting in one.waiting)
        jobs.add_metric([one.provider, "queued"], queued)
        jobs.add_metric([one.provider, "deferred"], one.retrying)
        jobs.add_metric([one.provider, "running"], one.running)
        for lane in Lane:
            here = [waiting for waiting in one.waiting if waiting.lane is lane]
            depth.add_metric([one.provider, lane.label], sum(waiting.jobs for waiting in here))
            since = [waiting.oldest_ms for waiting in here if waiting.where == "turn"]
            ready.add_metric([one.provider, lane.label], _age_s(since, depths.now_ms))
        for where in sorted({waiting.where for waiting in one.waiting} - {"turn"}):
            here = [waiting for waiting in one.waiting if waiting.where == where]
            parked.add_metric([one.provider, where], sum(waiting.jobs for waiting in here))
            since = [waiting.oldest_ms for waiting in here]
            kept.add_metric([one.provider, where], _age_s(since, depths.now_ms))
    yield from (jobs, depth, parked, ready, kept)


def _age_s(since_ms: Iterable[int | None], now_ms: int) -> float:
    return max((max(0, now_ms - ms) / 1000 for ms in since_ms if ms is not None), default=0.0)


def _limits(limits: Sequence[LimitState], *, now_ms: int) -> Iterator[Metric]:
    """One series for each kind of limit: the tightest of that kind tells."""
    labels = ("provider", "scope", "unit", "window")
    used = _gauge(
        "penstock_limit_in_use_ratio", "Share of the fullest limit taken just now, 0 to 1.", *labels
    )
    factor = _gauge(
        "penstock_limit_factor_ratio",
        "Share of its amount that the most lowered limit is used to, 0 to 1.",
        *labels,
    )
    waiting = _gauge("penstock_limit_waiting_queues", "Queues that limits keep.", *labels)
    refused = _gauge(
        "penstock_limits_refused", "Limits that met a refusal within the last minute.", *labels
    )
    kinds: dict[tuple[str, ...], list[LimitState]] = {}
    for limit in limits:
        window = _WINDOWS.get(limit.window_s, f"{limit.window_s}s")
        kind = (limit.provider, limit.scope.partition(":")[0], limit.unit, window)
        kinds.setdefault(kind, []).append(limit)
    for kind, those in kinds.items():
        taken = [limit.in_use for limit in those if limit.in_use is not None]
        if taken:
            used.add_metric(kind, max(taken))
        factor.add_metric(kind, min(limit.share for limit in those))
        waiting.add_metric(kind, sum(limit.waiting for limit in those))
        times = [limit.refused_at.timestamp() for limit in those if limit.refused_at]
        refused.add_metric(kind, sum(now_ms / 1000 - at < REFUSED_FOR_S for at in times))
    yield from (used, factor, waiting, refused)


def _gates(gates: Sequence[GateState], used: set[_ByModel]) -> Iterator[Metric]:
    breaker = _gauge(
        "penstock_breaker_state",
        "1 for the state a model's breaker is in.",
        "provider",
        "model",
        "state",
    )
    for (provider, model), state in sorted(_breakers(gates, used).items()):
        for each in BREAKER_STATES:
            breaker.add_metric([provider, model, each], float(each == state))
    yield breaker
    shut = _gauge(
        "penstock_credentials_shut",
        "Credentials, or their access to a model, that are shut.",
        "provider",
        "platform",
        "state",
    )
    counted: dict[tuple[str, str, str], int] = {}
    for gate in gates:
        kind, _, name = gate.name.partition(":")
        if kind in {"credential", "access"}:
            platform = "yes" if name.partition("/")[0] == _PLATFORM else "no"
            place = (gate.provider, platform, gate.state)
            counted[place] = counted.get(place, 0) + 1
    for place, count in sorted(counted.items()):
        shut.add_metric(place, count)
    yield shut


def _breakers(gates: Sequence[GateState], used: set[_ByModel]) -> dict[_ByModel, str]:
    """The breakers of models in use, and of others that are not closed."""
    states = dict.fromkeys(sorted(used)[:MODELS], "closed")
    for gate in gates:
        kind, _, model = gate.name.partition(":")
        if kind != "model":
            continue
        place = (gate.provider, model)
        if place not in states and len(states) >= MODELS:
            place = (gate.provider, OTHER)
        worse = BREAKER_STATES.index(gate.state) if gate.state in BREAKER_STATES else -1
        if worse >= BREAKER_STATES.index(states.get(place, "closed")):
            states[place] = gate.state
    return states


_BY_MODEL = ("provider", "model")
#: Measure -> name, help, the label of its kind, and what one unit of it is told as.
_COUNTERS: Final[dict[Measure, tuple[str, str, str | None, float]]] = {
    "calls": ("penstock_calls", "Calls that were made.", "outcome", 1),
    "tokens": ("penstock_tokens", "Tokens; input contains those of the cache.", "kind", 1),
    "cost_usd": ("penstock_cost_usd", "Cost of the calls with a known price.", None, 1),
    "unpriced": ("penstock_unpriced_calls", "Calls without a known price.", None, 1),
    "call_ms": ("penstock_call_seconds", "Time that calls took.", None, 1e-3),
}


def _counter(measure: Measure, totals: Iterable[tuple[Series, float]]) -> Metric:
    name, told, kind, unit = _COUNTERS[measure]
    extra = () if kind is None else (kind,)
    family = CounterMetricFamily(name, told, labels=(*_BY_MODEL, *extra, "simulated"))
    for series, value in sorted(totals):
        if series.measure == measure:
            values = (series.provider, series.model, *([series.kind] if kind else ()))
            family.add_metric((*values, "yes" if series.simulated else "no"), value * unit)
    return family


def _gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, told, labels=labels)
