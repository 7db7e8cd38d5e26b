"""Reading a streamed answer along: from any process, from any position, across reconnects.

All pieces of a job stand in one Redis stream, whichever providers they came from, in the order of
their positions; whoever reads needs to remember nothing but the last position it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_schemas.deltas import BEGINNING, Delta, Position
from penstock_schemas.errors import InvalidJob
from penstock_schemas.ids import JobId
from penstock_schemas.keys import deltas_key

logger = logging.getLogger("penstock.client")

_BLOCK_MS = 250
_COUNT = 500


def known_position(after: str | None) -> Position:
    """A position that a caller gave, or the beginning; raises InvalidJob."""
    try:
        return BEGINNING if after is None else Position.parse(after)
    except ValueError as error:
        raise InvalidJob(f"after: {error}", field="after") from None


async def read_deltas(
    redis: ArqRedis, job_id: JobId, ended: asyncio.Future[bytes], *, after: Position = BEGINNING
) -> AsyncIterator[Delta]:
    """Every piece after a position, once and in order, until the job has ended.

    Raises what `ended` raises, such as UnknownJob.
    """
    seen = after
    while True:
        last_round = ended.done()  # asked before reading: what came until then is read below
        try:
            entries = await _entries_after(redis, job_id, seen, wait=not last_round)
        except REDIS_AWAY as error:
            logger.warning("deltas.redis_away", extra={"job_id": job_id, "reason": str(error)})
            await asyncio.sleep(_BLOCK_MS / 1000)
            entries = []
        for last, data in entries:
            for delta in pieces_of(data, last=last, seen=seen):
                yield delta
            seen = last
        if last_round and not entries:
            ended.result()
            return


def pieces_of(data: bytes, *, last: Position, seen: Position) -> list[Delta]:
    """The pieces of an entry that come after `seen`; `last` is the position of its last one."""
    found: list[dict[str, Any]] = orjson.loads(data)
    before = seen.piece if seen.attempt == last.attempt else 0
    restarted = BEGINNING.attempt < seen.attempt < last.attempt
    deltas: list[Delta] = []
    for number, fields in enumerate(found, start=last.piece - len(found) + 1):
        if number > before:
            position = str(Position(last.attempt, number))
            lost = number - before - 1
            deltas.append(Delta(**fields, restarted=restarted, lost=lost, position=position))
            before, restarted = number, False
    return deltas


async def _entries_after(
    redis: ArqRedis, job_id: JobId, seen: Position, *, wait: bool
) -> list[tuple[Position, bytes]]:
    """Entries with pieces after `seen`, each with the position of its last one."""
    read: Any = cast("Any", redis).xread
    block = _BLOCK_MS if wait else None
    found: list[Any] = await read({deltas_key(job_id): str(seen)}, count=_COUNT, block=block)
    return [
        (Position.parse(entry_id.decode()), fields[b"deltas"])
        for _, entries in found
        for entry_id, fields in entries
    ]
