"""Real processes on servers of their own: steward, workers, simulated providers, to be killed.

`async with ChaosStack(folder) as chaos` starts the servers, the simulator and a steward; workers
are added by `worker()`. Everything is stopped at the end, whatever was killed before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
from arq.connections import ArqRedis

from penstock_client import Classify, Penstock, Result, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import migrate
from penstock_worker.embedded import EmbeddedStack

PROVIDER = "fireworks"
_COMMAND = (
    "from penstock_client.cli.main import app; from penstock_worker.cli import register; "
    "register(app); app()"
)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process; the attempts of it name its process ID."""

    process: Process

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    async def stop(self, *, within_s: float = 15.0) -> int:
        """SIGTERM; returns its exit code."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), timeout=within_s)


class ChaosStack:
    """Servers and processes of one test. `latency_ms` is how long each simulated call takes."""

    def __init__(self, folder: Path, *, latency_ms: int = 300) -> None:
        self._folder = folder
        self._latency_ms = latency_ms
        self._processes: list[Process] = []
        self.servers = EmbeddedStack(folder / "home")
        self._simulator = ""

    async def __aenter__(self) -> Self:
        await self.servers.__aenter__()
        try:
            connection = await self.connect()
            await migrate(connection)
            await connection.close()
            self._simulator = await self._start_simulator()
            await self._start("steward")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                await asyncio.wait_for(process.wait(), timeout=15)
            except TimeoutError:
                process.kill()
                await process.wait()
        await self.servers.__aexit__(None, None, None)

    @property
    def settings(self) -> Settings:
        """Settings that point at the servers."""
        return Settings(
            redis_url=self.servers.redis_url,
            database_url=self.servers.database_url,
            home=self._folder,
        )

    async def worker(self, *, concurrency: int = 100) -> Worker:
        """Start one more worker."""
        return Worker(
            await self._start("worker", "--provider", PROVIDER, "--concurrency", str(concurrency))
        )

    async def connect(self) -> asyncpg.Connection:
        """A connection to look behind everything."""
        return await asyncpg.connect(self.servers.database_url)

    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[ArqRedis]:
        """A pool of Redis connections."""
        pool = redis_pool(self.settings)
        yield pool
        await close_redis(pool)

    async def stats(self) -> dict[str, Any]:
        """What the simulated providers have seen."""
        async with httpx.AsyncClient() as http:
            return (await http.get(f"{self._simulator}/_sim/stats")).json()

    async def in_flight(self) -> int:
        """Calls that have not been answered yet."""
        found = (await self.stats())["by_provider"].get(PROVIDER)
        return found["in_flight"] if found else 0

    async def query(self, text: str, *args: Any) -> list[asyncpg.Record]:
        """Ask the record."""
        connection = await self.connect()
        try:
            return await connection.fetch(text, *args)
        finally:
            await connection.close()

    async def _start_simulator(self) -> str:
        arguments = ("--port", "0", "--latency-ms", str(self._latency_ms))
        process = await self._start("simulator", *arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), timeout=20)).decode()
        return line.removeprefix("simulated providers at ").partition(",")[0]

    async def _start(self, *arguments: str, stdout: int | None = None) -> Process:
        variables = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PENSTOCK_REDIS_URL": self.servers.redis_url,
            "PENSTOCK_DATABASE_URL": self.servers.database_url,
            "PENSTOCK_SMOKE_TEST": "false",
            "FIREWORKS_API_KEY": "sk-test",
            "PENSTOCK_FIREWORKS_BASE_URL": f"{self._simulator}/{PROVIDER}/v1",
        }
        log = self._folder / f"{arguments[0]}-{len(self._processes)}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _COMMAND,
                *arguments,
                env={**os.environ, **variables},
                cwd=self._folder,
                stdout=file if stdout is None else stdout,
                stderr=file,
            )
        self._processes.append(process)
        return process


class Run:
    """A run of jobs through `map`, to be disturbed in the middle."""

    def __init__(self, penstock: Penstock, chaos: ChaosStack, rows: int) -> None:
        self.rows = rows
        self._penstock = penstock
        self._chaos = chaos
        self._task = asyncio.create_task(self._go())

    async def reach(self, share: float) -> None:
        """Wait until that share has ended while calls are in flight."""
        ended = "select count(*) from penstock.jobs where finished_at is not null"
        async with asyncio.timeout(60):
            while True:
                done = (await self._chaos.query(ended))[0][0]
                if done >= self.rows * share and await self._chaos.in_flight():
                    break
                await asyncio.sleep(0.05)
        assert not self._task.done()

    async def results(self, *, within_s: float = 60.0) -> list[Result]:
        """All results; every row has one, and it is good."""
        results = await self.ends(within_s=within_s)
        assert all(result.ok for result in results)
        return results

    async def ends(self, *, within_s: float = 60.0) -> list[Result]:
        """All results; every row has one, good or not."""
        results = await asyncio.wait_for(self._task, timeout=within_s)
        assert len(results) == len({result.job_id for result in results}) == self.rows
        return results

    async def cancel(self) -> None:
        """Give up, at the end of a test that failed."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _go(self) -> list[Result]:
        jobs = (
            Classify(
                workspace="acme",
                text=f"ticket {n}: I want a refund",
                labels=("refund", "praise"),
                lane="bulk",
            )
            for n in range(self.rows)
        )
        return [result async for result in self._penstock.map(jobs, window=1000)]


@asynccontextmanager
async def running(chaos: ChaosStack, rows: int) -> AsyncGenerator[Run]:
    """A run of `rows` jobs on the stack."""
    async with Penstock.connect(settings=chaos.settings) as penstock:
        await penstock.workspaces.create("acme", monthly_tokens=None)
        run = Run(penstock, chaos, rows)
        try:
            yield run
        finally:
            await run.cancel()
