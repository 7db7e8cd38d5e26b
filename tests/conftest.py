"""Fixtures that every area may use: a real Valkey and Postgres, and real processes' parts on them.

The servers are the embedded ones, started once per test process; nothing is skipped for lack of
a server. Tests that use `penstock` begin with empty tables and an empty index.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from penstock_client import Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import migrate
from penstock_worker.compose import run_steward, run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.embedded import EmbeddedStack
from penstock_worker.simulator.server import Simulator

Running = Callable[..., object]
_EMPTYING = Path(__file__).with_name("emptying.sql").read_text("utf-8")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Valkey and Postgres of this test process, with all migrations applied."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stack", daemon=True)
    thread.start()
    embedded = EmbeddedStack(tmp_path_factory.mktemp("stack") / "home")

    async def enter() -> None:
        await embedded.__aenter__()
        connection = await asyncpg.connect(embedded.database_url)
        await migrate(connection)
        await connection.close()

    asyncio.run_coroutine_threadsafe(enter(), loop).result(timeout=60)
    yield embedded
    closing = embedded.__aexit__(None, None, None)
    asyncio.run_coroutine_threadsafe(closing, loop).result(timeout=60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()


@pytest.fixture
def settings(stack: EmbeddedStack, tmp_path: Path) -> Settings:
    """Settings that point at the stack."""
    return Settings(
        redis_url=stack.redis_url,
        database_url=stack.database_url,
        home=tmp_path,
        smoke_test=False,  # tests count calls
    )


@pytest.fixture
async def empty(settings: Settings) -> Settings:
    """Settings of a stack whose tables and index have just been emptied."""
    connection = await asyncpg.connect(settings.require_database())
    await connection.execute(_EMPTYING)
    await connection.close()
    redis = redis_pool(settings)
    await redis.flushall()
    await close_redis(redis)
    return settings


@pytest.fixture
async def penstock(empty: Settings) -> AsyncIterator[Penstock]:
    """A client on an empty stack that has the workspace `acme`, without a token budget."""
    async with Penstock.connect(settings=empty) as client:
        await client.workspaces.create("acme", monthly_tokens=None)
        yield client


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Simulated providers on loopback, without latency."""
    async with Simulator() as running:
        yield running


@asynccontextmanager
async def in_background(work: object) -> AsyncIterator[asyncio.Task[None]]:
    """Run a coroutine until the block ends."""
    task = asyncio.ensure_future(work)  # type: ignore[arg-type]
    try:
        yield task
    finally:
        # Clients of servers may turn a cancellation into an error of their own, and go on.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)
        with suppress(asyncio.CancelledError):
            task.result()


@pytest.fixture
async def steward(empty: Settings) -> AsyncIterator[None]:
    """A steward on duty in this process."""
    async with in_background(run_steward(empty, handle_signals=False)):
        yield


@pytest.fixture
async def work_for(
    empty: Settings, simulator: Simulator, steward: None
) -> AsyncIterator[Callable[..., object]]:
    """`await work_for("openai", concurrency=20)` starts a worker of that simulated provider."""
    async with AsyncExitStack() as running:

        async def start(provider: str, *, concurrency: int = 20, drain_s: float = 5) -> None:
            variables = {
                base_url_variable(provider): simulator.base_url(provider),
                "OPENAI_API_KEY": "sk-test",
                "ANTHROPIC_API_KEY": "sk-test",
                "FIREWORKS_API_KEY": "sk-test",
                "DEEPSEEK_API_KEY": "sk-test",
                "MISTRAL_API_KEY": "sk-test",
                "GOOGLE_API_KEY": "sk-test",
            }
            worker = run_worker(
                provider,
                empty,
                variables,
                concurrency=concurrency,
                drain_s=drain_s,
                handle_signals=False,
            )
            task = await running.enter_async_context(in_background(worker))
            test = asyncio.current_task()

            def ended(done: asyncio.Task[None]) -> None:
                if test is not None and not done.cancelled() and done.exception() is not None:
                    test.cancel("the worker broke")  # its error shows at the end of the test

            task.add_done_callback(ended)

        yield start


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where the spans of this test go."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()
