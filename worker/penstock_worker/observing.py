"""What answers say of limits and credentials, gathered and passed to the provider's index.

Headers of successes are passed on a few times a second; a refusal and a shut gate at once, before
the job that met them is given back, so that no other job follows it into the same refusal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Self

import httpx

from penstock_client.background import end
from penstock_client.connections import REDIS_AWAY
from penstock_client.entries import Flow
from penstock_schemas.errors import ProviderError
from penstock_schemas.keys import KEY_CHECK
from penstock_schemas.limit_policy import LimitPolicy
from penstock_schemas.status import ErrorKind
from penstock_worker.admission.index import Observation, ProviderIndex, Unit
from penstock_worker.outcome import SLOW_DOWN_S, shut_by
from penstock_worker.providers.limit_headers import MINUTE_MS, SeenLimit, read_limits, refused_units

logger = logging.getLogger("penstock.worker")

#: What successes say is passed on at most this often, in seconds.
EVERY_S = 0.25
#: Accepted calls are counted over this long, in seconds.
_RATE_S = 10.0
#: Credentials' models that are watched at most.
_MODELS_MOST = 10_000
#: A provider that refuses and does not say why has run out of these.
_UNTOLD: tuple[tuple[Unit, int], ...] = (("requests", MINUTE_MS),)


@dataclass(slots=True)
class _Model:
    """What was seen of one model with one credential."""

    flow: Flow
    limits: tuple[SeenLimit, ...] = ()
    accepted_at: deque[float] = field(default_factory=deque)
    takes_ms: float = 0.0
    passed_at: float = 0.0
    was_refused: frozenset[tuple[Unit, int]] = frozenset()

    def accepted(self, window_ms: int) -> int:
        """Calls that this worker had accepted, as so many within a window."""
        oldest = time.monotonic() - _RATE_S
        while self.accepted_at and self.accepted_at[0] < oldest:
            self.accepted_at.popleft()
        return int(len(self.accepted_at) * window_ms / (_RATE_S * 1000))


class Observer:
    """Watches the answers of one worker."""

    def __init__(self, index: ProviderIndex, policy: LimitPolicy) -> None:
        self._index = index
        self._policy = policy
        self._models: dict[tuple[str, str], _Model] = {}
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Watch until the block ends."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is being passed on."""
        await end(self._passing)

    def accepted(
        self, flow: Flow, headers: httpx.Headers, credential: str, *, took_s: float
    ) -> None:
        """A call was accepted; what its headers say is passed on in the background.

        Keys that are only tested teach nothing: their limits are not those of one another.
        """
        if credential == KEY_CHECK:
            return
        seen = self._of(flow, credential)
        now = time.monotonic()
        seen.accepted_at.append(now)
        seen.takes_ms += (took_s * 1000 - seen.takes_ms) * 0.1
        if now - seen.passed_at < EVERY_S:
            return
        seen.passed_at = now
        seen.limits = read_limits(self._policy, headers)
        if seen.limits or seen.was_refused:
            task = asyncio.create_task(self._pass(self._observed(seen, frozenset(), None)))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def failed(
        self, flow: Flow, error: ProviderError, headers: httpx.Headers | None, credential: str
    ) -> None:
        """A call failed: move the limit it met, or shut the gate of its credential."""
        if credential == KEY_CHECK:
            return
        if error.kind in {ErrorKind.RATE_LIMITED, ErrorKind.SLOW_DOWN}:
            await self._refused(self._of(flow, credential), error, headers)
        shut = shut_by(error)
        if shut is None:
            return
        access = f"access:{credential}/{flow.model}"
        gate = access if shut.of_model else f"credential:{credential}"
        logger.warning(
            "gate.shut",
            extra={"gate": gate, "state": shut.state, "for_s": shut.for_s, "reason": error.message},
        )
        try:
            await self._index.shut(gate, state=shut.state, reason=error.message, for_s=shut.for_s)
        except REDIS_AWAY as away:
            logger.warning("gate.not_shut", extra={"gate": gate, "reason": str(away)})

    async def _refused(
        self, seen: _Model, error: ProviderError, headers: httpx.Headers | None
    ) -> None:
        if headers is not None:
            seen.limits = read_limits(self._policy, headers)
        hint_s = error.retry_after_s
        if hint_s is None and error.kind is ErrorKind.SLOW_DOWN:
            hint_s = SLOW_DOWN_S
        units = frozenset(refused_units(error) or _UNTOLD)
        await self._pass(self._observed(seen, units, hint_s))

    def _of(self, flow: Flow, credential: str) -> _Model:
        found = self._models.get((credential, flow.model))
        if found is None:
            if len(self._models) >= _MODELS_MOST:
                del self._models[next(iter(self._models))]  # the one that was met first
            found = self._models[credential, flow.model] = _Model(flow)
        return found

    def _observed(
        self, seen: _Model, refused: frozenset[tuple[Unit, int]], hint_s: float | None
    ) -> list[Observation]:
        known: dict[tuple[Unit, int], SeenLimit] = {
            (limit.unit, limit.window_ms): limit for limit in seen.limits
        }
        seen.was_refused |= refused  # from then on its successes count too
        observations: list[Observation] = []
        for key in {*known, *seen.was_refused}:
            limit = known.get(key)
            unit, window_ms = key
            observations.append(
                Observation(
                    flow=seen.flow,
                    unit=unit,
                    window_ms=window_ms,
                    limit=limit and limit.limit,
                    used=limit and limit.used,
                    refusals=int(key in refused),
                    retry_ms=None if hint_s is None or key not in refused else int(hint_s * 1000),
                    takes_ms=int(seen.takes_ms),
                    accepted=seen.accepted(window_ms),
                )
            )
        return observations

    async def _pass(self, observations: list[Observation]) -> None:
        try:
            await self._index.observe(observations)
        except REDIS_AWAY as away:
            logger.warning("limits.not_observed", extra={"reason": str(away)})
