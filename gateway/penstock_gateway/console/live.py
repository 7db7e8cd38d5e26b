"""Live pages: a part of a page is rendered again and again, and sent when it looks different.

A page asks for its stream with `sse-connect` and names the part with `sse-swap`; what comes is laid
over what stands there, so focus and scrolling stay.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from penstock_client.connections import AWAY
from penstock_gateway.console.session import COOKIE
from penstock_gateway.serving import serving_of
from penstock_gateway.sse import PING_S
from penstock_schemas.errors import PenstockError, Unavailable

#: Parts are rendered again so often, in seconds.
EVERY_S: Final = 1.0

Render = Callable[[], Awaitable[str]]


def live(
    request: Request, name: str, render: Render, *, every_s: float = EVERY_S
) -> EventSourceResponse:
    """The events `name`, each with the part as HTML, whenever it has changed.

    Ends when the visitor's token is not good any more, or what it shows is gone: the browser then
    asks again, is refused, and the page is loaded anew. While a server
    behind us is away nothing is sent, and then the part as it is. Raises Refused where too many
    look on.
    """
    serving_of(request).readers.check()
    return EventSourceResponse(
        _events(request, name, render, every_s),
        ping=PING_S,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    request: Request, name: str, render: Render, every_s: float
) -> AsyncGenerator[ServerSentEvent]:
    serving, token = serving_of(request), request.cookies.get(COOKIE, "")
    shown = ""
    with serving.readers.one_more():
        while True:
            try:
                if await serving.tokens.identity(token) is None:
                    return
                found = await render()
            except (Unavailable, *AWAY):
                found = shown
            except PenstockError:
                return
            if found != shown:
                shown = found
                yield ServerSentEvent(found, event=name)
            if not await serving.waits.pause(every_s):
                return
