"""Steering: what operators and the catalogue say, from the ledger into each provider's index.

A duty of the steward. `wanted_at` is pure: settings -> what one index should hold. `IndexSteering`
reads the ledger when its number of changes has moved, and writes what differs from what it wrote
last into this epoch of the index; since an index can lose anything, it writes all of it again every
minute, and into a new epoch before that is opened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from arq.connections import ArqRedis

from penstock_client.ledger import Ledger, OperatorSettings
from penstock_schemas.catalog import Catalog
from penstock_schemas.keys import ProviderKeys
from penstock_schemas.limit_policy import LimitPolicy, limit_policy
from penstock_schemas.limits import LimitSetting, merged
from penstock_worker.admission.index import Limit, ProviderIndex

logger = logging.getLogger("penstock.steward")

#: Calls that go out at first where nothing is known of a provider's limits.
START_CALLS = 8
#: Everything is written again after so many seconds.
AGAIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a provider's index should hold of settings; see `ProviderIndex.set_*`."""

    limits: tuple[Limit, ...] = ()
    pauses: Mapping[str, str] = field(default_factory=dict[str, str])
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    credentials: Mapping[str, str] = field(default_factory=dict[str, str])
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    tuning: Mapping[str, str | float] = field(default_factory=dict[str, str | float])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What was written into one epoch of an index, and when by the monotonic clock."""

    epoch: bytes
    wanted: Wanted
    at: float


def wanted_at(
    provider: str,
    operators: OperatorSettings,
    *,
    file_limits: Iterable[LimitSetting],
    models: Catalog,
) -> Wanted:
    """What the index of a provider should hold.

    Limits of the ledger go before the configuration file's. Of two pauses of the same scope the
    provider's own tells the reason.
    """
    policy = limit_policy(provider)
    limits = merged(file_limits, operators.limits)
    pauses = sorted(
        (pause for pause in operators.pauses if pause.holds_at(provider)),
        key=lambda pause: pause.target.provider == provider,
    )
    return Wanted(
        limits=tuple(_limit(setting) for setting in limits if setting.provider == provider),
        pauses={pause.target.scope: pause.reason for pause in pauses},
        weights=operators.weights,
        credentials=operators.credentials.get(provider, {}),
        groups=_groups(provider, policy, models),
        tuning={
            "counted": policy.counted,
            "open_ms": int(policy.open_s * 1000),
            "failures": policy.failures,
            "start": 0 if _is_local(provider, models) else START_CALLS,
        },
    )


def _is_local(provider: str, models: Catalog) -> bool:
    return any(row.local for row in models.providers if row.name == provider)


class IndexSteering:
    """Keeps the settings of indexes true to the ledger. Repeatable; several may run."""

    def __init__(
        self,
        ledger: Ledger,
        redis: ArqRedis,
        *,
        file_limits: Sequence[LimitSetting],
        models: Catalog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._redis = redis
        self._file_limits = tuple(file_limits)
        self._models = models
        self._clock = clock
        self._written: dict[str, _Written] = {}
        self._version: int | None = None
        self._read_at = 0.0
        self._operators: OperatorSettings | None = None
        self._wanted: dict[str, Wanted] = {}

    async def steer(self, providers: Iterable[str]) -> None:
        """Write what has changed for these providers; an index that does not exist is left out."""
        operators = await self._read()
        names = sorted(set(providers))
        for provider, epoch in zip(names, await self._epochs_of(names), strict=True):
            if epoch is not None:
                await self._write(provider, epoch, operators)

    async def _read(self) -> OperatorSettings:
        """What the ledger holds; read again only once it has changed, or after a minute."""
        version, now = await self._ledger.steering.version(), self._clock()
        if self._operators is None or version != self._version or now - self._read_at >= AGAIN_S:
            found = await self._ledger.steering.all()
            self._version, self._read_at = version, now
            if found != self._operators:
                self._operators, self._wanted = found, {}
            return found
        return self._operators

    def _wanted_at(self, provider: str, operators: OperatorSettings) -> Wanted:
        is_latest = operators is self._operators  # else another turn has read since
        found = self._wanted.get(provider) if is_latest else None
        if found is None:
            found = wanted_at(
                provider, operators, file_limits=self._file_limits, models=self._models
            )
            if is_latest:
                self._wanted[provider] = found
        return found

    async def prepare(self, provider: str) -> None:
        """Write everything into an index that is about to be opened."""
        self._written.pop(provider, None)
        await self.steer([provider])

    async def _epochs_of(self, providers: Sequence[str]) -> list[bytes | None]:
        pipeline: Any = self._redis.pipeline(transaction=False)
        async with pipeline:
            for provider in providers:
                pipeline.hget(ProviderKeys(provider).epoch, "id")
            return await pipeline.execute()

    async def _write(self, provider: str, epoch: bytes, operators: OperatorSettings) -> None:
        wanted = self._wanted_at(provider, operators)
        written = self._written.get(provider)
        if written and (written.epoch != epoch or self._clock() - written.at >= AGAIN_S):
            written = None
        changed = _changed(written and written.wanted, wanted)
        if not changed:
            return
        self._written.pop(provider, None)  # until it is known what the index holds
        await _write_to(ProviderIndex(self._redis, provider), wanted, changed)
        at = written.at if written else self._clock()
        self._written[provider] = _Written(epoch=epoch, wanted=wanted, at=at)
        if written:
            logger.info("index.steered", extra={"provider": provider, "settings": changed})


def _changed(before: Wanted | None, wanted: Wanted) -> list[str]:
    """The names of what has to be written."""
    if before is wanted:
        return []
    names = [each.name for each in fields(Wanted)]
    if before is None:
        return names
    return [name for name in names if getattr(before, name) != getattr(wanted, name)]


async def _write_to(index: ProviderIndex, wanted: Wanted, names: Sequence[str]) -> None:
    """Pauses go first and limits last: groups and credentials say what limits are of."""
    if "pauses" in names:
        await index.set_pauses(wanted.pauses)
    if "weights" in names:
        await index.set_all("weights", wanted.weights)
    if "credentials" in names:
        await index.set_all("credentials", wanted.credentials)
    if "groups" in names:
        await index.set_all("groups", wanted.groups)
    if "tuning" in names:
        await index.set_all("tuning", wanted.tuning)
    if "limits" in names:
        await index.set_limits(wanted.limits)


def _limit(setting: LimitSetting) -> Limit:
    return Limit(setting.scope, setting.unit, setting.window_s * 1000, setting.amount)


def _groups(provider: str, policy: LimitPolicy, models: Catalog) -> dict[str, str]:
    """The models of the catalogue that share a limit with others, and their groups."""
    names = (model.name for model in models.models_of(provider))
    found = {name: policy.group_of(name) for name in names}
    return {name: group for name, group in found.items() if group != name}
