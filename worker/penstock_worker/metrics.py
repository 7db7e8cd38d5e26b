"""What one worker tells Prometheus about its own work, on a port of its own; off unless asked for.

It looks on from outside (`telemetry.py`): a job costs a few microseconds of it. Labels are bounded:
the worker's provider, at most 100 models, and closed sets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from penstock_client.background import end
from penstock_client.settings import Settings
from penstock_schemas.status import AttemptState
from penstock_worker.attempts import Attempt, Settlement

logger = logging.getLogger("penstock.worker")

MODELS = 100
OTHER = "other"
CALL_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
WAIT_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)
LEDGER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
GROUPS = (1, 2, 5, 10, 20, 50, 100, 200)
LAG_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
#: How often the event loop's lag is measured, in seconds.
LAG_EVERY_S = 0.5


class LoopLag:
    """How late an event loop runs what is due."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._lag = Histogram(
            f"{name}_loop_lag_seconds",
            "Lateness of the event loop.",
            buckets=LAG_S,
            registry=registry,
        )

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))


class WorkerMetrics:
    """Counts what a worker of `provider` does. `in_flight` tells how many jobs it holds."""

    def __init__(self, provider: str, *, slots: int, in_flight: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._provider = provider
        self._counted: dict[tuple[str, AttemptState], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self._models: set[str] = set()
        ProcessCollector(registry=self.registry)
        self._attempts = self._counter("attempts", "Attempts that ended.", "model", "outcome")
        self._errors = self._counter("errors", "Attempts that failed, by kind of error.", "kind")
        self._calls = self._histogram("call_seconds", "Time calls took.", CALL_S, "model")
        self._waits = self._histogram("queue_wait_seconds", "Submit to first start.", WAIT_S)
        self._first = self._histogram("first_chunk_seconds", "Time to a first piece.", CALL_S)
        self._ledger = self._histogram("ledger_seconds", "Statements.", LEDGER_S, "statement")
        self._groups = self._histogram("settle_group_size", "Attempts settled together.", GROUPS)
        self._claims = self._counter("claims", "Claims, by what they brought.", "brought")
        self._claimed = self._counter("claimed", "Jobs claimed.").labels(provider)
        self._lost = self._counter("leases_lost", "Jobs whose lease was lost.").labels(provider)
        self._wait, self._first_chunk = self._waits.labels(provider), self._first.labels(provider)
        self._group = self._groups.labels(provider)
        self._gauge("slots", "Calls in flight at most.").labels(provider).set(slots)
        held = self._gauge("in_flight", "Jobs that are held.").labels(provider)
        held.set_function(lambda: float(in_flight()))

    def started(self, attempt: Attempt) -> None:
        """A job's attempt begins."""
        if attempt.number == 1:
            self._wait.observe(max(0.0, time.time() - attempt.created_at.timestamp()))

    def ended(self, attempt: Attempt, settlement: Settlement) -> None:
        """An attempt came to its settlement."""
        state = settlement.attempt_state
        key = (attempt.model, state)
        counter = self._counted.get(key)
        if counter is None:
            counter = self._counted[key] = self._attempts.labels(
                self._provider, self._label(attempt.model), state.label
            )
        counter.inc()
        if state is not AttemptState.RETURNED and settlement.duration_ms is not None:
            timed = self._timed.get(attempt.model)
            if timed is None:
                label = self._label(attempt.model)
                timed = self._timed[attempt.model] = self._calls.labels(self._provider, label)
            timed.observe(settlement.duration_ms / 1000)
        if settlement.error_kind is not None and settlement.duration_ms is not None:
            self._errors.labels(self._provider, settlement.error_kind.value).inc()
        if attempt.lease.lost:
            self._lost.inc()

    def first_chunk(self, took_s: float) -> None:
        """The first piece of a streamed answer came."""
        self._first_chunk.observe(took_s)

    def claimed(self, jobs: int, *, is_open: bool) -> None:
        """A claim brought so many jobs; the index may have been closed."""
        brought = "jobs" if jobs else "nothing" if is_open else "closed_index"
        self._claims.labels(self._provider, brought).inc()
        self._claimed.inc(jobs)

    def settled(self, attempts: int) -> None:
        """So many attempts were settled in one transaction."""
        self._group.observe(attempts)

    def ledger_answered(self, statement: str, took_s: float) -> None:
        """A statement on the ledger ended, well or not."""
        self._ledger.labels(self._provider, statement).observe(took_s)

    def _label(self, model: str) -> str:
        if model not in self._models and len(self._models) >= MODELS:
            return OTHER
        self._models.add(model)
        return model

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        names = ("provider", *labels)
        return Counter(f"penstock_worker_{name}", told, names, registry=self.registry)

    def _gauge(self, name: str, told: str) -> Gauge:
        return Gauge(f"penstock_worker_{name}", told, ("provider",), registry=self.registry)

    def _histogram(
        self, name: str, told: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"penstock_worker_{name}",
            told,
            ("provider", *labels),
            buckets=buckets,
            registry=self.registry,
        )


@asynccontextmanager
async def served(
    registry: CollectorRegistry, *, name: str, host: str, port: int
) -> AsyncGenerator[int | None]:
    """Serve metrics from a thread, with the loop's lag, while the block runs; gives the port.

    A port that is taken costs a warning, not the process: then it gives None.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        logger.warning("metrics.not_served", extra={"port": port, "reason": str(error)})
        yield None
        return
    watching = asyncio.create_task(LoopLag(registry, name).watch(), name="penstock-loop-lag")
    logger.info("metrics.served", extra={"host": host, "port": server.server_port})
    try:
        yield server.server_port
    finally:
        await end([watching])
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@asynccontextmanager
async def served_process(settings: Settings, name: str) -> AsyncGenerator[None]:
    """Serve the metrics of a process that has none of its own, where a port is set for them."""
    if settings.metrics_port is None:
        yield
        return
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    where = (settings.metrics_host, settings.metrics_port)
    async with served(registry, name=name, host=where[0], port=where[1]):
        yield
