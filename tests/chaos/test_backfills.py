"""A backfill while everything is killed at once, again and again: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import random
import time
from asyncio.subprocess import Process
from pathlib import Path

import orjson
import pytest

from penstock_client import Penstock
from penstock_schemas.status import AttemptState
from tests.chaos.stack import ChaosStack

pytestmark = pytest.mark.chaos

WORKERS, SLOTS = 2, 50
#: New rows are asked so soon after all processes have started again, in seconds.
RESUME_S = 5.0


class Everything:
    """All processes of a backfill: killed together with the servers, and started again."""

    def __init__(self, chaos: ChaosStack, folder: Path, rows: int) -> None:
        self.chaos, self.folder, self.rows = chaos, folder, rows
        self.source, self.output = folder / "in.jsonl", folder / "out.jsonl"
        self.labels = folder / "labels.json"
        self.labels.write_text('["refund", "praise"]')
        lines = ({"id": n, "text": f"ticket {n}: I want a refund"} for n in range(rows))
        self.source.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        self.processes: list[Process] = [chaos._processes[-1]]
        self.in_flight = 0
        self.resumed_s: list[float] = []

    async def start(self) -> None:
        """Workers, and the command of the user."""
        for _ in range(WORKERS):
            self.processes.append((await self.chaos.worker(concurrency=SLOTS)).process)
        self.client = await self.chaos._start(
            "backfill", str(self.source), "-w", "acme", "-c", "classify", "--labels-file",
            str(self.labels), "-o", str(self.output),
        )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL to every process and both servers; then all of them are started again."""
        for process in [*self.processes, self.client]:
            process.kill()
        await asyncio.gather(self.chaos.servers.kill_postgres(), self.chaos.servers.kill_redis())
        await asyncio.gather(*(process.wait() for process in [*self.processes, self.client]))
        await asyncio.gather(self.chaos.servers.start_postgres(), self.chaos.servers.start_redis())
        opened = "select count(*) as calls from penstock.attempts where state = $1"
        self.in_flight += (await self.chaos.query(opened, AttemptState.OPEN))[0]["calls"]
        last = await self.chaos.query("select max(started_at) as at from penstock.attempts")
        self.processes = [await self.chaos._start("steward")]
        await self.start()
        await self.up()
        began = time.monotonic()
        newer = (
            "select count(*) as calls from penstock.attempts where number = 1 and started_at > $1"
        )
        async with asyncio.timeout(60):
            while not (await self.chaos.query(newer, last[0]["at"]))[0]["calls"]:
                await asyncio.sleep(0.1)
        self.resumed_s.append(time.monotonic() - began)

    async def up(self) -> None:
        """Wait until the steward and the workers of the last start say that they have started."""
        logs = self.folder.glob("*-*.log")
        in_order = sorted(logs, key=lambda log: int(log.stem.rpartition("-")[2]))
        newest = in_order[-len(self.processes) - 1 : -1]  # the last one is the command's
        async with asyncio.timeout(60):
            while not all(".started" in log.read_text() for log in newest):
                await asyncio.sleep(0.05)

    async def reach(self, rows: int) -> None:
        """Wait until so many rows have an answer."""
        ended = "select coalesce(max(succeeded), 0) as rows from penstock.backfills"
        async with asyncio.timeout(300):
            while (await self.chaos.query(ended))[0]["rows"] < rows:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("rows", "kills"), [(10_000, 3), pytest.param(100_000, 10, marks=pytest.mark.slow)]
)
async def test_kill_of_everything_loses_and_doubles_no_row(
    tmp_path: Path, rows: int, kills: int
) -> None:
    chance = random.Random(rows)
    async with ChaosStack(tmp_path, latency_ms=0) as chaos:
        async with Penstock.connect(settings=chaos.settings) as penstock:
            await penstock.workspaces.create("acme", monthly_tokens=None)
        everything = Everything(chaos, tmp_path, rows)
        await everything.start()
        for number in range(kills):
            share = (number + chance.uniform(0.1, 0.9)) / (kills + 0.5)
            await everything.reach(int(rows * share))
            await everything.kill()
        assert await asyncio.wait_for(everything.client.wait(), timeout=600) == 0
        ids = [orjson.loads(line)["id"] for line in everything.output.read_bytes().splitlines()]
        states = await chaos.query("select state, count(*) from penstock.attempts group by 1")
        attempts = dict(tuple(row) for row in states)
        (counts,) = await chaos.query("select succeeded, calls, under_way from penstock.backfills")
        calls = (await chaos.stats())["calls"]
        print(
            f"resumed after {[round(s, 1) for s in everything.resumed_s]} s; {attempts}; "
            f"{calls} calls, {everything.in_flight} in flight at the kills"
        )
    assert ids == list(range(rows))
    assert attempts[AttemptState.SUCCEEDED] == rows
    assert attempts.get(AttemptState.ABANDONED, 0) <= everything.in_flight
    assert calls <= rows + everything.in_flight
    assert counts["succeeded"] == rows
    assert counts["calls"] == rows + attempts.get(AttemptState.ABANDONED, 0)
    assert counts["under_way"] == 0
    assert max(everything.resumed_s) <= RESUME_S
