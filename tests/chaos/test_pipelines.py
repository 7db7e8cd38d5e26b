"""A skill with a fan-out over 200 records while every process that has to do with it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from penstock_client import ComputeStep, LLMStep, Penstock, RunResult, Skill
from penstock_schemas.runs import RunState
from penstock_schemas.status import AttemptState
from tests.chaos.stack import PROVIDER, ChaosStack

pytestmark = pytest.mark.chaos

MODULE = "tests.chaos.hygiene_functions"
RECORDS = 200
MODEL = f"{PROVIDER}/deepseek-v3"
EXTRACTED = {
    "type": "object",
    "properties": {"contact": {"type": "string"}},
    "required": ["contact"],
}
HYGIENE = Skill(
    name="pipeline-hygiene",
    steps=(
        ComputeStep(name="find", function=f"{MODULE}:find", arguments={"count": "{inputs.count}"}),
        LLMStep(
            name="read-notes",
            type="extract",
            for_each="{find.output}",
            text="{item.name}: {item.notes}",
            schema=EXTRACTED,
            model=MODEL,
        ),
        ComputeStep(
            name="score",
            function=f"{MODULE}:score",
            for_each="{read-notes.output}",
            arguments={"record": "{item}", "index": "{index}"},
        ),
        ComputeStep(
            name="report", function=f"{MODULE}:report", arguments={"scores": "{score.output}"}
        ),
        LLMStep(name="judge", type="reason", prompt="Judge: {report.output}", model=MODEL),
        LLMStep(name="write", type="generate", prompt="Write: {judge.text}", model=MODEL),
    ),
    output={"report": "{report.output}", "letter": "{write.text}"},
)
_SUBMIT = """
import asyncio
from penstock_client import Penstock, Skill

async def main():
    async with Penstock.connect() as penstock:
        handle = await penstock.runs.start(
            Skill.parse({definition!r}), workspace="acme", inputs={{"count": {count}}}
        )
        print(handle.run_id, flush=True)
        await handle.result()

asyncio.run(main())
"""


@pytest.fixture
async def chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChaosStack]:
    """A running stack, whose calls take 0.3 s, without workers."""
    monkeypatch.setenv("HYGIENE_LOG", str(tmp_path / "calls.log"))
    async with ChaosStack(tmp_path) as started:
        yield started


class Killing:
    """Processes of a run: each is killed once, and another started in its place."""

    def __init__(self, chaos: ChaosStack) -> None:
        self.chaos = chaos
        self.steward = chaos._processes[-1]

    async def start_workers(self) -> None:
        self.llm = (await self.chaos.worker(concurrency=20)).process
        self.compute = await self._compute()

    async def _compute(self) -> Process:
        return await self.chaos._start("worker", "--compute", MODULE, "--concurrency", "4")

    async def submit(self) -> str:
        """Start the run from a process that is killed as soon as it has."""
        text = _SUBMIT.format(definition=HYGIENE.definition(), count=RECORDS)
        variables = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PENSTOCK_REDIS_URL": self.chaos.servers.redis_url,
            "PENSTOCK_DATABASE_URL": self.chaos.servers.database_url,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", text, env={**os.environ, **variables},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        run_id = (await asyncio.wait_for(process.stdout.readline(), timeout=20)).decode().strip()
        await kill(process)
        return run_id

    async def kill_steward(self) -> None:
        await kill(self.steward)
        self.steward = await self.chaos._start("steward")

    async def kill_compute(self) -> None:
        await kill(self.compute)
        self.compute = await self._compute()

    async def kill_llm(self) -> None:
        await kill(self.llm)
        self.llm = (await self.chaos.worker(concurrency=20)).process


async def kill(process: Process) -> None:
    """SIGKILL, and wait for its end."""
    process.kill()
    await process.wait()


async def until(met: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not await met():
            await asyncio.sleep(0.02)


async def reached(penstock: Penstock, run_id: str, step: str, succeeded: int) -> None:
    """Wait until so many items of a step have succeeded while others run."""

    async def met() -> bool:
        found = (await penstock.runs.get(run_id)).step(step)
        return found.succeeded >= succeeded

    await until(met)


def calls(log: Path, word: str) -> Counter[str]:
    """How often each call has begun, or ended."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.partition(" ")[2] for line in lines if line.startswith(word))


async def test_killed_processes_repeat_no_step_and_the_run_completes(
    chaos: ChaosStack, tmp_path: Path
) -> None:
    log, killing = tmp_path / "calls.log", Killing(chaos)
    async with Penstock.connect(settings=chaos.settings) as penstock:
        await penstock.workspaces.create("acme", monthly_tokens=None)
        await killing.start_workers()
        run_id = await killing.submit()

        async def found() -> bool:
            return calls(log, "begin")["find"] > 0

        await until(found)
        await killing.kill_compute()  # in the middle of `find`
        await reached(penstock, run_id, "read-notes", RECORDS // 4)
        await killing.kill_llm()
        await reached(penstock, run_id, "read-notes", RECORDS // 2)
        await killing.kill_steward()
        await reached(penstock, run_id, "score", RECORDS // 3)
        await killing.kill_compute()
        await killing.kill_steward()
        result = await penstock.runs.result(run_id, timeout_s=90)
        await _assert_each_ran_once(chaos, result, log)


async def _assert_each_ran_once(chaos: ChaosStack, result: RunResult, log: Path) -> None:
    assert result.status is RunState.SUCCEEDED, result.error
    assert result.output["report"] == {"scores": sum(range(RECORDS)), "records": RECORDS}
    assert [step.succeeded for step in result.steps] == [1, RECORDS, RECORDS, 1, 1, 1]
    ended, begun = calls(log, "end"), calls(log, "begin")
    assert len(ended) == RECORDS + 2
    # A call that ended and whose end was not recorded yet is made again; 4 ran at the kill.
    assert sum(ended.values()) <= RECORDS + 2 + 4
    again = {call for call, times in begun.items() if times > 1}
    assert "find" in again
    assert len(again) <= 1 + 4
    jobs = (await chaos.query("select count(*) from penstock.jobs"))[0][0]
    assert jobs == RECORDS + 2
    states = await chaos.query("select state, count(*) from penstock.attempts group by 1")
    attempts = dict(tuple(row) for row in states)
    assert attempts[AttemptState.SUCCEEDED] == RECORDS + 2
    assert attempts[AttemptState.ABANDONED] <= 20  # what was in flight at the kill
    print(f"calls made again: {sorted(again)}; attempts: {attempts}; cost ${result.cost_usd}")
