"""The test stand: real servers, and the processes under test, each on its core.

The process that runs the benchmarks is the client. The worker has one core for itself; the
servers, the provider, the steward and the client share the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncpg

from benchmarks import machine
from benchmarks.machine import Cores
from benchmarks.provider import LABELS
from penstock_client import Classify, Generate, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import migrate
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE
from penstock_schemas.keys import ProviderKeys
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.credentials import base_url_variable
from penstock_worker.embedded import EmbeddedStack
from penstock_worker.up.plan import SMOKE_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
#: The provider whose worker is measured, and one that has no worker: its jobs stay queued.
PROVIDER, IDLE_MODEL = "fireworks", "deepseek/deepseek-chat"
WORKSPACE = "bench"


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of each part at one moment."""

    by_part: dict[str, float | None]

    def us_each(self, earlier: Cpu, part: str, jobs: int) -> float | None:
        """CPU of one part since `earlier`, in microseconds for each of `jobs`."""
        now, then = self.by_part.get(part), earlier.by_part.get(part)
        return None if now is None or then is None else (now - then) / jobs * 1e6


#: Where the wire of a provider begins at the simulator, where not at /v1.
VERSIONS = {"anthropic": ""}


@dataclass(frozen=True, slots=True)
class Control:
    """The simulator's own interface."""

    http: aiohttp.ClientSession

    async def tell(self, what: str, **fields: Any) -> dict[str, Any]:
        """Set limits, latency, faults or a stranger; raises RuntimeError when it is refused."""
        async with self.http.post(f"/_sim/{what}", json=fields) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise RuntimeError(f"the simulator refused {what}: {answer}")
            return answer

    async def clear_faults(self) -> None:
        """End every fault."""
        async with self.http.delete("/_sim/faults"):
            pass

    async def counts(self, provider: str) -> dict[str, Any]:
        """What came in for a provider since the last reset."""
        async with self.http.get("/_sim/stats") as response:
            answer: dict[str, Any] = await response.json()
        return answer["by_provider"].get(provider, {})


class Stand:
    """Enter it with `async with`; everything it started ends with it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._exit = AsyncExitStack()
        self._cores: Cores = machine.choose_cores()
        self._pids: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        if self._cores.others is not None:
            os.sched_setaffinity(0, self._cores.others)
        async with AsyncExitStack() as entering:
            self._stack = await entering.enter_async_context(EmbeddedStack(self._home / "stack"))
            self.settings = Settings(
                redis_url=self._stack.redis_url, database_url=self._stack.database_url
            )
            connection = await asyncpg.connect(self._stack.database_url)
            await migrate(connection)
            self.fsync = str(await connection.fetchval("show fsync"))
            await connection.close()
            await entering.enter_async_context(
                self._process("steward", {"settings": self._where}, self._cores.others)
            )
            self._exit = entering.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    @property
    def _where(self) -> dict[str, Any]:
        return {
            "redis_url": self.settings.redis_url,
            "database_url": self.settings.database_url,
        }

    def cpu(self) -> Cpu:
        """CPU seconds of every part so far."""
        pids = {
            **self._pids,
            "postgres": self._stack.pids["postgres"],
            "valkey": self._stack.pids["redis"],
        }
        used = {part: machine.cpu_s(pid) for part, pid in pids.items() if pid is not None}
        times = os.times()
        return Cpu({**used, "client": times.user + times.system})

    async def clear(self) -> None:
        """Forget all jobs and everything in Redis; returns once the index is open again."""
        connection = await asyncpg.connect(self._stack.database_url)
        await connection.execute(
            "truncate penstock.jobs, penstock.payloads, penstock.answers, penstock.attempts, "
            "penstock.submissions"
        )
        await connection.close()
        redis: Any = redis_pool(self.settings)
        await redis.flushall()
        while await redis.hget(ProviderKeys(PROVIDER).epoch, "state") != b"open":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await close_redis(redis)

    async def route(self, workspace: str, capability: str, routes: Sequence[str]) -> None:
        """Lead a workspace's capability to these models; clients see it when they connect."""
        connection = await asyncpg.connect(self._stack.database_url)
        await connection.execute(
            "update penstock.llm_configs set routing = routing || $2::jsonb "
            "where workspace_id = $1",
            workspace,
            json.dumps({capability: list(routes)}),
        )
        await connection.close()

    @asynccontextmanager
    async def index(self, provider: str) -> AsyncGenerator[ProviderIndex]:
        """A provider's index, as an operator steers it."""
        redis = redis_pool(self.settings)
        try:
            yield ProviderIndex(redis, provider)
        finally:
            await close_redis(redis)

    @contextmanager
    def servers_on_worker_core(self) -> Generator[None]:
        """While no worker runs: the servers take its core, so that the client has its own."""
        self._move_servers(self._cores.worker)
        try:
            yield
        finally:
            self._move_servers(self._cores.others)

    def _move_servers(self, cores: frozenset[int] | None) -> None:
        for pid in self._stack.pids.values():
            if pid is not None and cores is not None:
                machine.move(pid, cores)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Penstock]:
        """A client of the stand's servers, with its workspace."""
        async with Penstock.connect(settings=self.settings) as penstock:
            await penstock.workspaces.create(WORKSPACE, monthly_tokens=None)
            yield penstock

    @asynccontextmanager
    async def worker(self, *, concurrency: int, latency_s: float = 0) -> AsyncGenerator[None]:
        """A provider that answers after `latency_s`, and one worker process for it."""
        async with AsyncExitStack() as running:
            server = await running.enter_async_context(
                self._process("provider", {"latency_s": latency_s}, self._cores.others)
            )
            port = int(await _line(server))
            options = self._worker_options(PROVIDER, f"http://127.0.0.1:{port}/v1")
            options["concurrency"] = concurrency
            await running.enter_async_context(self._process("worker", options, self._cores.worker))
            yield

    @asynccontextmanager
    async def simulated(
        self, *providers: str, workers: int = 1, concurrency: int = 200
    ) -> AsyncGenerator[Control]:
        """The simulator, and so many workers of each of these providers."""
        async with AsyncExitStack() as running:
            simulator = await running.enter_async_context(
                self._process("simulator", {}, self._cores.others)
            )
            url = (await _line(simulator)).decode().strip()
            control = await running.enter_async_context(aiohttp.ClientSession(url))
            for provider in providers:
                for number in range(workers):
                    address = f"{url}/{provider}{VERSIONS.get(provider, '/v1')}"
                    options = self._worker_options(provider, address)
                    process = self._process(
                        "worker", {**options, "concurrency": concurrency}, None, number=number
                    )
                    await running.enter_async_context(process)
            yield Control(control)

    @asynccontextmanager
    async def listening(self, role: str) -> AsyncGenerator[str]:
        """A process that serves HTTP on the worker's core; gives its address once it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        variables = {
            REDIS_VARIABLE: self.settings.require_redis(),
            DATABASE_VARIABLE: self.settings.require_database(),
        }
        options = {"port": port, "variables": variables}
        async with self._process(role, options, self._cores.worker):
            async with asyncio.timeout(60):
                while not await _takes_connections(port):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            yield f"http://127.0.0.1:{port}"

    def _worker_options(self, provider: str, address: str) -> dict[str, Any]:
        return {
            "provider": provider,
            "variables": {
                REDIS_VARIABLE: self.settings.require_redis(),
                DATABASE_VARIABLE: self.settings.require_database(),
                base_url_variable(provider): address,
                SMOKE_VARIABLE: "false",
                f"{provider.upper()}_API_KEY": "none",
            },
        }

    async def run_arq(self, *, redis_url: str, max_jobs: int) -> dict[str, float]:
        """Run an arq worker until its queue is empty; returns jobs, seconds and CPU seconds."""
        options = {"redis_url": redis_url, "max_jobs": max_jobs}
        async with self._process("arq", options, self._cores.worker) as process:
            return json.loads(await _line(process))

    @asynccontextmanager
    async def awaiting(
        self, path: str, *, ended: str, name: str
    ) -> AsyncGenerator[Callable[[], Awaitable[bytes]]]:
        """A process that awaits the jobs of a file; gives the lines that it prints.

        `ended` is a job that has ended, `name` that of its connections to Redis.
        """
        url = self.settings.require_redis()
        named = f"{url}{'&' if '?' in url else '?'}client_name={name}"
        options = {
            "path": path,
            "ended": ended,
            "settings": {**self._where, "redis_url": named},
        }
        async with self._process("awaits", options, self._cores.worker) as process:
            yield lambda: _line(process)

    @asynccontextmanager
    async def _process(
        self,
        role: str,
        options: dict[str, Any],
        cores: frozenset[int] | None,
        *,
        number: int | None = None,
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        command = [sys.executable, "-m", "benchmarks.processes", role, json.dumps(options)]
        with machine.on_cores(cores):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        part = role if number is None else f"{options['provider']} {number}"
        self._pids[part] = process.pid
        try:
            yield process
        finally:
            del self._pids[part]
            await _stop(process)


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _line(process: asyncio.subprocess.Process) -> bytes:
    """The next line that a process prints; raises RuntimeError when it ends instead."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout=60)
    if not line:
        raise RuntimeError(f"a process of the stand ended with code {await process.wait()}")
    return line


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeout=15)
    except TimeoutError:
        process.kill()
        await process.wait()


def texts(count: int, *, model: str) -> list[Generate]:
    """Short jobs that ask for plain text, all different."""
    return [
        Generate(workspace=WORKSPACE, prompt=f"message {n}: I want it back", model=model)
        for n in range(count)
    ]


def jobs(count: int, *, model: str | None = None) -> list[Classify]:
    """Short jobs of the stand's workspace, all different, whose answers are held to a schema."""
    return [
        Classify(
            workspace=WORKSPACE, text=f"message {n}: I want it back", labels=LABELS, model=model
        )
        for n in range(count)
    ]


async def run_all(
    penstock: Penstock, work: Sequence[Classify | Generate], *, batch: int, under_way: int
) -> None:
    """Submit in batches and await every result, with about `under_way` jobs at a time.

    Raises RuntimeError when a job has no answer.
    """
    batches = iter([work[first : first + batch] for first in range(0, len(work), batch)])

    async def produce() -> None:
        for some in batches:
            handles = await penstock.submit_many(some)
            results = await asyncio.gather(*(handle.result(timeout_s=120) for handle in handles))
            for result in results:
                if not result.ok:
                    raise RuntimeError(f"a job failed: {result.error}")

    await asyncio.gather(*(produce() for _ in range(max(1, under_way // batch))))
