"""Which share of its provider's limits a backfill finds in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock_client.connections import REDIS_AWAY
from penstock_client.index_state import read_limits
from penstock_schemas.errors import PenstockError

if TYPE_CHECKING:
    from penstock_client.client import Penstock


async def limit_share_of(penstock: Penstock, row: Any) -> float | None:
    """The share in use of the limit that is nearest to its end, 0 to 1; None where none is known.

    Of the provider of the newest job of the backfill that is under way. A figure for people: None
    too while a server is away.
    """
    try:
        jobs = await penstock.ledger.fetch_safely("backfill_provider", row["id"])
        if not jobs:
            return None
        limits = await read_limits(penstock.redis, [jobs[0]["provider"]])
    except (PenstockError, *REDIS_AWAY):
        return None
    return max((limit.in_use for limit in limits if limit.in_use is not None), default=None)
