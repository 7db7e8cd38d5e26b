"""Reading a streamed answer along, from any process, from its beginning, across reconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import orjson
from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.deltas import Delta
from penstock_schemas.ids import JobId
from penstock_schemas.keys import ProviderKeys

logger = logging.getLogger("penstock.client")

_BLOCK_MS = 250
_COUNT = 500
#: How often a job is looked for at another provider, in seconds.
_PLACES_S = 1.0


async def read_deltas(
    redis: ArqRedis, ledger: Ledger, job_id: JobId, ended: asyncio.Future[bytes]
) -> AsyncIterator[Delta]:
    """Every piece once and in order, until the job has ended and all of them are read.

    Raises what `ended` raises, such as UnknownJob.
    """
    loop = asyncio.get_running_loop()
    positions: dict[str, str] = {}
    looked_at = -_PLACES_S
    while True:
        last_round = ended.done()  # asked before reading: what came until then is read below
        if loop.time() - looked_at >= _PLACES_S or last_round:
            looked_at = loop.time()
            for row in await ledger.fetch_safely("placements", UUID(job_id)):
                positions.setdefault(ProviderKeys(row["provider"]).deltas(job_id), "0")
        try:
            entries = await _next_entries(redis, positions, wait=not last_round)
        except REDIS_AWAY as error:
            logger.warning("deltas.redis_away", extra={"job_id": job_id, "reason": str(error)})
            await asyncio.sleep(_BLOCK_MS / 1000)
            entries = []
        for data in entries:
            for fields in orjson.loads(data):
                yield Delta(**fields)
        if last_round and not entries:
            ended.result()
            return


async def _next_entries(redis: ArqRedis, positions: dict[str, str], *, wait: bool) -> list[bytes]:
    """What has come since; moves `positions` on."""
    if not positions:
        await asyncio.sleep(_BLOCK_MS / 1000)
        return []
    read: Any = cast("Any", redis).xread
    found: list[Any] = await read(positions, count=_COUNT, block=_BLOCK_MS if wait else None)
    data: list[bytes] = []
    for key, entries in found:
        for entry_id, fields in entries:
            positions[key.decode()] = entry_id.decode()
            data.append(fields[b"deltas"])
    return data
