"""A request's trace goes on in what it submits: the `traceparent` header becomes the context.

Pure ASGI, so that streamed answers pass through untouched. Needs no SDK.
"""

from __future__ import annotations

from opentelemetry import context
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock_client.tracing import context_of

_LONGEST = 64


class TraceContext:
    """Middleware; a header that is no trace is as good as none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request inside of its caller's trace."""
        parent = _traceparent(scope)
        if parent is None:
            await self._app(scope, receive, send)
            return
        token = context.attach(context_of(parent))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)


def _traceparent(scope: Scope) -> str | None:
    if scope["type"] != "http":
        return None
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    found = [value for name, value in headers if name == b"traceparent"]
    if len(found) != 1 or len(found[0]) > _LONGEST:
        return None
    return found[0].decode("latin-1")
