"""What keeps work from starting at each provider, read from the indexes by whoever moves jobs.

The claim decides by the same keys, job by job; this is a look from outside, a moment old. A job
that is moved by it is never lost by it: wherever the job stands, its gates are asked again there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from arq.connections import ArqRedis

from penstock_client.entries import Flow
from penstock_client.presence import ALIVE_S
from penstock_schemas.keys import ProviderKeys

#: Jobs are moved away from gates that stay shut for longer than this, in ms.
_AHEAD_MS = 1000


@dataclass(frozen=True, slots=True)
class Closed:
    """What is closed at one provider.

    `shut`: gates (`model:…`, `credential:…`, `access:…`) that are not closed in the sense of a
    breaker, by when they let probes through, in ms. `paused`: scopes. `staffed`: it has a worker.
    """

    shut: Mapping[str, int] = field(default_factory=dict[str, int])
    paused: frozenset[str] = frozenset()
    staffed: bool = False

    @property
    def by_credential(self) -> bool:
        """Whether who is kept depends on whose credential is used."""
        return any(not gate.startswith("model:") for gate in self.shut)


def gates_of(model: str, credential: str) -> tuple[str, str, str]:
    """The gates that a call passes."""
    return f"model:{model}", f"credential:{credential}", f"access:{credential}/{model}"


def pauses_of(flow: Flow) -> tuple[str, ...]:
    """The scopes under which a flow may be paused."""
    scopes = (f"lane:{flow.lane}", f"workspace:{flow.workspace}", f"model:{flow.model}")
    return "provider", *scopes, f"tag:{flow.tag}"


class Gates:
    """The gates of all providers at one moment. Reads raise redis errors when Redis is away."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._now_ms = 0
        self._closed: dict[str, Closed] = {}
        self._credentials: dict[tuple[str, str, str], str] = {}

    @classmethod
    async def read(cls, redis: ArqRedis, providers: Iterable[str]) -> Gates:
        """Look at these providers."""
        gates = cls(redis)
        await gates.learn(providers, ())
        return gates

    async def learn(self, providers: Iterable[str], flows: Iterable[Flow]) -> None:
        """Look at further providers, and at whose credentials these flows use there."""
        await self._look_at([name for name in providers if name not in self._closed])
        by_user = {(flow.workspace, flow.configuration): flow for flow in flows}
        wanted = [
            (provider, flow)
            for provider, closed in self._closed.items()
            if closed.by_credential
            for user, flow in by_user.items()
            if (provider, *user) not in self._credentials
        ]
        if not wanted:
            return
        pipeline: Any = self._redis.pipeline(transaction=False)
        async with pipeline:
            for provider, flow in wanted:
                credentials = f"{ProviderKeys(provider).base}credentials"
                pipeline.hmget(credentials, *flow.credential_names)
            found: list[list[bytes | None]] = await pipeline.execute()
        for (provider, flow), names in zip(wanted, found, strict=True):
            self._credentials[provider, flow.workspace, flow.configuration] = flow.credential(names)

    async def _look_at(self, providers: list[str]) -> None:
        if not providers:
            return
        pipeline: Any = self._redis.pipeline(transaction=False)
        async with pipeline:
            pipeline.time()
            for provider in providers:
                keys = ProviderKeys(provider)
                pipeline.hgetall(f"{keys.base}shut")
                pipeline.hkeys(f"{keys.base}paused")
                pipeline.zrevrange(keys.workers, 0, 0, withscores=True)
            (seconds, micros), *found = await pipeline.execute()
        self._now_ms = seconds * 1000 + micros // 1000
        for at, provider in enumerate(providers):
            shut, paused, latest = found[3 * at : 3 * at + 3]
            self._closed[provider] = Closed(
                {gate.decode(): int(float(from_ms)) for gate, from_ms in shut.items()},
                frozenset(scope.decode() for scope in paused),
                bool(latest) and latest[0][1] > self._now_ms - ALIVE_S * 1000,
            )

    @property
    def fingerprint(self) -> frozenset[tuple[str, str]]:
        """All that a decision depends on, to be compared with an earlier look."""
        return frozenset(
            (provider, what)
            for provider, closed in self._closed.items()
            for what in (*closed.shut, *closed.paused, *(["staffed"] if closed.staffed else []))
        )

    def shut_for_long(self) -> dict[str, frozenset[str]]:
        """Provider -> its gates that let nothing through for a while yet."""
        found = {
            provider: frozenset(gate for gate in closed.shut if self._holds(closed, gate))
            for provider, closed in self._closed.items()
        }
        return {provider: gates for provider, gates in found.items() if gates}

    def keeps(self, provider: str, flow: Flow) -> bool:
        """Whether a gate at this provider lets nothing of a flow through for a while."""
        closed, credential = self._closed[provider], self._credential(provider, flow)
        return any(self._holds(closed, gate) for gate in gates_of(flow.model, credential))

    def _credential(self, provider: str, flow: Flow) -> str:
        key = (provider, flow.workspace, flow.configuration)
        return self._credentials.get(key) or flow.credential(())

    def staffed(self, provider: str) -> bool:
        """Whether a worker of this provider was seen lately."""
        return self._closed[provider].staffed

    def next_open(self, routes: Iterable[str], provider: str, flow: Flow) -> str | None:
        """The first route after the present one on which jobs of this flow could start."""
        left = iter(routes)
        if f"{provider}/{flow.model}" not in left:  # moves on to behind the present one
            return None
        return next((route for route in left if self._is_open(route, flow)), None)

    def _is_open(self, route: str, flow: Flow) -> bool:
        provider, model = route.split("/", 1)
        closed = self._closed[provider]
        credential = self._credential(provider, flow)
        there = replace(flow, model=model)
        # Where nobody works anywhere, the index may have been lost a moment ago.
        nobody = not any(other.staffed for other in self._closed.values())
        return (
            (closed.staffed or nobody)
            and closed.shut.keys().isdisjoint(gates_of(model, credential))
            and closed.paused.isdisjoint(pauses_of(there))
        )

    def _holds(self, closed: Closed, gate: str) -> bool:
        return closed.shut.get(gate, 0) > self._now_ms + _AHEAD_MS
