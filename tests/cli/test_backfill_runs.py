"""Whole backfills on real servers with simulated providers: run, stop, run again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client import Penstock
from penstock_client.backfill import Plan, Source, Tally, run_backfill
from penstock_schemas.errors import UnknownWorkspace
from penstock_worker.simulator.server import Simulator

PLAN = Plan(workspace="acme", kind="classify", labels=("refund", "praise"))


class Watched:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.started = asyncio.Event()

    def update(self, tally: Tally) -> None:
        if tally.succeeded:
            self.started.set()

    def say(self, message: str) -> None:
        raise AssertionError(message)

    def bad_row(self, where: str, message: str) -> None:
        self.bad.append(f"{where}: {message}")


def write_rows(path: Path, count: int) -> Source:
    rows = [{"id": n, "text": f"refund number {n}"} for n in range(count)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return Source(path, "id")


def read(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def backfill(
    penstock: Penstock, source: Source, out: Path, *, plan: Plan = PLAN, window: int = 100
) -> tuple[Tally, Watched]:
    watched = Watched()
    tally = await run_backfill(
        penstock, source=source, plan=plan, output=out, window=window, watcher=watched
    )
    return tally, watched


async def test_backfill_answers_every_row_once(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks", concurrency=100)
    out = tmp_path / "out.jsonl"
    tally, _ = await backfill(penstock, write_rows(tmp_path / "in.jsonl", 300), out)
    answers = read(out)
    assert sorted(answer["id"] for answer in answers) == list(range(300))
    assert {answer["output"] for answer in answers} == {"refund"}
    assert all(answer["simulated"] and answer["cost_usd"] > 0 for answer in answers)
    assert (tally.succeeded, tally.failed, tally.calls, tally.simulated) == (300, 0, 300, 300)
    assert simulator.stats()["calls"] == 300


async def test_second_run_calls_nothing_again(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    source, out = write_rows(tmp_path / "in.jsonl", 30), tmp_path / "out.jsonl"
    await backfill(penstock, source, out)
    tally, _ = await backfill(penstock, source, out)
    assert (tally.skipped, tally.ended, simulator.stats()["calls"]) == (30, 0, 30)


async def test_lost_output_is_written_again_without_a_call(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    source, out = write_rows(tmp_path / "in.jsonl", 30), tmp_path / "out.jsonl"
    await backfill(penstock, source, out)
    out.unlink()
    await backfill(penstock, source, out)
    assert len(read(out)) == 30
    assert simulator.stats()["calls"] == 30


async def test_interrupted_backfill_goes_on_without_a_second_call(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    first = asyncio.create_task(backfill(penstock, source, out, window=40))
    async with asyncio.timeout(10):
        while len(await penstock.jobs("acme", limit=50)) < 40:
            await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await work_for("fireworks", concurrency=100)
    tally, _ = await backfill(penstock, source, out, window=40)
    assert tally.succeeded == 200
    assert sorted(answer["id"] for answer in read(out)) == list(range(200))
    assert simulator.stats()["calls"] == 200


async def test_failed_rows_are_asked_again_by_the_next_run(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", 5), tmp_path / "out.jsonl"
    first = asyncio.create_task(backfill(penstock, source, out))
    async with asyncio.timeout(10):
        while len(await penstock.jobs("acme")) < 5:
            await asyncio.sleep(0.02)
    await penstock.ledger.pool.execute(
        "update penstock.jobs set deadline = now() - interval '1 second'"
    )
    await work_for("fireworks")
    tally, _ = await first
    assert (tally.failed, tally.errors) == (5, {"expired": 5})
    tally, _ = await backfill(penstock, source, out)
    assert (tally.succeeded, tally.failed) == (5, 0)
    assert sorted(answer["id"] for answer in read(out)) == list(range(5))


async def test_bad_rows_get_their_error_and_harm_no_other(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks")
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"id": 1, "text": "refund"}\nwhat\n{"id": 2}\n{"text": "x"}\n')
    tally, watched = await backfill(penstock, Source(path, "id"), out)
    assert watched.bad == [
        f"{path}:2: not JSON: unexpected character, expected a JSON value",
        f"{path}:3: has no 'text'",
        f"{path}:4: has no 'id'",
    ]
    assert {
        answer["id"]: answer["error"] and answer["error"]["message"] for answer in read(out)
    } == {
        1: None,
        2: f"{path}:3: has no 'text'",
    }
    assert (tally.rows, tally.succeeded, tally.failed) == (4, 1, 3)


async def test_window_bounds_the_unfinished_rows(
    penstock: Penstock, simulator: Simulator, tmp_path: Path
) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", 100), tmp_path / "out.jsonl"
    running = asyncio.create_task(backfill(penstock, source, out, window=20))
    async with asyncio.timeout(10):
        while len(await penstock.jobs("acme", limit=50)) < 20:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(await penstock.jobs("acme", limit=50)) == 20


async def test_unknown_workspace_leaves_no_file(penstock: Penstock, tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", 1), tmp_path / "out.jsonl"
    with pytest.raises(UnknownWorkspace):
        await backfill(penstock, source, out, plan=replace(PLAN, workspace="nobody"))
    assert list(tmp_path.glob("out*")) == []
