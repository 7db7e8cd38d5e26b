"""The sender against real loopback servers: what arrives, what is said when it does not."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock_worker.providers.http import (
    AiohttpTransport,
    ResponseTooLarge,
    Sender,
    Timeout,
    possibly_sent,
)

PATIENT = Timeout(connect_s=5, read_s=5, total_s=10)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A raw server: `answer` gets each whole request and writes what it likes."""

    def __init__(self, answer: Callable[[Server, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.open_connections = 0
        self.changed = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat?a=b%20c"

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(holds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ]
                body = await reader.readexactly(length[0]) if length else b""
                async with self.changed:
                    self.requests.append(head + body)
                    self.changed.notify_all()
                await self._answer(self, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open_connections -= 1
            async with self.changed:
                self.changed.notify_all()


@asynccontextmanager
async def serving(
    answer: Callable[[Server, asyncio.StreamWriter], Awaitable[None]],
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def saying(*pieces: bytes, close: bool = False):
    async def answer(server: Server, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answer


async def hanging(server: Server, writer: asyncio.StreamWriter) -> None:
    await server.wait_until(writer.transport.is_closing)


async def resetting(server: Server, writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()


def post(url: str, **kwargs: object) -> httpx.Request:
    return httpx.Request("POST", url, **({"json": {"prompt": "hello"}} | kwargs))


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender() as sender:
        yield sender


async def failure(
    sender: Sender, request: httpx.Request, *, timeout: Timeout = PATIENT
) -> httpx.HTTPError:
    with pytest.raises(httpx.HTTPError) as caught:
        await sender.send(request, timeout=timeout)
    assert caught.value.request is request
    return caught.value


async def collect(sender: Sender, request: httpx.Request, seen: list[bytes]) -> None:
    async with sender.stream(request, timeout=PATIENT) as response:
        async for piece in response.aiter_bytes():
            seen.append(piece)  # noqa: PERF401 - what came before a failure counts


# --- what goes out and comes back ---------------------------------------------------------


async def test_sender_sends_exactly_the_requests_headers_and_body(sender: Sender) -> None:
    async with serving(saying(OK)) as server:
        await sender.send(
            post(server.url, headers={b"x-api-key": b"k", b"X-Name": "ü".encode()}), timeout=PATIENT
        )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /v1/chat?a=b%20c HTTP/1.1"
    names = sorted(line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:])
    assert names == [b"content-length", b"content-type", b"host", b"x-api-key", b"x-name"]
    assert "X-Name: ü".encode() in head
    assert body == b'{"prompt":"hello"}'


async def test_sender_returns_status_headers_and_body(sender: Sender) -> None:
    said = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait"
    async with serving(saying(said)) as server:
        request = post(server.url)
        response = await sender.send(request, timeout=PATIENT)
    assert (response.status_code, response.reason_phrase) == (429, "Slow Down")
    assert response.headers["retry-after"] == "7"
    assert (response.content, response.text, response.request) == (b"wait", "wait", request)
    assert response.is_closed


async def test_sender_reuses_one_connection(sender: Sender) -> None:
    async with serving(saying(OK)) as server:
        for _ in range(5):
            await sender.send(post(server.url), timeout=PATIENT)
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_sender_decodes_gzip_once(sender: Sender) -> None:
    packed = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with serving(saying(head, packed)) as server:
        response = await sender.send(post(server.url), timeout=PATIENT)
    assert response.json() == {"a": 1}
    assert "content-encoding" not in response.headers


async def test_sender_decodes_stacked_encodings(sender: Sender) -> None:
    packed = gzip.compress(gzip.compress(b'{"a": 1}'))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n"
    async with serving(saying(head % len(packed), packed)) as server:
        response = await sender.send(post(server.url), timeout=PATIENT)
    assert response.json() == {"a": 1}


async def test_sender_passes_over_informational_answers(sender: Sender) -> None:
    async with serving(saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK)) as server:
        response = await sender.send(post(server.url), timeout=PATIENT)
    assert (response.status_code, response.content) == (200, b"ok")


async def test_sender_does_not_follow_redirects(sender: Sender) -> None:
    said = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(said)) as server:
        response = await sender.send(post(server.url), timeout=PATIENT)
    assert (response.status_code, len(server.requests)) == (307, 1)


async def test_sender_keeps_no_cookies(sender: Sender) -> None:
    said = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(said)) as server:
        for _ in range(2):
            request = post(server.url.replace("127.0.0.1", "localhost"))  # jars skip addresses
            await sender.send(request, timeout=PATIENT)
    assert b"cookie" not in server.requests[1].lower()


async def test_sender_sends_large_bodies_whole(
    sender: Sender, recwarn: pytest.WarningsRecorder
) -> None:
    content = b"0123456789" * 300_000
    async with serving(saying(OK)) as server:
        await sender.send(post(server.url, json=None, content=content), timeout=PATIENT)
    assert server.requests[0].partition(b"\r\n\r\n")[2] == content
    assert not recwarn.list


async def test_transport_serves_an_httpx_client() -> None:
    async with (
        serving(saying(OK)) as server,
        httpx.AsyncClient(transport=AiohttpTransport()) as client,
    ):
        response = await client.post(server.url, json={})
    assert response.text == "ok"


# --- failures before anything was sent ----------------------------------------------------


async def test_refused_connection_was_not_sent(sender: Sender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(sender, post(f"http://127.0.0.1:{unused.getsockname()[1]}/"))
    assert type(error) is httpx.ConnectError
    assert not possibly_sent(error)


async def test_untrusted_certificate_was_not_sent(sender: Sender, tmp_path: Path) -> None:
    async with serving(saying(OK), tls=self_signed(tmp_path)) as server:
        error = await failure(sender, post(server.url.replace("http:", "https:")))
    assert type(error) is httpx.ConnectError
    assert "self-signed certificate" in str(error)
    assert not possibly_sent(error)
    assert server.requests == []


async def test_trusted_certificate_is_used(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with (
        serving(saying(OK), tls=tls) as server,
        Sender(AiohttpTransport(ssl_context=trusting)) as sender,
    ):
        response = await sender.send(post(server.url.replace("http:", "https:")), timeout=PATIENT)
    assert response.content == b"ok"


@pytest.mark.parametrize("bound", ["connect_s", "total_s"])
async def test_silent_tls_handshake_is_a_connect_timeout(sender: Sender, bound: str) -> None:
    limits = {"connect_s": 5.0, "read_s": 5.0, "total_s": 5.0} | {bound: 0.1}
    async with serving(hanging) as server:
        error = await failure(
            sender, post(server.url.replace("http:", "https:")), timeout=Timeout(**limits)
        )
    assert type(error) is httpx.ConnectTimeout
    assert not possibly_sent(error)


@pytest.mark.parametrize("bound", ["connect_s", "total_s"])
async def test_full_pool_is_a_pool_timeout(bound: str) -> None:
    limits = {"connect_s": 5.0, "read_s": 5.0, "total_s": 5.0} | {bound: 0.1}
    async with serving(hanging) as server, Sender(AiohttpTransport(max_connections=1)) as sender:
        busy = asyncio.create_task(sender.send(post(server.url), timeout=PATIENT))
        await server.wait_until(lambda: len(server.requests) == 1)
        error = await failure(sender, post(server.url), timeout=Timeout(**limits))
        busy.cancel()
    assert type(error) is httpx.PoolTimeout
    assert not possibly_sent(error)
    assert len(server.requests) == 1


async def test_other_protocols_are_not_sent(sender: Sender) -> None:
    error = await failure(sender, post("ftp://127.0.0.1/x"))
    assert type(error) is httpx.UnsupportedProtocol
    assert not possibly_sent(error)


async def test_line_break_in_a_header_is_not_sent(sender: Sender) -> None:
    async with serving(saying(OK)) as server:
        error = await failure(sender, post(server.url, headers={"x-api-key": "secret\n"}))
    assert type(error) is httpx.LocalProtocolError
    assert "secret" not in str(error)
    assert not possibly_sent(error)
    assert server.connections == 0


async def test_closed_sender_sends_nothing() -> None:
    sender = Sender()
    await sender.aclose()
    error = await failure(sender, post("http://127.0.0.1:9/"))
    assert type(error) is httpx.LocalProtocolError
    assert not possibly_sent(error)


# --- failures from the first byte on ------------------------------------------------------

CUT_SHORT = {
    "closed at once": (saying(close=True), httpx.RemoteProtocolError),
    "reset": (resetting, httpx.ReadError),
    "half headers": (saying(b"HTTP/1.1 200 OK\r\nConte", close=True), httpx.RemoteProtocolError),
    "half body": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", close=True),
        httpx.RemoteProtocolError,
    ),
    "half chunks": (
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", close=True),
        httpx.RemoteProtocolError,
    ),
    "not HTTP": (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), httpx.RemoteProtocolError),
    "not gzip": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
        httpx.DecodingError,
    ),
}


@pytest.mark.parametrize("how", CUT_SHORT)
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_broken_answer_was_possibly_sent_and_never_resent(
    sender: Sender, how: str, method: str
) -> None:
    answer, kind = CUT_SHORT[how]
    async with serving(answer) as server:
        error = await failure(sender, httpx.Request(method, server.url, content=b"x"))
        await server.wait_until(lambda: server.open_connections == 0)
    assert type(error) is kind
    assert possibly_sent(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("last", [saying(close=True), resetting], ids=["closed", "reset"])
async def test_drop_on_a_kept_connection_was_possibly_sent_and_never_resent(
    sender: Sender,
    method: str,
    last: Callable[[Server, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async def answer(server: Server, writer: asyncio.StreamWriter) -> None:
        await (saying(OK) if len(server.requests) == 1 else last)(server, writer)

    async with serving(answer) as server:
        await sender.send(httpx.Request(method, server.url, content=b"1"), timeout=PATIENT)
        error = await failure(sender, httpx.Request(method, server.url, content=b"2"))
    assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    assert possibly_sent(error)
    assert (server.connections, len(server.requests)) == (1, 2)


def saw_close(sender: Sender) -> bool:
    """Whether the close of every idle connection has reached the client by now."""
    pooled = sender._transport._session.connector._conns.values()
    return not any(idle.is_connected() for kept in pooled for idle, _ in kept)


async def test_idle_connection_closed_by_the_server_is_replaced(sender: Sender) -> None:
    async with serving(saying(OK, close=True)) as server:
        for done in (1, 2):
            response = await sender.send(post(server.url), timeout=PATIENT)
            assert response.content == b"ok"
            await server.wait_until(lambda: server.open_connections == 0)
            async with asyncio.timeout(20):
                while not saw_close(sender):
                    await asyncio.sleep(0)
            assert (server.connections, len(server.requests)) == (done, done)


async def test_idle_connection_closed_unseen_was_possibly_sent_and_never_resent(
    sender: Sender,
) -> None:
    held: list[asyncio.StreamWriter] = []

    async def answer(server: Server, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        writer.write(OK)

    async with serving(answer) as server:
        await sender.send(post(server.url), timeout=PATIENT)
        held[0].transport.abort()  # closes once the loop turns: the next request is out by then
        error = await failure(sender, post(server.url))
    assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    assert possibly_sent(error)
    assert (server.connections, len(server.requests)) == (1, 1)


async def test_connection_closed_before_the_request_is_read_is_no_connect_error(
    sender: Sender,
) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    listener = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        error = await failure(sender, post(f"http://127.0.0.1:{port}/"))
    assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    assert possibly_sent(error)


@pytest.mark.parametrize("bound", ["read_s", "total_s"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_silence_after_sending_is_a_read_timeout(
    sender: Sender, bound: str, said: bytes
) -> None:
    limits = {"connect_s": 5.0, "read_s": 5.0, "total_s": 5.0} | {bound: 0.1}
    async with serving(saying(said)) as server:
        error = await failure(sender, post(server.url), timeout=Timeout(**limits))
        await server.wait_until(lambda: server.open_connections == 0)
    assert type(error) is httpx.ReadTimeout
    assert possibly_sent(error)
    assert len(server.requests) == 1


async def test_oversized_answer_is_cut_off() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    async with (
        serving(saying(said)) as server,
        Sender(AiohttpTransport(max_response_bytes=1000)) as sender,
    ):
        error = await failure(sender, post(server.url))
    assert type(error) is ResponseTooLarge
    assert possibly_sent(error)


async def test_oversized_answer_is_measured_decompressed() -> None:
    packed = gzip.compress(b"x" * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert len(packed) < 1000
    async with (
        serving(saying(head, packed)) as server,
        Sender(AiohttpTransport(max_response_bytes=1000)) as sender,
    ):
        error = await failure(sender, post(server.url))
    assert type(error) is ResponseTooLarge


# --- streams and cancellation -------------------------------------------------------------


async def test_stream_yields_bytes_before_the_answer_ends(sender: Sender) -> None:
    first_seen = asyncio.Event()

    async def answer(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await first_seen.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with serving(answer) as server:
        async with sender.stream(post(server.url), timeout=PATIENT) as response:
            seen: list[bytes] = []
            async for piece in response.aiter_bytes():
                seen.append(piece)
                first_seen.set()
        await sender.send(post(server.url), timeout=PATIENT)
    assert seen == [b"one", b"two"]
    assert server.connections == 1


@pytest.mark.parametrize("how", ["half body", "half chunks"])
async def test_broken_stream_fails_like_a_broken_answer(sender: Sender, how: str) -> None:
    answer, kind = CUT_SHORT[how]
    async with serving(answer) as server:
        seen: list[bytes] = []
        with pytest.raises(kind) as caught:
            await collect(sender, post(server.url), seen)
    assert seen == [b"half"]
    assert possibly_sent(caught.value)


async def test_silent_stream_is_a_read_timeout(sender: Sender) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with serving(saying(said)) as server:
        with pytest.raises(httpx.ReadTimeout):
            async with sender.stream(
                post(server.url), timeout=Timeout(connect_s=5, read_s=0.1, total_s=5)
            ) as response:
                await response.aread()


async def test_leaving_a_stream_early_closes_its_connection(sender: Sender) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with serving(saying(said)) as server:
        async with sender.stream(post(server.url), timeout=PATIENT) as response:
            assert response.status_code == 200
        await server.wait_until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_cancelled_call_closes_its_connection(sender: Sender, said: bytes) -> None:
    async with serving(saying(said)) as server:
        call = asyncio.create_task(sender.send(post(server.url), timeout=PATIENT))
        await server.wait_until(lambda: len(server.requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.wait_until(lambda: server.open_connections == 0)
    assert (server.connections, len(server.requests)) == (1, 1)


async def test_closing_the_sender_fails_calls_under_way_as_possibly_sent() -> None:
    async with serving(saying()) as server:
        sender = Sender()
        call = asyncio.create_task(sender.send(post(server.url), timeout=PATIENT))
        await server.wait_until(lambda: len(server.requests) == 1)
        await sender.aclose()
        with pytest.raises(httpx.HTTPError) as caught:
            await call
    assert possibly_sent(caught.value)


def test_timeout_refuses_what_aiohttp_would_take_as_endless() -> None:
    with pytest.raises(ValueError, match="positive"):
        Timeout(connect_s=0, read_s=1, total_s=1)


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
