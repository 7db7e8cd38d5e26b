"""A job's answer as server-sent events: its pieces as they come, then its result.

The ID of an event is its piece's position, so whoever connects again goes on after the last one
that came, at this gateway or another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from typing import Final, cast

import orjson
from sse_starlette import ServerSentEvent

from penstock_client import Penstock
from penstock_gateway.problems import RETRY_AFTER_S, Refused
from penstock_schemas.deltas import Delta, Position
from penstock_schemas.ids import JobId

#: The ID of the last event, which has the result.
LAST: Final = "result"
#: A comment is sent so often while nothing comes, in seconds, so that proxies keep the connection.
PING_S: Final = 15
#: Readers of one gateway process at most.
MOST_READERS: Final = 500


class Readers:
    """Counts those who read along, to bound them."""

    def __init__(self, most: int = MOST_READERS) -> None:
        self._most = most
        self.count = 0

    def check(self) -> None:
        """Raises Refused when there are too many already."""
        if self.count >= self._most:
            told = f"{self.count:,} others read along here already"
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            raise Refused(503, told, kind="too-many-readers", headers=headers)

    @contextmanager
    def one_more(self) -> Generator[None]:
        """Count one for the time of the block."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


async def events_of(
    penstock: Penstock, job_id: JobId, *, after: str | None, readers: Readers
) -> AsyncGenerator[ServerSentEvent]:
    """The events of a job after the one of ID `after`; ends with its result.

    Begins at the beginning where `after` is no ID of these events.
    """
    with readers.one_more():
        stream = cast("AsyncGenerator[Delta]", penstock.stream(job_id, after=_position(after)))
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                data = orjson.dumps(delta.sparse()).decode()
                yield ServerSentEvent(data, event="delta", id=delta.position)
        body = await penstock.await_body(job_id, None, None)
        yield ServerSentEvent(body.decode(), event="result", id=LAST)


def _position(event_id: str | None) -> str | None:
    try:
        return None if event_id is None else str(Position.parse(event_id))
    except ValueError:
        return None
