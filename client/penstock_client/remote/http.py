"""Requests to the gateway: tried again where that does no harm, errors as the client's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import httpx
import orjson
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from penstock_client.remote.problems import AGAIN, away, error_of
from penstock_client.settings import TOKEN_VARIABLE, URL_VARIABLE
from penstock_schemas.errors import ConfigurationError, PenstockError

#: The request was never sent.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: Connections for requests, and for streams, of which each needs its own.
_REQUESTS, _STREAMS = 32, 128
#: Below the time after which gateways close idle connections, in seconds.
_KEEP_S = 4.0
_CONNECT_S = 5.0
_MOST_LINE_BYTES: Final = 64 * 2**20
#: Nothing came for so long on a stream, which tells every 15 s that it lives.
_SILENT_S = 45.0
_MOST_RETRY_AFTER_S = 10.0
_BACKOFF = wait_random_exponential(multiplier=0.1, max=2.0)

_JSON: Final = {"Content-Type": "application/json"}

Params = Mapping[str, Any]


class _Again(Exception):
    """An attempt that failed and may be made again, after so many seconds where that is told."""

    def __init__(self, error: PenstockError, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class Http:
    """A gateway's API. `deadline_s` bounds each attempt, and all attempts of one request together.

    Errors are those of `problems.error_of`, and Unavailable where the gateway cannot be reached.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        deadline_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s
        client = partial(
            httpx.AsyncClient,
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "penstock-client"},
            transport=transport,
            follow_redirects=False,
        )
        self._requests = client(limits=_limits(_REQUESTS))
        self._streams = client(limits=_limits(_STREAMS))

    async def close(self) -> None:
        """Close all connections."""
        await self._requests.aclose()
        await self._streams.aclose()

    async def get(self, path: str, params: Params | None = None) -> Any:
        """What a path shows, as JSON."""
        return await self.ask("GET", path, params=params)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Params | None = None,
        wait_s: float = 0,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        """The answer to one request, as JSON; None where there is none.

        `body` is bytes of JSON, or what JSON is made of. With `wait_s` the gateway is asked to wait
        that long. What is not `repeatable` is sent again only where it was never sent.
        """
        query = {key: value for key, value in (params or {}).items() if value is not None}
        if wait_s:
            query["wait_s"] = f"{wait_s:g}"
        content = body if isinstance(body, bytes | None) else orjson.dumps(body, default=_plain)
        request = self._requests.build_request(
            method,
            path,
            params=query or None,
            content=content,
            headers={**(headers or {}), **({} if content is None else _JSON)},
            timeout=httpx.Timeout(self._deadline_s + wait_s, connect=_CONNECT_S),
        )
        send = partial(self._send, request, repeatable=repeatable)
        try:
            found: bytes = await self._retrying()(send)
        except _Again as again:
            raise again.error from None
        return orjson.loads(found) if found else None

    @asynccontextmanager
    async def events(self, path: str, last_event_id: str | None) -> AsyncGenerator[httpx.Response]:
        """A stream of server-sent events that has begun; raises httpx.TransportError."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(_SILENT_S, connect=_CONNECT_S)
        async with self._streams.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code >= 300:
                raise error_of(response.status_code, await response.aread(), url=self.url)
            yield response

    @asynccontextmanager
    async def lines(self, path: str, params: Params) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """The lines of an answer that is streamed; raises httpx.TransportError."""
        timeout = httpx.Timeout(_SILENT_S, connect=_CONNECT_S)
        async with self._streams.stream("GET", path, params=params, timeout=timeout) as response:
            if response.status_code >= 300:
                raise error_of(response.status_code, await response.aread(), url=self.url)
            yield lines_of(response)

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(_Again),
            stop=stop_after_delay(self._deadline_s),
            wait=_pause,
            reraise=True,
        )

    async def _send(self, request: httpx.Request, *, repeatable: bool) -> bytes:
        try:
            response = await self._requests.send(request)
        except httpx.TransportError as error:
            told = away(self.url, str(error) or type(error).__name__)
            if repeatable or isinstance(error, _NOT_SENT):
                raise _Again(told) from None
            raise told from None
        if response.is_success:
            return response.content
        told = error_of(response.status_code, response.content, url=self.url)
        if response.status_code in AGAIN and repeatable:
            raise _Again(told, _retry_after_s(response))
        raise told


async def lines_of(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The lines of a body that end in LF or CR LF, and no others: text may hold what looks so."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > _MOST_LINE_BYTES:
            raise httpx.ReadError("a line has no end")


def checked_url(url: str) -> str:
    """An address that a gateway may have; raises ConfigurationError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{URL_VARIABLE}: is no address: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"{URL_VARIABLE} must start with https:// or http://")
    if parsed.userinfo or parsed.query or parsed.fragment:
        told = "must be an address alone, without a user, a query or a fragment"
        raise ConfigurationError(f"{URL_VARIABLE} {told}")
    return url


def checked_token(token: str | None) -> str:
    """A token that may be sent; raises ConfigurationError."""
    if not token:
        told = "make one with `penstock workspace token create`"
        raise ConfigurationError(f"{TOKEN_VARIABLE} is not set, nor is token= given: {told}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{TOKEN_VARIABLE}: no token has such characters")
    return token


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=_KEEP_S,
    )


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the gateway told, or longer each time."""
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after_s if isinstance(error, _Again) else None
    return _BACKOFF(state) if told is None else told


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        told = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(told, 0.0), _MOST_RETRY_AFTER_S)


def _plain(value: Any) -> Any:
    """What orjson does not write by itself: money, as decimal text."""
    return str(value)
