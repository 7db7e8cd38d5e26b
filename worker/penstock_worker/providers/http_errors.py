"""What became of a request that failed: aiohttp's errors as httpx's, by how far it had got.

Place in the flow: `transport` maps every failure here, and whoever decides about a failed attempt
asks `possibly_sent`. The class of an error tells whether the request may have reached the
provider, because a call that may have been paid must never be repeated as if it had not been:

    before the first byte   UnsupportedProtocol, LocalProtocolError, PoolTimeout,
                            ConnectTimeout, ConnectError, ProxyError
    from then on            ReadTimeout, ReadError, RemoteProtocolError, DecodingError,
                            ResponseTooLarge (a ReadError)
"""

from __future__ import annotations

import os
from enum import IntEnum
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import ContentEncodingError

_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


class ResponseTooLarge(httpx.ReadError):
    """The answer is longer than the transport accepts; asking again would only pay again."""


class Phase(IntEnum):
    """How far a request got. Only at SENDING can it have reached the provider."""

    WAITING = 0  # for a free connection
    CONNECTING = 1  # name, socket, proxy, TLS
    SENDING = 2


def possibly_sent(error: httpx.HTTPError) -> bool:
    """Whether the request behind an error of `Sender` may have reached, and been paid at, its
    provider. False is certain; True includes every kind of error not known here."""
    return not isinstance(error, _NEVER_SENT)


def as_httpx_error(exc: Exception, phase: Phase, request: httpx.Request) -> httpx.RequestError:
    """The httpx error for `exc`, by whether the request may have been sent (see the module).

    Its message names no URL, since some servers take keys there.
    """
    kind = _kind_after_send(exc) if phase is Phase.SENDING else _kind_before_send(exc, phase)
    return kind(_message(exc), request=request)


def _kind_before_send(exc: Exception, phase: Phase) -> type[httpx.TransportError]:
    match exc:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return httpx.ProxyError
        case TimeoutError():
            return httpx.PoolTimeout if phase is Phase.WAITING else httpx.ConnectTimeout
        case aiohttp.ClientError() | OSError():
            return httpx.ConnectError
        case _:
            return httpx.LocalProtocolError


def _kind_after_send(exc: Exception) -> type[httpx.RequestError]:
    match exc:
        case TimeoutError():
            return httpx.ReadTimeout
        case aiohttp.ClientPayloadError() if isinstance(exc.__cause__, ContentEncodingError):
            return httpx.DecodingError
        case (
            aiohttp.ServerDisconnectedError()
            | aiohttp.ClientResponseError()
            | aiohttp.ClientPayloadError()
        ):
            return httpx.RemoteProtocolError
        case _:
            return httpx.ReadError


def _message(exc: Exception) -> str:
    match exc:
        case aiohttp.ClientConnectorError():
            return f"Cannot connect to {exc.host}:{exc.port}: {exc.__cause__ or exc.os_error}"
        case aiohttp.ClientResponseError():
            return f"Malformed answer: {exc.message[:200]}"
        case aiohttp.ClientOSError() if exc.errno is not None:
            return f"{type(exc).__name__}: {os.strerror(exc.errno)}"
        case RuntimeError():
            return str(exc)
        case _:
            return type(exc).__name__
