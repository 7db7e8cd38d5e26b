"""A provider that answers the Chat Completions wire as cheaply as Python can: no latency, no work.

It reads just enough of a request to know where it ends, and sends fixed bytes that are a valid
answer to the benchmarks' jobs. Nothing of Penstock runs here.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

LABELS = ("refund", "praise")
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


def answer() -> bytes:
    """The one response, head and body."""
    body = json.dumps(
        {
            "id": "chatcmpl-fixed",
            "object": "chat.completion",
            "created": 1,
            "model": "fixed",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": json.dumps({"label": LABELS[0]})},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 40, "completion_tokens": 6, "total_tokens": 46},
        },
        separators=(",", ":"),
    ).encode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-penstock-simulated: 1\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection: answers every complete request, `latency_s` after it came."""

    def __init__(self, response: bytes, latency_s: float) -> None:
        self._response = response
        self._latency_s = latency_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete by now."""
        self._received = self._received + data if self._received else data
        while self._received and self._take_request():
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._send)
            else:
                self._send()

    def _take_request(self) -> bool:
        """Drop one complete request from what was received; False when none is complete."""
        head_end = self._received.find(_END_OF_HEAD)
        if head_end < 0:
            return False
        head = self._received[:head_end].lower()
        at = head.find(_LENGTH)
        length = 0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
        end = head_end + len(_END_OF_HEAD) + length
        if len(self._received) < end:
            return False
        self._received = self._received[end:]
        return True

    def _send(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._response)


async def serve(*, latency_s: float) -> None:
    """Serve on a free port of loopback until cancelled; prints the port first."""
    response = answer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(response, latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
