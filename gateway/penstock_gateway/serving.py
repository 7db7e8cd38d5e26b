"""What one gateway process serves with; its routes find it in the application's state."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from penstock_gateway.awaiting import Waits
from penstock_gateway.connection import Connection
from penstock_gateway.sse import Readers
from penstock_gateway.submits import Submits
from penstock_gateway.token_cache import TokenCache


@dataclass(frozen=True, slots=True)
class Serving:
    """The connection, and what all requests share."""

    connection: Connection
    tokens: TokenCache
    submits: Submits
    readers: Readers
    waits: Waits


def serving_of(request: Request) -> Serving:
    """What serves a request."""
    return request.app.state.serving
