"""The `penstock backfill` command as a process, on real servers with simulated providers."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client import Penstock, Settings
from penstock_worker.simulator.server import Simulator
from tests.backfills.doing import write_rows

_COMMAND = "from penstock_client.cli.main import main; main()"


@dataclass
class Command:
    """`penstock backfill …` with a folder's files."""

    settings: Settings
    folder: Path

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        variables = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PENSTOCK_REDIS_URL": self.settings.require_redis(),
            "PENSTOCK_DATABASE_URL": self.settings.require_database(),
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", _COMMAND, "backfill", *arguments, cwd=self.folder,
            env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(), timeout=60)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def one_shot(self, *more: str) -> dict[str, Any]:
        code, out, err = await self(*self.options, "--json", *more)
        assert code == 0, err
        return orjson.loads(out)

    @property
    def options(self) -> tuple[str, ...]:
        given = ("in.jsonl", "-w", "acme", "-c", "classify", "--labels-file", "labels")
        return (*given, "-o", "out.jsonl")

    def ids(self) -> list[int]:
        lines = (self.folder / "out.jsonl").read_bytes().splitlines()
        return [orjson.loads(line)["id"] for line in lines]


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Command:
    (tmp_path / "labels").write_text("refund\npraise\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("It broke.\n")
    write_rows(tmp_path / "in.jsonl", 200)
    return Command(settings, tmp_path)


async def test_command_writes_all_answers_and_a_second_run_pays_nothing(
    penstock: Penstock, work_for, simulator: Simulator, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    first = await command.one_shot()
    assert (first["rows"], first["succeeded"], first["calls"]) == (200, 200, 200)
    (command.folder / "out.jsonl").unlink()
    again = await command.one_shot()
    assert (again["succeeded"], again["skipped"], again["calls"]) == (0, 200, 0)
    assert again["cost_usd"] == 0
    assert command.ids() == list(range(200))
    assert simulator.stats()["calls"] == 200


async def test_killed_command_costs_nothing_and_goes_on(
    penstock: Penstock, work_for, simulator: Simulator, command: Command
) -> None:
    process = await command.start(*command.options)
    async with asyncio.timeout(30):
        while not await penstock.jobs("acme"):
            await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    await work_for("fireworks", concurrency=50)
    assert (await command.one_shot())["rows"] == 200
    assert command.ids() == list(range(200))
    assert simulator.stats()["calls"] == 200


async def test_dry_run_tells_the_cost_and_the_same_command_goes_on(
    penstock: Penstock, work_for, simulator: Simulator, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    code, out, err = await command(*command.options, "--dry-run", "20")
    assert code == 0, err
    assert "all 200 rows will cost about $" in out
    assert "penstock backfill resume" in out
    assert not (command.folder / "out.jsonl").exists()
    assert simulator.stats()["calls"] == 20
    assert (await command.one_shot())["calls"] == 180
    assert command.ids() == list(range(200))


async def test_status_after_a_dry_run_tells_the_estimate(
    penstock: Penstock, work_for, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    code, out, err = await command("start", *command.options[:-2], "--dry-run", "20")
    assert code == 0, err
    code, out, err = await command("attach", known := out.strip().splitlines()[-1])
    assert code == 0, err
    code, out, _ = await command("status", known)
    assert code == 0
    assert "estimate   all 200 rows will cost about $" in out


async def test_subcommands_start_attach_show_and_export(
    penstock: Penstock, work_for, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    code, out, err = await command("start", *command.options[:-2])
    assert code == 0, err
    known = out.strip()
    code, out, err = await command("attach", known)
    assert code == 0, err
    assert "200 rows: " in out
    assert "0 failed" in out
    code, out, _ = await command("status", known, "--json")
    assert (code, orjson.loads(out)["succeeded"]) == (0, 200)
    code, out, err = await command("export", known, "-o", "out.csv")
    assert (code, out) == (0, f"200 rows, 0 without an answer, to {command.folder}/out.csv\n"), err
    code, out, _ = await command("list", "acme")
    assert known in out
    assert "200/200" in out


async def test_attach_after_the_end_tells_all_and_export_counts_what_has_not_ended(
    penstock: Penstock, work_for, command: Command
) -> None:
    code, out, err = await command("start", *command.options[:-2])
    assert code == 0, err
    known = out.strip()
    code, out, err = await command("export", known, "-o", "part.jsonl")
    assert (code, err) == (0, "200 rows have not ended yet and were left out\n")
    assert out.startswith("0 rows, 0 without an answer")
    await work_for("fireworks", concurrency=50)
    await penstock.backfills.wait(known, timeout_s=30)
    code, out, err = await command("attach", known)
    assert code == 0, err
    assert "200 rows: 200 succeeded, 0 failed, 0 done before" in out
    assert "200 calls" in out


async def test_ceiling_says_what_lets_it_go_on(
    penstock: Penstock, work_for, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    code, out, _ = await command(*command.options, "--max-cost-usd", "0.0001")
    assert code == 1
    assert "the cost ceiling of $0.0001 is reached" in out
    assert "--max-cost-usd …" in out
    assert "--dry-run" not in out


async def test_mistyped_command_is_told_apart_from_an_input(
    penstock: Penstock, command: Command
) -> None:
    code, _, err = await command("statsu", "019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11")
    assert code == 2
    assert "No such command 'statsu'" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("in.jsonl", "--sql", "select 1"), "input: give a file or --sql"),
        ((), "input: give a file or --sql"),
        (("in.parquet",), "input: in.parquet cannot be read"),
        (("in.jsonl", "--text-field", "body"), "no row of in.jsonl has the field 'body'"),
        (("empty.csv",), "input: empty.csv is empty: it lacks a header"),
        (("notes.txt",), "input: notes.txt holds no JSON lines; CSV, TSV and Parquet"),
        (("in.jsonl", "-o", "out.xlsx"), "output: out.xlsx has none of the suffixes that say"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_one_line(
    penstock: Penstock, command: Command, arguments: tuple[str, ...], told: str
) -> None:
    given = ("-w", "acme", "-c", "classify", "--labels-file", "labels", "-o", "out.jsonl")
    code, _, err = await command(*given, *arguments)
    assert (code, err.count("\n")) == (2, 1), err
    assert told in err
    assert not (command.folder / "out.jsonl").exists()


async def test_example_runs_and_asks_nothing_twice(
    penstock: Penstock, work_for, simulator: Simulator, command: Command
) -> None:
    await work_for("fireworks", concurrency=50)
    example = Path(__file__).parents[2] / "examples" / "backfill.py"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PENSTOCK_REDIS_URL": command.settings.require_redis(),
        "PENSTOCK_DATABASE_URL": command.settings.require_database(),
    }
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(example), env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), timeout=60)
        assert out.decode().splitlines()[-1].startswith("succeeded: {"), out
    assert simulator.stats()["calls"] == 101  # a third of the tickets share one call
