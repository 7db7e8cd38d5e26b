"""A backfill by the `penstock` command at a provider without latency: pace, memory, nothing lost.

The client is a process of its own, as its users run it; the steward carries the backfill, and one
worker answers. 20,000 rows, with `--full` 100,000.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure
from benchmarks.provider import LABELS
from benchmarks.stand import WORKSPACE, Stand
from penstock_client.connections import close_redis, redis_pool
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE

_ROWS, _ROWS_FULL = 20_000, 100_000
_COMMAND = "from penstock_client.cli.main import app; app()"
_MOST_CLIENT_MB, _MOST_VALKEY_MB = 150.0, 200.0
#: What feeds 2,000 rows a second from one core.
_MOST_STEWARD_US = 500.0
_LOOK_S = 0.25


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Rows per second, memory of client and Valkey, rows lost and answered twice."""
    rows = _ROWS_FULL if full else _ROWS
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        _write(source, Path(folder) / "labels.json", rows)
        async with stand.client():
            async with stand.worker(concurrency=200), _highest(_valkey_mb(stand)) as valkey:
                before = stand.cpu()
                began = time.monotonic()
                told, client_mb = await _command(stand, source, output)
                took_s = time.monotonic() - began
                after = stand.cpu()
        ids = _ids(output)
    await stand.clear()
    lost = rows - len(set(ids))
    steward_us, worker_us = (after.us_each(before, part, rows) for part in ("steward", "worker"))
    return [
        _figure(f"{rows:,} rows loaded, asked and exported", rows / took_s, "/s"),
        _figure("memory of the client at most", client_mb, "MB", goal=_MOST_CLIENT_MB),
        _figure("memory of Valkey at most", valkey[0], "MB", goal=_MOST_VALKEY_MB),
        _figure("rows lost", lost, "", goal=0),
        _figure("rows answered twice", len(ids) - len(set(ids)), "", goal=0),
        _figure("calls beyond one for each row", told["calls"] - rows, "", goal=0),
        _figure("rows out of their order", sum(map(int.__ne__, ids, range(rows))), "", goal=0),
        _figure("CPU of the steward for a row", steward_us, "µs", goal=_MOST_STEWARD_US),
        _figure("CPU of the worker for a row", worker_us, "µs"),
    ]


def _figure(name: str, value: float | None, unit: str, **goal: Any) -> Figure:
    within = "at least" if unit == "/s" else "at most"
    return Figure(bench="backfill", name=name, value=value, unit=unit, within=within, **goal)


def _write(source: Path, labels: Path, rows: int) -> None:
    with source.open("w") as file:
        for number in range(rows):
            text = f"ticket {number}: I was charged twice for order {number * 7} and want it back"
            file.write(json.dumps({"id": number, "text": text}) + "\n")
    labels.write_text(json.dumps(list(LABELS)))


def _ids(output: Path) -> list[int]:
    with output.open() as file:
        return [json.loads(line)["id"] for line in file]


async def _command(stand: Stand, source: Path, output: Path) -> tuple[dict[str, Any], float]:
    """Run the command; its summary, and the most memory that it had, in MB."""
    variables = {
        REDIS_VARIABLE: stand.settings.require_redis(),
        DATABASE_VARIABLE: stand.settings.require_database(),
    }
    options = (
        "backfill", str(source), "-w", WORKSPACE, "-c", "classify", "--json",
        "--labels-file", str(source.parent / "labels.json"), "-o", str(output),
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COMMAND, *options,
        env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with _highest(_memory_mb(process.pid)) as highest:
        printed, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the command ended with code {process.returncode}")
    return json.loads(printed), highest[0]


@asynccontextmanager
async def _highest(look: Callable[[], Awaitable[float]]) -> AsyncGenerator[list[float]]:
    """The highest of what is seen while the block runs, as a list of one."""
    seen, over = [0.0], asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            seen[0] = max(seen[0], await look())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _LOOK_S)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        over.set()
        await watching


def _memory_mb(pid: int) -> Callable[[], Awaitable[float]]:
    """The most memory that a process had so far."""
    status = Path(f"/proc/{pid}/status")

    async def look() -> float:
        try:
            lines = (await asyncio.to_thread(status.read_text)).splitlines()
        except OSError:
            return 0.0
        told = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
        return int(told.split()[1]) / 1024

    return look


def _valkey_mb(stand: Stand) -> Callable[[], Awaitable[float]]:
    async def look() -> float:
        redis: Any = redis_pool(stand.settings)
        try:
            return (await redis.info("memory"))["used_memory"] / 1e6
        finally:
            await close_redis(redis)

    return look
