"""How an answer leaves: whole, as a stream, slowly, cut off, or not at all.

The only module that touches responses; what to send is decided in `handling`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

MARK = "x-penstock-simulated"
"""Header that every answer carries: nobody shall take it for a real one."""
_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"
_SLOW_PIECES = 10
_WHOLE = CIMultiDictProxy(CIMultiDict({MARK: "1", "content-type": _JSON, "server": "penstock-sim"}))


def whole(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer in one piece."""
    marked = CIMultiDict(_WHOLE)
    if headers:
        marked.update(headers)
    return web.Response(body=body, status=status, headers=marked)


def drop(request: web.BaseRequest) -> web.Response:
    """Close the connection without an answer; what is returned never reaches anybody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def streamed(
    request: web.BaseRequest, events: Sequence[bytes], *, headers: Mapping[str, str], over_s: float
) -> web.StreamResponse:
    """Server-sent events, at once or spread evenly over `over_s` seconds."""
    response = web.StreamResponse(
        headers={**headers, MARK: "1", "content-type": _EVENTS, "cache-control": "no-cache"}
    )
    await response.prepare(request)
    if over_s <= 0:
        await response.write(b"".join(events))
    else:
        for event in events:
            await asyncio.sleep(over_s / len(events))
            await response.write(event)
    await response.write_eof()
    return response


async def slow(
    request: web.BaseRequest, body: bytes, *, headers: Mapping[str, str], over_s: float
) -> web.StreamResponse:
    """A JSON answer that trickles out over `over_s` seconds."""
    response = _sized(body, headers)
    await response.prepare(request)
    step = -(-len(body) // _SLOW_PIECES)
    for at in range(0, len(body), step):
        await asyncio.sleep(over_s / _SLOW_PIECES)
        await response.write(body[at : at + step])
    await response.write_eof()
    return response


async def truncated(
    request: web.BaseRequest, body: bytes, *, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Half of a JSON answer, then the connection closes."""
    response = _sized(body, headers)
    response.force_close()
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _sized(body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, MARK: "1", "content-type": _JSON})
    response.content_length = len(body)
    return response
