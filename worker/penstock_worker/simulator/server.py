"""The simulator's server: one process on loopback that stands in for every provider.

Below `http://HOST:PORT/P/v1` it speaks OpenAI's wire for a provider P, below
`http://HOST:PORT/anthropic` Anthropic's, below `/google/v1` and `/google/v1beta` Gemini's;
`/_sim/` is its own interface (`control`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from aiohttp import web

from .caching import PromptCache
from .control import handle_control
from .counting import Counts, Snapshot
from .faults import Faults
from .handling import State, handle_call
from .latency import Latency
from .limits import Counted, Limits

_BACKLOG = 4096
_KEEP_ALIVE_S = 300.0
_SHUTDOWN_S = 0.2


class Simulator:
    """Runs the server while entered: `async with Simulator() as sim`.

    `port` 0 takes a free one. `latency_ms` and `jitter_ms` delay every call, repeatably by `seed`.
    `requests_per_minute` and `tokens_per_minute` limit every provider for itself, as `Limits.set`
    says. `canned` answers each call with a fixed minimal body (streams included), for measuring the
    rest of a system; calls are still counted, delayed, limited and hit by faults, and read only
    where tokens are limited.
    `faults`, `limits` and `latency` may be changed at any time from the same event loop.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_ms: float = 0,
        jitter_ms: float = 0,
        seed: int = 0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        tokens: Counted | None = None,
        slice_s: float = 1.0,
        canned: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self.faults = Faults(seed=seed)
        self.limits = Limits()
        self.latency = Latency(latency_ms=latency_ms, jitter_ms=jitter_ms, seed=seed)
        if requests_per_minute or tokens_per_minute:
            self.limits.set(
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
                tokens=tokens,
                slice_s=slice_s,
            )
        self._state = State(self.faults, self.limits, self.latency, Counts(), PromptCache(), canned)
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Simulator:
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_S,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The root address; its port is known once entered."""
        return f"http://{self._host}:{self._port}"

    def base_url(self, provider: str) -> str:
        """What to configure as the provider's base URL."""
        below = provider if provider == "anthropic" else f"{provider}/v1"
        return f"{self.url}/{below}"

    def stats(self) -> Snapshot:
        """What has come in so far, as `GET /_sim/stats` gives it."""
        return self._state.snapshot()

    def reset(self) -> None:
        """Start the counts and the prompt cache again; all that was set stays."""
        self._state.reset()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        provider, _, rest = path[1:].partition("/")
        if provider == "_sim":
            return await handle_control(request, rest, self._state)
        return await handle_call(request, provider, "/" + rest, self._state)


async def run(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    latency_ms: float = 0,
    jitter_ms: float = 0,
    seed: int = 0,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    tokens: Counted | None = None,
    slice_s: float = 1.0,
    canned: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled, then stop cleanly; `on_ready` gets the root address once it listens.

    Meant for a process of its own, under `uvloop.run`. Raises OSError for an address in use.
    """
    async with Simulator(
        host=host,
        port=port,
        latency_ms=latency_ms,
        jitter_ms=jitter_ms,
        seed=seed,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        tokens=tokens,
        slice_s=slice_s,
        canned=canned,
    ) as simulator:
        if on_ready is not None:
            on_ready(simulator.url)
        await asyncio.Event().wait()
