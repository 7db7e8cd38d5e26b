"""Pieces of streamed answers, from a worker into a Redis stream per job.

An entry's ID is the position of its last piece, so Redis itself refuses what comes twice and what a
worker still sends that has lost its job to another attempt. Reading along is a courtesy: the result
does not depend on it, so pieces that Redis cannot take are dropped and the call goes on; readers
see from the numbers that some are missing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

import orjson
from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_schemas.deltas import Delta, Position
from penstock_schemas.keys import deltas_key
from penstock_worker.attempts import Attempt

logger = logging.getLogger("penstock.worker")

#: How long the pieces can be read after the last of them, in seconds.
KEPT_S = 3600


class DeltaSink:
    """Writes the pieces of streamed answers."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def pass_on(self, attempt: Attempt, deltas: Sequence[Delta], last: int) -> None:
        """Append pieces, in order; `last` is the number of the last of them within its attempt."""
        pieces = orjson.dumps([piece.sparse() for piece in deltas])
        key = deltas_key(attempt.job_id)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                commands = cast("Any", pipe)
                commands.xadd(key, {"deltas": pieces}, id=str(Position(attempt.number, last)))
                commands.expire(key, KEPT_S)
                await commands.execute()
        except REDIS_AWAY as error:
            extra = {"job_id": attempt.job_id, "reason": str(error)}
            logger.warning("deltas.dropped", extra=extra)
