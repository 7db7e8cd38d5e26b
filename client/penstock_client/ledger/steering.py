"""What operators set, as the ledger keeps it: limits, pauses, workspaces' weights and credentials.

The command line writes through here; the steward asks twice a second whether anything has changed,
and writes that into the providers' indexes, so a change is in force within about a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from penstock_schemas.limits import EACH, LimitSetting, LimitUnit, PauseTarget

if TYPE_CHECKING:
    from penstock_client.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What is paused, why, and since when."""

    target: PauseTarget
    reason: str
    since: datetime

    def holds_at(self, provider: str) -> bool:
        """Whether it keeps anything of a provider."""
        return self.target.provider in {EACH, provider}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """All that operators have set in the ledger. `weights` has workspaces that are not at 1.

    `credentials` says for each provider whose credential is used: by workspace where it has its
    own, and by `workspace/configuration` where that uses the platform's all the same.
    """

    limits: tuple[LimitSetting, ...]
    pauses: tuple[Pause, ...]
    weights: Mapping[str, float]
    credentials: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict[str, Mapping[str, str]]
    )


class Steering:
    """Reads and writes of operators. All of them raise Unavailable or ConfigurationError."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def limits(self, provider: str | None = None) -> list[LimitSetting]:
        """The limits that are set, of all providers or of one."""
        return [_limit(row) for row in await self._ledger.fetch_safely("limits", provider)]

    async def set_limits(self, settings: Sequence[LimitSetting]) -> None:
        """Set limits, all or none, each in place of what was set there. Idempotent."""
        await self._ledger.fetch_safely(
            "set_limits",
            [setting.provider for setting in settings],
            [setting.scope for setting in settings],
            [setting.unit for setting in settings],
            [setting.window_s for setting in settings],
            [setting.amount for setting in settings],
        )

    async def unset_limits(
        self,
        provider: str,
        scope: str,
        *,
        units: Sequence[LimitUnit] | None = None,
        windows_s: Sequence[int] | None = None,
    ) -> list[LimitSetting]:
        """Lift the limits of a scope, or those of these units and windows; gives what it lifted."""
        args = (provider, scope, units, windows_s)
        return [_limit(row) for row in await self._ledger.fetch_safely("unset_limits", *args)]

    async def pauses(self) -> list[Pause]:
        """What is paused, the oldest first."""
        return [_pause(row) for row in await self._ledger.fetch_safely("pauses")]

    async def pause(self, target: PauseTarget, *, reason: str) -> None:
        """Pause it; one that is paused already takes the new reason. Idempotent."""
        await self._ledger.fetch_safely("pause", target.provider, target.scope, reason)

    async def resume(self, target: PauseTarget) -> bool:
        """Lift the pause of exactly this; False when there is none."""
        return bool(await self._ledger.fetch_safely("resume", target.provider, target.scope))

    async def version(self) -> int:
        """A number that changes whenever `all` does; as cheap as a read can be. Raises as `all`."""
        return (await self._ledger.fetch("steering_version"))[0]["version"]

    async def all(self) -> OperatorSettings:
        """Everything at once. Not repeated when Postgres is away; raises as asyncpg does."""
        limits = await self._ledger.fetch("limits", None)
        pauses = await self._ledger.fetch("pauses")
        weights = await self._ledger.fetch("weights")
        credentials = await self._ledger.fetch("credentials")
        return OperatorSettings(
            limits=tuple(_limit(row) for row in limits),
            pauses=tuple(_pause(row) for row in pauses),
            weights={row["workspace_id"]: row["weight"] for row in weights},
            credentials=_credentials(credentials),
        )


def _credentials(rows: Sequence[Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        configuration, name = row["configuration"], row["workspace_id"]
        if configuration is not None:
            name = f"{name}/{configuration}"
        found.setdefault(row["provider"], {})[name] = row["fingerprint"]
    return found


def _limit(row: Any) -> LimitSetting:
    return LimitSetting(**dict(row.items()))


def _pause(row: Any) -> Pause:
    target = PauseTarget(provider=row["provider"], scope=row["scope"])
    return Pause(target=target, reason=row["reason"], since=row["since"])
