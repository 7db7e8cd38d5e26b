"""The queues of calls of COMPUTE functions: plain arq queues, one for each module.

They are an index like all of Redis: which calls are to be made says Postgres, where a worker also
has to start each of them, so a call that stands in a queue twice is still made once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, Final

import orjson
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import serialize_job

from penstock_client import Penstock
from penstock_schemas.keys import ComputeKeys

#: The arq function that makes one call.
FUNCTION: Final = "call"
#: Calls whose worker was lost so often fail: they may be what kills it.
MOST_CRASHES: Final = 3
#: Calls of one look.
_PAGE = 500
_PAGES = 20
#: How long a queue keeps a call, in ms; stewards put it back for as long as it waits.
_KEPT_MS = 86_400_000


def encode(document: Any) -> bytes:
    """How these queues are written."""
    return orjson.dumps(document)


def decode(body: bytes) -> Any:
    """How they are read."""
    return orjson.loads(body)


class CallQueue:
    """Puts calls that are due into their queues."""

    def __init__(self, penstock: Penstock) -> None:
        self._ledger = penstock.ledger
        self._redis = penstock.redis

    async def offer_due(self) -> None:
        """Offer every call that is due to the workers of its module."""
        for _ in range(_PAGES):
            rows = await self._ledger.fetch("call_due", _PAGE)
            if rows:
                await self._offer(rows)
            if len(rows) < _PAGE:
                return

    async def _offer(self, rows: list[Any]) -> None:
        by_module: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            if row["lost"] and row["crashes"] >= MOST_CRASHES:
                await self._give_up(row)
            else:
                by_module[row["function"].partition(":")[0]].append(row)
        for module, calls in by_module.items():
            await self._push(ComputeKeys(module).queue, calls)

    async def _give_up(self, row: Any) -> None:
        told = f"its worker was lost {row['crashes']} times while it ran {row['function']}"
        place = (row["run"], row["position"], row["item"])
        await self._ledger.fetch("call_lost", *place, told)

    async def _push(self, queue: str, calls: list[Any]) -> None:
        now = int(time.time() * 1000)
        pipeline: Any = self._redis.pipeline(transaction=False)  # pyright: ignore[reportUnknownMemberType]
        async with pipeline:
            for row in calls:
                place = (str(row["run"]), row["position"], row["item"])
                call_id = _call_id(*place, starts=row["starts"])
                # What lost workers have left would stand before all others, or hold this call.
                before = _call_id(*place, starts=row["starts"] - 1)
                pipeline.zrem(queue, before)
                pipeline.delete(
                    job_key_prefix + before,
                    in_progress_key_prefix + before,
                    in_progress_key_prefix + call_id,
                )
                body = serialize_job(
                    FUNCTION, (*place, row["starts"]), {}, None, now, serializer=encode
                )
                pipeline.psetex(job_key_prefix + call_id, _KEPT_MS, body)
                pipeline.zadd(queue, {call_id: now}, nx=True)
            await pipeline.execute()


def _call_id(run: str, position: int, item: int, *, starts: int) -> str:
    return f"{run}.{position}.{item}.{starts}"
