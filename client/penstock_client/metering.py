"""What metrics are made of: indexes and totals of usage at one moment, read side by side.

A server that is away leaves its part out; nothing here raises for it. Labels that come of this are
bounded: no workspace, no job, and as many models as `usage_totals` keeps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
from arq.connections import ArqRedis

from penstock_client.background import end
from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY
from penstock_client.gates import GateState, read_gates
from penstock_client.index_state import LimitState, read_limits
from penstock_client.ledger import Ledger
from penstock_client.queue_depth import Depths, read_depths
from penstock_client.usage_totals import Series, UsageTotals
from penstock_schemas.catalog import Catalog

logger = logging.getLogger("penstock.client")

#: Servers get so long to answer, in seconds; scrapers give up after ten.
PATIENCE_S = 4.0
#: Totals are read again when they are this old, in seconds.
TOTALS_S = 10.0
#: Away, or without the tables.
_LEDGER_AWAY = (*POSTGRES_AWAY, asyncpg.PostgresError)
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What is under way that owns jobs, and the webhooks; as `owner_counts.sql` says."""

    runs: int
    backfills_loading: int
    backfills_running: int
    backfills_paused: int
    backfill_rows_left: int
    compute_waiting: int
    compute_running: int
    webhooks_waiting: int
    webhooks_late: int
    webhooks_given_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """One reading. `depths` is None while Redis is away, `totals` until Postgres has told them.

    `postgres` and `redis` say whether these answered just now; `owned` is None where it did not.
    """

    postgres: bool
    redis: bool
    depths: Depths | None = None
    gates: tuple[GateState, ...] = ()
    limits: tuple[LimitState, ...] = ()
    owned: Owned | None = None
    totals: Mapping[Series, float] | None = None


class Metering:
    """Reads of one process. The catalogue is asked for at each, since it may change."""

    def __init__(self, ledger: Ledger, redis: ArqRedis, catalog: Callable[[], Catalog]) -> None:
        self._ledger, self._redis, self._catalog = ledger, redis, catalog
        self._usage = UsageTotals(ledger, redis, self._known_models)
        self._providers: tuple[str, ...] = ()
        self._totals: Mapping[Series, float] | None = None
        self._totals_at: float | None = None
        self._summing: asyncio.Task[bool] | None = None

    async def read(self) -> Metered:
        """Read everything now, within about `PATIENCE_S`."""
        owned = await _in_time(self._ask_ledger(), _LEDGER_AWAY, event="metrics.ledger")
        found = await _in_time(self._ask_indexes(), REDIS_AWAY, event="metrics.index")
        depths, gates, limits = found or (None, (), ())
        return Metered(
            postgres=owned is not None,
            redis=found is not None,
            depths=depths,
            gates=gates,
            limits=limits,
            owned=owned,
            totals=self._totals,
        )

    def _known_models(self) -> set[tuple[str, str]]:
        return {(model.provider, model.name) for model in self._catalog().models}

    async def _ask_ledger(self) -> Owned:
        """Learn who has jobs, and start on the totals; a first sum may take several readings."""
        rows = await self._ledger.fetch("live_providers")
        known = [provider.name for provider in self._catalog().providers]
        others = {row["provider"] for row in rows}.difference(known)
        self._providers = (*known, *sorted(others))
        (counts,) = await self._ledger.fetch("owner_counts")
        due = self._totals_at is None or time.monotonic() - self._totals_at >= TOTALS_S
        if self._summing is None and due:
            self._summing = asyncio.create_task(self._sum(), name="penstock-totals")
        if self._summing is not None:
            await asyncio.wait([self._summing], timeout=PATIENCE_S / 2)
            if self._summing.done():
                self._summing = None
        return Owned(**counts)

    async def _sum(self) -> bool:
        try:
            self._totals = await self._usage.read()
        except _LEDGER_AWAY as error:
            logger.warning("metrics.totals_unknown", extra={"reason": type(error).__name__})
            return False
        except Exception:
            logger.exception("metrics.totals_failed")
            return False
        self._totals_at = time.monotonic()
        return True

    async def _ask_indexes(
        self,
    ) -> tuple[Depths, tuple[GateState, ...], tuple[LimitState, ...]]:
        names = self._providers or tuple(p.name for p in self._catalog().providers)
        depths = await read_depths(self._redis, names)
        gates = await read_gates(self._redis, names)
        limits = await read_limits(self._redis, names)
        return depths, tuple(gates), tuple(limits)

    async def close(self) -> None:
        """End what is under way."""
        if self._summing is not None:
            await end([self._summing])


async def _in_time(
    asked: Awaitable[_Found], away: tuple[type[BaseException], ...], *, event: str
) -> _Found | None:
    """What is asked for, or None when its server does not answer in time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asked
    except (*away, TimeoutError) as error:
        logger.warning(event, extra={"reason": type(error).__name__})
        return None
