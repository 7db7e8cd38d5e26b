"""What went over the wire while an SDK worked: a transport that keeps each answer's bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx2


@dataclass(frozen=True)
class Exchange:
    """One call: where it went and the answer as it came."""

    path: str
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def events(self) -> list[bytes]:
        """The data of each server-sent event, without the closing `[DONE]`."""
        lines = self.body.replace(b"\r\n", b"\n").split(b"\n")
        data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
        return [item for item in data if item != b"[DONE]"]


@dataclass
class Recording(httpx2.AsyncBaseTransport):
    """Passes calls on and keeps what comes back; `last` is the latest exchange."""

    inner: httpx2.AsyncBaseTransport = field(default_factory=httpx2.AsyncHTTPTransport)
    exchanges: list[Exchange] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self.inner.handle_async_request(request)
        body = await answer.aread()
        await answer.aclose()
        self.exchanges.append(Exchange(request.url.path, answer.status_code, answer.headers, body))
        return httpx2.Response(
            answer.status_code, headers=answer.headers, content=body, extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self.inner.aclose()

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]
