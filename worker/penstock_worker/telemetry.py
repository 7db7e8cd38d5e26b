"""Who looks on while a worker works: metrics and spans, put around its parts when it is composed.

Where nobody looks on the parts stay as they are, and nothing costs anything.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from arq.connections import ArqRedis

from penstock_client.ledger import Ledger
from penstock_client.settings import Settings
from penstock_client.tracing import tracing
from penstock_schemas.catalog import Catalog, Provider
from penstock_schemas.deltas import Delta
from penstock_worker.admission.index import Claimed, ProviderIndex
from penstock_worker.attempts import Attempt, Settlement
from penstock_worker.leases import Held
from penstock_worker.metrics import WorkerMetrics, served
from penstock_worker.pool import Run
from penstock_worker.spans import WorkerSpans

if TYPE_CHECKING:
    from penstock_client.ledger.ledger import Connection

PassOn = Callable[[Attempt, Sequence[Delta], int], Awaitable[None]]


class _FirstChunk:
    """When an attempt began, and how long its first piece took, on the monotonic clock."""

    __slots__ = ("started", "took_s")

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.took_s: float | None = None


#: Of the attempt that the current task runs.
_first_chunk: ContextVar[_FirstChunk | None] = ContextVar("first_chunk", default=None)


class Telemetry:
    """The onlookers of one worker, or none."""

    def __init__(self, metrics: WorkerMetrics | None, spans: WorkerSpans | None) -> None:
        self._metrics, self._spans = metrics, spans

    @classmethod
    def of(
        cls, settings: Settings, provider: Provider, models: Catalog, *, slots: int, held: Held
    ) -> Telemetry:
        """Metrics where a port is set for them, spans where they go somewhere; asked once."""
        embedding = {
            model.name
            for model in models.models
            if model.provider == provider.name and model.kind == "embedding"
        }
        metrics = spans = None
        if settings.metrics_port is not None:
            metrics = WorkerMetrics(provider.name, slots=slots, in_flight=lambda: len(held))
        if tracing():
            spans = WorkerSpans(is_embedding=embedding.__contains__)
        return cls(metrics, spans)

    @asynccontextmanager
    async def served(self, settings: Settings) -> AsyncGenerator[None]:
        """Answer scrapes while the block runs."""
        if self._metrics is None or settings.metrics_port is None:
            yield
            return
        port, registry = settings.metrics_port, self._metrics.registry
        async with served(registry, name="penstock_worker", host=settings.metrics_host, port=port):
            yield

    def around(self, run: Run) -> Run:
        """What runs an attempt, looked at."""
        metrics, spans = self._metrics, self._spans
        if metrics is None and spans is None:
            return run

        async def watched(attempt: Attempt) -> Settlement:
            first = _FirstChunk()
            _first_chunk.set(first)  # each attempt runs in a task of its own
            if metrics is not None:
                metrics.started(attempt)
            if spans is None:
                settlement = await run(attempt)
            else:
                settlement = await spans.run(attempt, run, lambda: first.took_s)
            if metrics is not None:
                metrics.ended(attempt, settlement)
            return settlement

        return watched

    def pass_on(self, pass_on: PassOn) -> PassOn:
        """What takes pieces of answers to those who read along, looked at."""
        metrics, spans = self._metrics, self._spans
        if metrics is None and spans is None:
            return pass_on

        async def watched(attempt: Attempt, deltas: Sequence[Delta], last: int) -> None:
            first = _first_chunk.get()
            if first is not None and first.took_s is None:
                first.took_s = time.monotonic() - first.started
                if metrics is not None:
                    metrics.first_chunk(first.took_s)
            await pass_on(attempt, deltas, last)

        return watched

    def index(self, redis: ArqRedis, provider: str) -> ProviderIndex:
        """A provider's index, its claims looked at."""
        if self._metrics is None:
            return ProviderIndex(redis, provider)
        return _WatchedIndex(redis, provider, self._metrics)

    def ledger(self, ledger: Ledger) -> Ledger:
        """The ledger, its statements looked at."""
        if self._metrics is None and self._spans is None:
            return ledger
        return _WatchedLedger(ledger, self._metrics, self._spans)


class _WatchedIndex(ProviderIndex):
    def __init__(self, redis: ArqRedis, provider: str, metrics: WorkerMetrics) -> None:
        super().__init__(redis, provider)
        self._metrics = metrics

    async def claim(self, slots: int, *, other_slots: int | None = None) -> Claimed:
        claimed = await super().claim(slots, other_slots=other_slots)
        self._metrics.claimed(len(claimed.leases), is_open=claimed.open)
        return claimed


class _WatchedLedger(Ledger):
    """The same pool; the statement `settle` names the jobs of its group first."""

    def __init__(
        self, ledger: Ledger, metrics: WorkerMetrics | None, spans: WorkerSpans | None
    ) -> None:
        super().__init__(ledger.pool, deadline_s=ledger.deadline_s)
        self._metrics, self._spans = metrics, spans

    async def fetch(self, name: str, *args: Any, connection: Connection | None = None) -> list[Any]:
        started, started_ns = time.monotonic(), time.time_ns()
        try:
            rows = await super().fetch(name, *args, connection=connection)
        finally:
            if self._metrics is not None:
                self._metrics.ledger_answered(name, time.monotonic() - started)
        if name == "settle":
            if self._metrics is not None:
                self._metrics.settled(len(args[0]))
            if self._spans is not None:
                self._spans.settled(args[0], group=len(args[0]), started_ns=started_ns)
        return rows
