"""Budgets as a worker meets them: what is said to jobs without room, and what the index is told.

Who may spend what is decided in Postgres, by the statement that opens attempts. `Rooms` keeps the
provider's index informed of budgets that are nearly used up, so that their jobs wait in the queue
rather than be claimed and put back; what it tells is short-lived, and may be wrong or lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from penstock_client.connections import AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.status import ErrorKind
from penstock_worker.admission.index import IndexRoom, ProviderIndex
from penstock_worker.attempts import Attempt, Opened, Room
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.protocol import Answer

logger = logging.getLogger("penstock.worker")

#: A budget is worth telling of when it has room for fewer than so many claims like the last one.
_CLAIMS_LEFT = 4
#: What was told of a budget holds for this long while calls draw on it, in ms, and this long once
#: it is used up.
_TOLD_MS = 1000
_USED_UP_MS = 15_000
#: A budget that was nearly used up is looked after for this long, in seconds.
_WATCHED_S = 10.0
_NANO = Decimal(1_000_000_000)


def told_of_budget(attempt: Attempt) -> str:
    """Why a job without room in a budget is ended, and what to do."""
    name, hold = attempt.configuration, attempt.hold
    tokens = hold.input_tokens + hold.output_tokens
    if attempt.lacks == "price":
        return (
            f"configuration {name} of workspace {attempt.workspace} has a money budget, and no "
            f"price is known of {attempt.provider}/{attempt.model}; allow it with allow_unpriced"
        )
    if attempt.lacks == "tokens":
        return (
            f"workspace {attempt.workspace} has no room left in its tokens of this month for this "
            f"job, which may use {tokens:,}; raise them with `penstock workspace set "
            f"{attempt.workspace} --monthly-tokens N`"
        )
    period = "daily" if attempt.lacks == "daily_usd" else "monthly"
    return (
        f"configuration {name} of workspace {attempt.workspace} has no room left in its {period} "
        f"budget for this job, which may cost ${hold.cost_usd:.6f}; raise its {period}_usd"
    )


def cut_by_budget(attempt: Attempt, answer: Answer) -> InvalidAnswer:
    """An answer was cut off where the budget had no room for a longer one."""
    return InvalidAnswer(
        ErrorKind.LENGTH,
        f"cut off after {attempt.hold.output_cap} tokens, for which the budget had room",
        provider=attempt.provider,
        usage=answer.usage,
        text=answer.text,
    )


class Rooms:
    """Tells one provider's index what nearly used-up budgets have left."""

    def __init__(self, ledger: Ledger, index: ProviderIndex) -> None:
        self._ledger = ledger
        self._index = index
        self._watched: dict[tuple[str, str], float] = {}
        self._prices: dict[str, TokenPrices] = {}

    async def opened(self, opened: Opened, prices: Mapping[str, TokenPrices]) -> None:
        """After a claim was opened: tell of budgets that have room for few more like it.

        Raises redis errors.
        """
        tight = [room for room in opened.rooms if opened.postponed or _is_tight(room, opened)]
        if not tight:
            return
        self._prices |= prices
        until = time.monotonic() + _WATCHED_S
        for room in tight:
            self._watched[room.workspace, room.configuration or ""] = until
        await self._tell(tight)

    async def settled(self, workspaces: Iterable[str]) -> None:
        """After attempts of these workspaces have ended: tell what that gave back, if it matters.

        Never raises for a server that is away: what was told lapses by itself.
        """
        if not self._watched:
            return
        now, touched = time.monotonic(), set(workspaces)
        self._watched = {key: until for key, until in self._watched.items() if until > now}
        wanted = [key for key in self._watched if key[0] in touched]
        if not wanted:
            return
        try:
            rows = await self._ledger.fetch(
                "rooms", [workspace for workspace, _ in wanted], [name for _, name in wanted]
            )
            await self._tell([_room(row) for row in rows])
        except AWAY as error:
            logger.warning("rooms.not_told", extra={"reason": str(error) or type(error).__name__})

    async def _tell(self, rooms: Sequence[Room]) -> None:
        await self._index.set_rooms([self._told(room) for room in rooms])

    def _told(self, room: Room) -> IndexRoom:
        unit = Decimal(1) if room.configuration is None else _NANO
        used_up = room.left <= 0 or (room.waits and room.free == room.left)
        return IndexRoom(
            name=room_name(room.workspace, room.configuration),
            left=int(room.left * unit),
            free=int(room.free * unit),
            hard=room.hard,
            waits=room.waits,
            for_ms=_USED_UP_MS if used_up else _TOLD_MS,
            prices={} if room.configuration is None else _in_nano(self._prices),
        )


def room_name(workspace: str, configuration: str | None) -> str:
    """How the index names a budget: a workspace's tokens, or the money of a configuration."""
    return workspace if configuration is None else f"{workspace}/{configuration}"


def _is_tight(room: Room, opened: Opened) -> bool:
    """Whether a few more claims like this one would use up a budget."""
    mine = [attempt for attempt in opened.attempts if attempt.workspace == room.workspace]
    if any(attempt.lacks for attempt in mine):
        return True
    holds = [attempt.hold for attempt in mine]
    if room.configuration is None:
        claim = Decimal(sum(hold.input_tokens + hold.output_tokens for hold in holds))
    else:
        claim = sum((hold.cost_usd or Decimal() for hold in holds), Decimal())
    return room.free < _CLAIMS_LEFT * claim


def _in_nano(prices: Mapping[str, TokenPrices]) -> dict[str, tuple[int, int]]:
    """Prices of tokens in nano-dollars, where both are known."""
    return {
        model: (int(price.input_usd * _NANO), int(price.output_usd * _NANO))
        for model, price in prices.items()
        if price.input_usd is not None and price.output_usd is not None
    }


def _room(row: Any) -> Room:
    return Room(
        workspace=row["workspace"],
        configuration=row["configuration"] or None,
        left=Decimal(row["left_over"]),
        free=Decimal(row["free"]),
        hard=row["hard"],
        waits=row["waits"],
    )
