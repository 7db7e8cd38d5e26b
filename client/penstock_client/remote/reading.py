"""Reading a streamed answer along over server-sent events, across lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import orjson

from penstock_client.remote.http import Http, lines_of
from penstock_client.remote.problems import away
from penstock_schemas.deltas import BEGINNING, Delta, Position
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import JobId

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


@dataclass(slots=True)
class _Event:
    name: str = "message"
    event_id: str | None = None
    data: list[bytes] = field(default_factory=list[bytes])


async def read_events(
    http: Http, job_id: JobId, *, after: Position, patience_s: float
) -> AsyncIterator[Delta]:
    """Every piece after a position, once and in order, until the result is there.

    A connection that is lost is made again and goes on after the last piece that came. Raises
    UnknownJob, and Unavailable once the gateway has been away for `patience_s`.
    """
    last = None if after == BEGINNING else str(after)
    clock = asyncio.get_running_loop().time
    pause_s, away_since = _FIRST_PAUSE_S, None
    while True:
        try:
            async with http.events(f"/v1/jobs/{job_id}/events", last) as response:
                pause_s, away_since = _FIRST_PAUSE_S, None
                async for event in _events(response):
                    if event.name == "result":
                        return
                    if event.name == "delta":
                        last = event.event_id or last
                        yield Delta(**orjson.loads(b"\n".join(event.data)))
                if response.status_code == 204:
                    return
        except httpx.TransportError as error:
            problem = away(http.url, str(error) or type(error).__name__)
        except Unavailable as error:
            problem = error
        else:
            await asyncio.sleep(_FIRST_PAUSE_S)  # the gateway stops: another takes over
            continue
        away_since = clock() if away_since is None else away_since
        if clock() - away_since >= patience_s:
            raise problem from None
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


async def _events(response: httpx.Response) -> AsyncIterator[_Event]:
    """The events of a stream. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html

    Text is not split at other line ends than those of the format: an answer may have them.
    """
    event = _Event()
    async for line in lines_of(response):
        if not line:
            if event.data:
                yield event
            event = _Event()
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            event.name = value.decode()
        elif name == b"id":
            event.event_id = value.decode()
        elif name == b"data":
            event.data.append(value)
