"""One streamed answer read by several processes, whose connections and lives end in between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from penstock_client import Generate, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_schemas.deltas import Delta
from penstock_worker.deltas import DeltaSink

READER = """
import asyncio, json, sys
from penstock_client import Penstock

async def main():
    job_id, after = sys.argv[1], sys.argv[2] or None
    async with Penstock.connect() as penstock:
        async for delta in penstock.stream(job_id, after=after):
            print(json.dumps([delta.position, delta.text, delta.restarted, delta.lost]), flush=True)

asyncio.run(main())
"""


class Reader:
    """A process that reads along, and what it has read."""

    def __init__(self, process: asyncio.subprocess.Process, read: list[Any]) -> None:
        self.process = process
        self.read = read
        self._taking = asyncio.create_task(self._take())

    async def _take(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.read.append(json.loads(line))

    async def until(self, position: str) -> None:
        """Returns once a piece has been read."""
        async with asyncio.timeout(30):
            while position not in (piece[0] for piece in self.read):
                await asyncio.sleep(0.01)

    async def end(self) -> int:
        """Returns once the process has ended by itself and all it said was read."""
        async with asyncio.timeout(30):
            code = await self.process.wait()
            await self._taking
        return code

    async def kill(self) -> list[Any]:
        """Kill -9; gives what it had read."""
        self.process.kill()
        await self.process.wait()
        await self._taking
        return self.read


@asynccontextmanager
async def reading(
    settings: Settings, job_id: str, *, name: str, read: list[Any] | None = None
) -> AsyncIterator[Reader]:
    """A process that reads a job along, after the last piece that was read before."""
    url = settings.require_redis()
    variables = {
        "PENSTOCK_REDIS_URL": f"{url}{'&' if '?' in url else '?'}client_name={name}",
        "PENSTOCK_DATABASE_URL": settings.require_database(),
    }
    after = read[-1][0] if read else ""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READER, job_id, after),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    try:
        yield Reader(process, read or [])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def cut(redis: Any, name: str) -> int:
    """Ends every connection of a reader; gives how many there were."""
    found = [client["id"] for client in await redis.client_list() if client["name"] == name]
    for client_id in found:
        await redis.client_kill_filter(_id=client_id)
    return len(found)


async def test_three_processes_read_every_piece_once_and_in_order(
    penstock: Penstock, empty: Settings
) -> None:
    job = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o", stream=True)
    handle = await penstock.submit(job)  # no worker takes it: the test gives its pieces
    redis: Any = redis_pool(empty)
    sent: list[Any] = []

    async def give(attempt: int, numbers: range) -> str:
        """Pieces of an attempt, three at a time; gives the last one's position."""
        sender: Any = SimpleNamespace(job_id=handle.job_id, number=attempt)
        for last in numbers:
            texts = [f"{attempt}:{n}" for n in range(last - 2, last + 1)]
            await DeltaSink(redis).pass_on(sender, [Delta(text=text) for text in texts], last)
            first = len(sent) if attempt == 2 and last == 3 else -1
            for n, text in enumerate(texts, start=last - 2):
                sent.append([f"{attempt}-{n}", text, len(sent) == first, 0])
        return sent[-1][0]

    last = await give(1, range(3, 31, 3))
    async with (
        reading(empty, handle.job_id, name="whole") as whole,
        reading(empty, handle.job_id, name="cut") as often_cut,
        reading(empty, handle.job_id, name="killed") as killed,
    ):
        for each in (whole, often_cut, killed):
            await each.until(last)
        assert await cut(redis, "cut") > 0
        last = await give(1, range(33, 61, 3))
        had = await killed.kill()
        await often_cut.until(last)
        assert await cut(redis, "cut") > 0
        last = await give(2, range(3, 31, 3))  # the job went to another provider
        async with reading(empty, handle.job_id, name="again", read=had) as again:
            await again.until(last)
            await give(2, range(33, 61, 3))
            await handle.cancel()
            codes = [await each.end() for each in (whole, often_cut, again)]
    await close_redis(redis)
    assert codes == [0, 0, 0]
    assert len(sent) == 120
    assert whole.read == sent
    assert often_cut.read == sent
    assert again.read == sent
