"""Pieces of streamed answers, from a worker into a Redis stream per job.

Reading along is a courtesy: the result does not depend on it, so a piece that Redis cannot take
is dropped and the call goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import orjson
from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_schemas.deltas import Delta
from penstock_schemas.keys import ProviderKeys
from penstock_worker.attempts import Attempt

logger = logging.getLogger("penstock.worker")

#: How long the pieces can be read after the last of them, in seconds.
KEPT_S = 3600


class DeltaSink:
    """Writes the pieces of one provider's answers."""

    def __init__(self, redis: ArqRedis, keys: ProviderKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def pass_on(self, attempt: Attempt, deltas: Sequence[Delta]) -> None:
        """Append pieces, in order."""
        fields = [_sparse(piece) for piece in deltas]
        key = self._keys.deltas(attempt.job_id)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                commands = cast("Any", pipe)
                commands.xadd(key, {"deltas": orjson.dumps(fields)})
                commands.expire(key, KEPT_S)
                await commands.execute()
        except REDIS_AWAY as error:
            extra = {"job_id": attempt.job_id, "reason": str(error)}
            logger.warning("deltas.dropped", extra=extra)


def _sparse(delta: Delta) -> dict[str, Any]:
    return {name: value for name, value in asdict(delta).items() if value not in ("", None, False)}
