"""The outermost layer of the application, around every request: bounds, headers, last resort.

A body that is too large is refused by its Content-Length before any of it is read, or as soon as
what came without one exceeds the bound; one that does not come in time is refused too. What nobody
foresaw is logged with the request's ID, and answered without details.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock_gateway.problems import problem, problem_of

logger = logging.getLogger("penstock.gateway")

#: What every answer says, unless a route says otherwise.
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HEADERS: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


class _TooLarge(Exception):
    pass


class _TooSlow(Exception):
    pass


class _Body:
    """Counts the bytes of one request's body, and bounds how long it takes."""

    def __init__(self, receive: Receive, *, most_bytes: int, within_s: float) -> None:
        self._receive = receive
        self._left = most_bytes
        self._until = asyncio.get_running_loop().time() + within_s
        self.ended = False

    async def receive(self) -> Message:
        """The next message; after the body's end a disconnect may take any time."""
        if self.ended:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise _TooSlow from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        self.ended = not message.get("more_body", False)
        return message


class Shell:
    """Wraps the application; `most_body_bytes` and `body_within_s` bound the body of a request."""

    def __init__(self, app: ASGIApp, *, most_body_bytes: int, body_within_s: float) -> None:
        self._app = app
        self._most_body_bytes = most_body_bytes
        self._body_within_s = body_within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope; only HTTP is looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = secrets.token_hex(8)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                said = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in _HEADERS if pair[0] not in said),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        body = _Body(receive, most_bytes=self._most_body_bytes, within_s=self._body_within_s)
        try:
            if self._announced(scope) > self._most_body_bytes:
                raise _TooLarge
            await self._app(scope, body.receive, sending)
        except Exception as error:
            if started:
                raise
            await self._last_resort(error, request_id)(scope, receive, sending)

    def _announced(self, scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value[:20])
        return 0

    def _last_resort(self, error: Exception, request_id: str) -> Response:
        close = {"connection": "close"}
        if isinstance(error, _TooLarge):
            told = f"a body may have {self._most_body_bytes:,} bytes at most"
            return problem(413, told, kind="too-large", headers=close, request_id=request_id)
        if isinstance(error, _TooSlow):
            told = f"the body did not come within {self._body_within_s:g} s"
            return problem(408, told, headers=close, request_id=request_id)
        foreseen = problem_of(error, request_id=request_id)
        if foreseen is not None:
            return foreseen
        logger.error("request.failed", exc_info=error, extra={"request_id": request_id})
        told = "the log has the reason under this request's ID"
        return problem(500, told, kind="internal", request_id=request_id)
