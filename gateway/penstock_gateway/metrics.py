"""`GET /metrics`: the state of queues, limits and breakers, and totals of usage, for Prometheus.

Read when scraped, and not again for a moment, so that no number of scrapers loads the servers.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from penstock_client import Penstock
from penstock_client.metering import Metered, Metering
from penstock_gateway.exposition import families

#: A reading is served for so long, in seconds.
FRESH_S = 2.0


class Readings:
    """The last reading, shared by all who scrape."""

    def __init__(
        self,
        metering: Metering,
        *,
        fresh_s: float = FRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metering, self._fresh_s, self._clock = metering, fresh_s, clock
        self._found: Metered | None = None
        self._found_at = 0.0
        self._took_s = 0.0
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        """End what is being read."""
        await self._metering.close()

    async def latest(self) -> tuple[Metered, float]:
        """A reading at most `fresh_s` old, and how many seconds it took."""
        async with self._reading:
            started = self._clock()
            if self._found is None or started - self._found_at >= self._fresh_s:
                self._found = await self._metering.read()
                self._found_at = self._clock()
                self._took_s = self._found_at - started
            return self._found, self._took_s


def readings_of(penstock: Callable[[], Penstock]) -> Callable[[], Readings]:
    """The readings of a connection that is only there once the application has started."""

    @functools.cache
    def readings() -> Readings:
        return Readings(penstock().metering())

    return readings


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def page(found: Metered, took_s: float, *, accept: str) -> tuple[bytes, str]:
    """A reading as text, and its content type: OpenMetrics where that is asked for."""
    registry = CollectorRegistry()
    registry.register(_Collected([*families(found), _duration(took_s)]))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _duration(took_s: float) -> Metric:
    metric = Metric("penstock_metrics_read_seconds", "Time that the last reading took.", "gauge")
    metric.add_sample(metric.name, {}, took_s)
    return metric


def metrics_router(readings: Callable[[], Readings], *, guards: Sequence[Depends]) -> APIRouter:
    """The route; `guards` refuse who may not scrape."""
    router = APIRouter(tags=["health"], dependencies=list(guards))

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        found, took_s = await readings().latest()
        body, content_type = page(found, took_s, accept=request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return router
