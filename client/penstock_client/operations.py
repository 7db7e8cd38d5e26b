"""What operators see and steer beyond single jobs: providers, their breakers and credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.explaining import AttemptSeen, JobExplanation, explain_job, seen_attempts
from penstock_client.gates import GateState, read_gates, restore_gate, try_gate
from penstock_client.index_state import LimitState, read_limits
from penstock_client.ledger import Ledger
from penstock_client.presence import ALIVE_S
from penstock_client.settings import REDIS_VARIABLE
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import JobId
from penstock_schemas.keys import ProviderKeys

#: Jobs are counted so far; there may be more.
COUNTED_JOBS = 100_000
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOverview:
    """One provider as its index and the ledger show it now.

    `index` is `open`, `rebuilding`, `stale` or empty where there is none. `jobs` have not ended,
    counted to `COUNTED_JOBS`; `running` of them are claimed by a worker, `retrying` wait to be
    tried again. `pauses` maps scopes to reasons.
    """

    provider: str
    index: str
    workers: int
    jobs: int
    running: int
    retrying: int
    gates: tuple[GateState, ...]
    limits: tuple[LimitState, ...]
    pauses: dict[str, str]

    @property
    def tells(self) -> bool:
        """Whether there is anything to know of it."""
        return bool(self.workers or self.jobs or self.gates or self.limits or self.pauses)


class Operations:
    """Reads are a moment old and bounded. Every method raises Unavailable."""

    def __init__(self, ledger: Ledger, redis: ArqRedis, catalog: Catalog) -> None:
        self._ledger, self._redis, self._catalog = ledger, redis, catalog

    async def explain(self, job_id: JobId) -> JobExplanation:
        """Why a job waits; raises UnknownJob."""
        return await _reached(explain_job(self._ledger, self._redis, job_id))

    async def attempts(self, job_id: JobId) -> Sequence[AttemptSeen]:
        """Every attempt of a job, in order; none for a job that is not there."""
        return seen_attempts(await self._ledger.attempts(UUID(job_id)))

    async def providers(self) -> list[ProviderOverview]:
        """Every provider of the catalogue, and others that have jobs."""
        live = {row["provider"] for row in await self._ledger.fetch_safely("live_providers")}
        known = [provider.name for provider in self._catalog.providers]
        names = [*known, *sorted(live.difference(known))]
        counts = {name: await self._live(name) for name in live}
        return await _reached(self._overviews(names, counts))

    async def provider(self, name: str) -> ProviderOverview:
        """One provider of the catalogue; raises UnknownProvider."""
        known = self._catalog.provider(name).name
        (found,) = await _reached(self._overviews([known], {known: await self._live(known)}))
        return found

    async def try_gate(self, provider: str, gate: str) -> bool:
        """Let calls try a gate that is shut at once; False when it is not shut.

        `gate` is the name of a `GateState`. Raises UnknownProvider.
        """
        return await _reached(try_gate(self._redis, self._catalog.provider(provider).name, gate))

    async def restore_gate(self, provider: str, gate: str) -> bool:
        """Let everything through a gate that is shut; False when it is not. As `try_gate`."""
        name = self._catalog.provider(provider).name
        return await _reached(restore_gate(self._redis, name, gate))

    async def _live(self, provider: str) -> int:
        return (await self._ledger.fetch_safely("live_count", provider, COUNTED_JOBS))[0]["jobs"]

    async def _overviews(
        self, names: Sequence[str], counts: dict[str, int]
    ) -> list[ProviderOverview]:
        commands: Any = self._redis
        seconds, _ = await commands.time()
        async with commands.pipeline(transaction=False) as pipeline:
            for name in names:
                keys = ProviderKeys(name)
                pipeline.hget(keys.epoch, "state")
                pipeline.zcount(keys.workers, (seconds - ALIVE_S) * 1000, "+inf")
                pipeline.zcard(keys.leases)
                pipeline.zcard(f"{keys.base}due")
                pipeline.hgetall(f"{keys.base}paused")
            found: list[Any] = await pipeline.execute()
        gates = await read_gates(self._redis, names)
        limits = await read_limits(self._redis, names)
        return [
            _overview(
                name,
                found[5 * at : 5 * at + 5],
                jobs=counts.get(name, 0),
                gates=tuple(gate for gate in gates if gate.provider == name),
                limits=tuple(limit for limit in limits if limit.provider == name),
            )
            for at, name in enumerate(names)
        ]


def _overview(
    provider: str,
    found: Sequence[Any],
    *,
    jobs: int,
    gates: tuple[GateState, ...],
    limits: tuple[LimitState, ...],
) -> ProviderOverview:
    index, workers, running, retrying, paused = found
    return ProviderOverview(
        provider=provider,
        index=(index or b"").decode(),
        workers=workers,
        jobs=jobs,
        running=running,
        retrying=retrying,
        gates=gates,
        limits=limits,
        pauses={scope.decode(): reason.decode() for scope, reason in paused.items()},
    )


async def _reached(asked: Awaitable[_Found]) -> _Found:
    try:
        return await asked
    except REDIS_AWAY as error:
        detail = str(error) or type(error).__name__
        raise Unavailable("Redis", detail, variable=REDIS_VARIABLE) from None
