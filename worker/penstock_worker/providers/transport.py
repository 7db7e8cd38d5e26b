"""Carries an httpx.Request over a pool of aiohttp connections.

Place in the flow: adapters build an `httpx.Request`, `http.Sender` sends it through the transport
here, adapters parse the `httpx.Response`. httpx's types and errors are kept, its connection pool
is not: its cost per call grows with the number of connections, aiohttp's stays flat. Failures
are told apart in `http_errors`.
"""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import httpx
from yarl import URL

from penstock_worker.providers.http_errors import Phase, ResponseTooLarge, as_httpx_error

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace

_Response = TypeVar("_Response", bound=httpx.Response)

DEFAULT_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
DEFAULT_MAX_CONNECTIONS: Final = 1_000

# Shorter than the idle limits of common front ends (60 s and more), so that we close first: a
# server that closes while a request is under way leaves a call that may have been paid.
_KEEPALIVE_S: Final = 50.0
_DNS_CACHE_S: Final = 60
_MAX_HEADER_BYTES: Final = 64 * 1024
# aiohttp warns about larger bodies, which it would write in one piece.
_MAX_PIECE_BYTES: Final = 1024 * 1024
_TCP_PROBE_AFTER_S: Final = 60
_AUTOMATIC_HEADERS: Final = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_DECODED_BY_AIOHTTP: Final = frozenset({"gzip", "deflate", "br", "zstd"})
_DROPPED: Final = (
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ServerDisconnectedError,
)
_STALE_ONCE_DECODED: Final = frozenset({b"content-encoding", b"content-length"})


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """The process's one TLS context: certifi's roots, or SSL_CERT_FILE / SSL_CERT_DIR if set.

    Building one takes tens of milliseconds and holds the parsed roots, so it is never per client.
    """
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One pool of HTTP/1.1 connections that sends exactly what the request holds, exactly once.

    No header but `Host` and the framing is added, no cookie kept, no redirect followed. Whatever
    its method, a request of which a byte was written is never written again. Bodies arrive
    decompressed, so `Content-Encoding` and `Content-Length` are dropped from such answers. Also
    works as `httpx.AsyncClient(transport=)`.

    `max_connections` bounds calls under way; the rest wait. `trust_env` takes proxies from the
    environment. Credentials in URLs are ignored. Use it within one event loop; the pool opens with
    the first request.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        trust_env: bool = False,
    ) -> None:
        self._ssl_context = ssl_context
        self._max_connections = max_connections
        self._max_response_bytes = max_response_bytes
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send with the timeouts httpx put into `request.extensions`; the body streams."""
        return await self.open_response(request, timeout=_timeout_of_extensions(request))

    async def open_response(
        self, request: httpx.Request, *, timeout: aiohttp.ClientTimeout
    ) -> httpx.Response:
        """Send and return once the headers are in; the body streams. The caller closes it."""
        reply = await self._exchange(request, timeout)
        body = _BodyStream(reply, request, self._max_response_bytes)
        return _as_httpx_response(reply, request, body, httpx.Response)

    async def read_response(
        self, request: httpx.Request, *, timeout: aiohttp.ClientTimeout
    ) -> httpx.Response:
        """Send and return the whole answer; its connection is free again, or closed on failure."""
        reply = await self._exchange(request, timeout)
        body = _BodyStream(reply, request, self._max_response_bytes)
        content = await body.read_all()
        response = _as_httpx_response(reply, request, httpx.ByteStream(content), _WholeResponse)
        response.take_content(content)
        return response

    async def aclose(self) -> None:
        """Close every connection. Calls under way fail; later ones raise LocalProtocolError."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> AiohttpTransport:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def _exchange(
        self, request: httpx.Request, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        progress: _Progress | None = None
        try:
            url = _yarl_url(str(request.url))
            body = _body_to_send(request)
            progress = _Progress(request, repeatable=body is None or isinstance(body, bytes))
            return await self._open_session().request(
                request.method,
                url,
                headers=_headers_to_send(request),
                data=body,
                allow_redirects=False,
                timeout=timeout,
                proxy=_proxy_from_env(url) if self._trust_env else None,
                middlewares=(progress,),
            )
        except httpx.HTTPError:
            raise
        except Exception as exc:
            phase = progress.phase if progress else Phase.WAITING
            raise as_httpx_error(exc, phase, request) from exc

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the transport is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(
                    ssl=self._ssl_context or shared_ssl_context(),
                    limit=self._max_connections,
                    keepalive_timeout=_KEEPALIVE_S,
                    ttl_dns_cache=_DNS_CACHE_S,
                    socket_factory=_probed_socket,
                ),
                request_class=_TrackedRequest,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_AUTOMATIC_HEADERS,
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
            )
        return self._session


class _TrackedRequest(aiohttp.ClientRequest):
    phase: Phase = Phase.WAITING

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if not self.body:
            self._mark_sending(conn)
        return await super().send(conn)

    async def write_bytes(
        self,
        writer: AbstractStreamWriter,
        conn: aiohttp.connector.Connection,
        content_length: int | None = None,
    ) -> None:
        # The head leaves with the first piece of the body, written in here.
        self._mark_sending(conn)
        await super().write_bytes(writer, conn, content_length)

    def _mark_sending(self, conn: aiohttp.connector.Connection) -> None:
        # Nothing leaves on a connection the server has closed by now: the first write fails.
        transport = conn.transport
        if transport is not None and not transport.is_closing():
            self.phase = Phase.SENDING


class _Connector(aiohttp.TCPConnector):
    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if isinstance(req, _TrackedRequest):
            req.phase = Phase.CONNECTING
        return await super()._create_connection(req, traces, timeout)


class _Progress:
    """A middleware for one call: shows its phase, and decides what may go out a second time.

    aiohttp repeats idempotent methods once when a kept connection drops; it does so on two of its
    own errors only, which are therefore mapped here, inside its loop. The one thing tried again is
    a request of which nothing was written because its kept connection turned out to be closed;
    every round uses up such a connection, so this ends.
    """

    __slots__ = ("_repeatable", "_request", "phase")

    def __init__(self, request: httpx.Request, *, repeatable: bool) -> None:
        self._request = request
        self._repeatable = repeatable
        self.phase = Phase.WAITING

    async def __call__(
        self, req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if not isinstance(req, _TrackedRequest):
            raise TypeError("the session must use _TrackedRequest as its request_class")
        try:
            while True:
                try:
                    return await handler(req)
                except _DROPPED as exc:
                    if not self._repeatable or req.phase is not Phase.WAITING:
                        raise as_httpx_error(exc, req.phase, self._request) from exc
        finally:
            self.phase = req.phase


class _BodyStream(httpx.AsyncByteStream):
    """The decompressed body, bounded, with its failures as httpx errors."""

    def __init__(
        self, reply: aiohttp.ClientResponse, request: httpx.Request, max_bytes: int
    ) -> None:
        self._reply = reply
        self._request = request
        self._left_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._next_piece():
            yield piece

    async def read_all(self) -> bytes:
        pieces: list[bytes] = []
        while piece := await self._next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    async def aclose(self) -> None:
        self._reply.close()

    async def _next_piece(self) -> bytes:
        """The next bytes, b"" at the end; anything but success closes the connection."""
        try:
            piece = await self._reply.content.readany()
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise ResponseTooLarge("The answer exceeds max_response_bytes; it was cut off.")
        except httpx.HTTPError as exc:
            self._reply.close()
            exc.request = self._request
            raise
        except Exception as exc:
            self._reply.close()
            raise as_httpx_error(exc, Phase.SENDING, self._request) from exc
        except BaseException:
            self._reply.close()
            raise
        return piece


def _headers_to_send(request: httpx.Request) -> list[tuple[str, str]]:
    # aiohttp frames bodies of unknown length itself and refuses the header beside that.
    headers = [
        (name.decode("ascii"), value.decode())
        for name, value in request.headers.raw
        if name.lower() != b"transfer-encoding"
    ]
    for name, value in headers:
        if "\n" in value or "\r" in value or "\0" in value:
            raise httpx.LocalProtocolError(
                f"Header {name} holds a line break or NUL; check the configured key or value.",
                request=request,
            )
    return headers


def _body_to_send(request: httpx.Request) -> bytes | AsyncIterator[bytes] | None:
    try:
        content = request.content
    except httpx.RequestNotRead:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise
        return aiter(request.stream)
    if len(content) > _MAX_PIECE_BYTES:
        return _pieces(content)
    return content or None


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _MAX_PIECE_BYTES):
        yield content[start : start + _MAX_PIECE_BYTES]


class _WholeResponse(httpx.Response):
    """A response whose body came whole; `read` would spend as long on it as all the rest costs."""

    def take_content(self, content: bytes) -> None:
        if "content-encoding" in self.headers:  # one that aiohttp does not decode
            self.read()
            return
        self._content = content
        self.is_stream_consumed = self.is_closed = True


def _as_httpx_response(
    reply: aiohttp.ClientResponse,
    request: httpx.Request,
    body: httpx.AsyncByteStream | httpx.ByteStream,
    kind: type[_Response],
) -> _Response:
    headers = reply.raw_headers
    if reply.headers.get("Content-Encoding", "").lower() in _DECODED_BY_AIOHTTP:
        headers = [pair for pair in headers if pair[0].lower() not in _STALE_ONCE_DECODED]
    kept = httpx.Headers(headers)
    kept.encoding = "latin-1"  # else each look-up tries to find out
    return kind(
        reply.status,
        headers=kept,
        stream=body,
        request=request,
        extensions={"reason_phrase": (reply.reason or "").encode("latin-1", "replace")},
    )


def _timeout_of_extensions(request: httpx.Request) -> aiohttp.ClientTimeout:
    timeout: dict[str, float | None] = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(
        total=None, connect=timeout.get("connect"), sock_read=timeout.get("read")
    )


@lru_cache(maxsize=1024)
def _yarl_url(url: str) -> URL:
    return URL(url, encoded=True).with_user(None)


@lru_cache(maxsize=1024)
def _proxy_from_env(url: URL) -> str | None:
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _probed_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that TCP keep-alive probes: a model may think for minutes, and NATs forget.

    `address` is one entry of `socket.getaddrinfo`.
    """
    sock = socket.socket(family=address[0], type=address[1], proto=address[2])
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, idle, _TCP_PROBE_AFTER_S)
    return sock
