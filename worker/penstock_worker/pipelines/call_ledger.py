"""One call of a COMPUTE function, as Postgres says it: who runs it, and how it ended."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from penstock_client.connections import POSTGRES_AWAY, persistently
from penstock_client.ledger import Ledger

#: A lease lasts so long and is renewed this often, in seconds.
LEASE_S = 15.0
RENEW_S = 5.0
#: How long a result is kept in memory while Postgres is away, in seconds.
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Which call: of which item of a run, and how often it was started before."""

    run: UUID
    position: int
    item: int
    starts: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ours while we renew its lease; `start` counts how often it was started."""

    place: Place
    fence: int
    function: str
    input: bytes
    timeout_s: float
    start: int
    workspace: str
    skill: str
    step: str
    trace: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What names it and us in every statement."""
        return (self.place.run, self.place.position, self.place.item, self.fence)


class CallLedger:
    """The statements of a COMPUTE worker. All are safe to repeat but `claim`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, place: Place) -> Call | None:
        """Start a call; None when it is another's, has ended, or is not to start now."""
        fence = secrets.randbits(62) + 1
        args = (place.run, place.position, place.item, place.starts, fence, LEASE_S)
        for row in await self._ledger.fetch("call_claim", *args):
            return Call(
                place=place,
                fence=fence,
                function=row["function"],
                input=row["input"],
                timeout_s=row["timeout_s"],
                start=row["starts"],
                workspace=row["workspace"],
                skill=row["skill"],
                step=row["step"],
                trace=row["trace"],
            )
        return None

    async def renew(self, calls: Sequence[Call]) -> set[int]:
        """Renew leases; the tokens of those that are still ours."""
        columns = [
            [call.place.run for call in calls],
            [call.place.position for call in calls],
            [call.place.item for call in calls],
            [call.fence for call in calls],
        ]
        rows = await self._ledger.fetch("call_renew", *columns, LEASE_S)
        return {row["fence"] for row in rows}

    async def done(self, call: Call, output: bytes) -> bool:
        """Keep the output; False when the call has ended otherwise, or is another's."""
        return bool(await self._persistently("call_done", *call.key, call.start, output))

    async def failed(self, call: Call, error: str, *, again: bool) -> bool:
        """Note that it failed; whether that is the end of it. `again`: it may be tried again."""
        rows = await self._persistently("call_failed", *call.key, error, again)
        return bool(rows) and bool(rows[0]["ended"])

    async def back(
        self, call: Call, *, after_s: float = 0.0, missing: bool = False
    ) -> float | None:
        """Give back a call that was not made; for how long its module has lacked it, in seconds."""
        rows = await self._persistently("call_back", *call.key, after_s, missing)
        return rows[0]["missing_s"] if rows else None

    async def _persistently(self, name: str, *args: Any) -> list[Any]:
        return await persistently(
            lambda: self._ledger.fetch(name, *args), away=POSTGRES_AWAY, for_s=_PATIENCE_S
        )
