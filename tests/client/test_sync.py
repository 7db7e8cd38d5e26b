"""Penstock without an event loop: the facade for scripts and notebooks."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from penstock_client import (
    Classify,
    Generate,
    JobFailed,
    JobState,
    Penstock,
    Progress,
    ResultTimeout,
    Settings,
    SyncPenstock,
    Unavailable,
    UnknownWorkspace,
)
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.steps import LLMStep
from penstock_client.sync import SyncHandle
from penstock_schemas.runs import RunResult
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

T = TypeVar("T")


def refund(**fields: str) -> Classify:
    labels = ("refund", "praise")
    return Classify(workspace="acme", text="I want a refund", labels=labels, **fields)  # type: ignore[arg-type]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "penstock-sync"]


async def script(settings: Settings, work: Callable[[SyncPenstock[Penstock]], T]) -> T:
    """Run a script's body in a thread that has no loop."""

    def body() -> T:
        with Penstock.connect(settings=settings).sync() as penstock:
            return work(penstock)

    return await asyncio.wait_for(asyncio.to_thread(body), timeout=20)


async def test_sync_submits_and_gives_results(penstock: Penstock, work_for, empty) -> None:
    await work_for("fireworks")

    def body(penstock: SyncPenstock[Penstock]) -> list[object]:
        handle = penstock.submit(refund())
        return [
            handle.result(timeout_s=10).output,
            penstock.result(handle.job_id, timeout_s=10).output,
            penstock.call(refund(), timeout_s=10).output,
            [each.result(timeout_s=10).output for each in penstock.submit_many([refund()] * 2)],
        ]

    assert await script(empty, body) == ["refund", "refund", "refund", ["refund"] * 2]


async def test_sync_map_is_a_plain_iterator_over_a_plain_source(
    penstock: Penstock, work_for, empty
) -> None:
    await work_for("fireworks")
    in_threads: set[str] = set()
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        in_threads.add(threading.current_thread().name)
        told.append(progress)

    def source() -> Iterator[Classify]:
        for n in range(60):
            in_threads.add(threading.current_thread().name)
            yield refund(step=str(n))

    def body(penstock: SyncPenstock[Penstock]) -> list[str | None]:
        in_threads.clear()
        results = penstock.map(source(), window=8, ordered=True, on_progress=tell)
        job_ids = [result.job_id for result in results]
        assert in_threads == {threading.current_thread().name}
        steps = {row.job_id: row.step for row in penstock.jobs("acme", limit=100)}
        return [steps[job_id] for job_id in job_ids]

    assert await script(empty, body) == [str(n) for n in range(60)]
    assert (told[-1].ended, told[-1].succeeded) == (60, 60)


async def test_sync_map_raises_what_its_source_raises(penstock: Penstock, empty) -> None:
    def source() -> Iterator[Classify]:
        yield refund()
        raise LookupError("no more rows")

    def body(penstock: SyncPenstock[Penstock]) -> list[object]:
        return list(penstock.map(source()))

    with pytest.raises(LookupError, match="no more rows"):
        await script(empty, body)


async def test_sync_map_raises_a_failed_job_and_cancels_the_rest(
    penstock: Penstock, work_for, simulator: Simulator, empty
) -> None:
    body = '{"error": {"message": "temperature is wrong"}}'
    simulator.faults.add(Fault(kind="status", status=400, body=body, provider="fireworks"))
    await work_for("fireworks")
    without_worker = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o")

    def failing(penstock: SyncPenstock[Penstock]) -> None:
        list(penstock.map([without_worker, refund()], errors="raise"))

    with pytest.raises(JobFailed):
        await script(empty, failing)
    (waiting,) = await penstock.jobs("acme", capability="generate")
    assert waiting.state is JobState.CANCELLED


async def test_sync_map_stopped_early_awaits_nothing_any_more(
    penstock: Penstock, work_for, empty
) -> None:
    await work_for("fireworks")
    without_worker = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o")

    def body(penstock: SyncPenstock[Penstock]) -> str:
        for result in penstock.map([refund(), without_worker]):
            return str(result.output)
        return "nothing"

    assert await script(empty, body) == "refund"


async def test_sync_stream_is_a_plain_iterator(penstock: Penstock, work_for, empty) -> None:
    await work_for("openai")
    job = Generate(workspace="acme", prompt="hi", model="openai/gpt-4o-mini", stream=True)

    def body(penstock: SyncPenstock[Penstock]) -> tuple[str, str | None, list[str]]:
        handle = penstock.submit(job)
        pieces = list(handle.stream())
        rest = list(penstock.stream(handle.job_id, after=pieces[0].position))
        text = "".join(piece.text for piece in pieces)
        return text, handle.result(timeout_s=20).text, [piece.text for piece in (pieces[0], *rest)]

    text, whole, in_two = await script(empty, body)
    assert text == whole == "".join(in_two)


async def test_sync_cancels_and_requeues(penstock: Penstock, empty) -> None:
    def body(penstock: SyncPenstock[Penstock]) -> list[JobState]:
        first, second, third = penstock.submit_many(refund() for _ in range(3))
        states = [first.cancel(), penstock.cancel(second.job_id)]
        states += penstock.cancel_many([third.job_id]).values()
        (again,) = penstock.requeue([first.job_id])
        return [*states, penstock.explain(again.job_id).state]

    assert await script(empty, body) == [JobState.CANCELLED] * 3 + [JobState.QUEUED]


async def test_sync_runs_a_skill_and_tells_its_progress_in_the_callers_thread(
    penstock: Penstock, work_for, empty
) -> None:
    await work_for("anthropic")
    hello = LLMStep(name="write", type="generate", prompt="Greet {inputs.name}")
    skill = Skill(name="hello", steps=(hello,), output="{write.text}")
    in_threads: set[str] = set()

    def tell(_: RunResult) -> None:
        in_threads.add(threading.current_thread().name)

    def body(penstock: SyncPenstock[Penstock]) -> tuple[object, str]:
        ran = penstock.run(
            skill, workspace="acme", inputs={"name": "Ada"}, timeout_s=15, progress=tell
        )
        return ran.output, threading.current_thread().name

    output, thread = await script(empty, body)
    assert "Ada" in str(output)
    assert in_threads == {thread}


async def test_sync_reaches_everything_else_by_do(penstock: Penstock, empty) -> None:
    def body(penstock: SyncPenstock[Penstock]) -> str:
        return penstock.do(lambda p: p.workspaces.get("acme")).workspace

    assert await script(empty, body) == "acme"


async def test_sync_tells_progress_of_submits_in_the_callers_thread(
    penstock: Penstock, empty
) -> None:
    told: list[tuple[int, str]] = []

    def tell(progress: Progress) -> None:
        told.append((progress.submitted, threading.current_thread().name))

    def body(penstock: SyncPenstock[Penstock]) -> str:
        penstock.submit_many([refund()] * 3, on_progress=tell)
        return threading.current_thread().name

    assert told == [(3, await script(empty, body))]


async def test_sync_raises_what_the_connection_raises(penstock: Penstock, empty) -> None:
    def body(penstock: SyncPenstock[Penstock]) -> None:
        with pytest.raises(UnknownWorkspace):
            penstock.jobs("nowhere")
        with pytest.raises(ResultTimeout):
            penstock.call(refund(), timeout_s=0.05)

    await script(empty, body)


async def test_sync_works_where_a_loop_runs_already(penstock: Penstock, empty) -> None:
    with Penstock.connect(settings=empty).sync() as notebook:  # blocks this loop, as a cell does
        handle = notebook.submit(refund())
        assert isinstance(handle, SyncHandle)
        assert [row.job_id for row in notebook.jobs("acme")] == [handle.job_id]


# Opening and closing.


def test_sync_closed_twice_is_fine_and_leaves_no_thread(settings: Settings) -> None:
    before = len(threads())
    penstock = Penstock.connect(settings=settings).sync().open()
    assert len(threads()) == before + 1
    penstock.close()
    penstock.close()
    assert len(threads()) == before


def test_sync_that_cannot_connect_raises_and_leaves_no_thread(settings: Settings) -> None:
    before = len(threads())
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(Unavailable, match="PENSTOCK_REDIS_URL"):
        Penstock.connect(settings=away).sync().open()
    assert len(threads()) == before


def test_sync_that_is_not_open_says_how_to_use_it(settings: Settings) -> None:
    with pytest.raises(RuntimeError, match=r"with Penstock\.connect\(\)\.sync\(\)"):
        Penstock.connect(settings=settings).sync().submit(refund())


def test_sync_refuses_to_wait_for_itself(settings: Settings) -> None:
    with Penstock.connect(settings=settings).sync() as penstock:

        async def from_its_own_thread(_: Penstock) -> None:
            penstock.close()

        with pytest.raises(RuntimeError, match="wait for itself"):
            penstock.do(from_its_own_thread)


SCRIPT = """
from penstock_client import Classify, Penstock

with Penstock.connect().sync() as penstock:
    handle = penstock.submit(Classify(workspace="acme", text="hi", labels=("a", "b")))
    print(handle.job_id, flush=True)
    {wait}
"""


@pytest.mark.parametrize(
    "wait",
    [
        "handle.result()",
        "list(penstock.map([Classify(workspace='acme', text='hi', labels=('a', 'b'))]))",
        "list(handle.stream())",
    ],
)
async def test_sync_is_interrupted_by_ctrl_c(penstock: Penstock, empty, wait: str) -> None:
    variables = {
        "PENSTOCK_REDIS_URL": empty.require_redis(),
        "PENSTOCK_DATABASE_URL": empty.require_database(),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT.format(wait=wait)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    job_id = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    process.send_signal(signal.SIGINT)
    _, told = await asyncio.wait_for(process.communicate(), 10)
    assert told.decode().strip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT
    assert (await penstock.explain(job_id)).state is JobState.QUEUED


# The facade has what the connection has.


@pytest.mark.parametrize(
    "name", [name for name in vars(SyncPenstock) if hasattr(Penstock, name) and name[0] != "_"]
)
def test_sync_method_has_the_parameters_of_the_connection(name: str) -> None:
    ours = inspect.signature(getattr(SyncPenstock, name)).parameters
    theirs = inspect.signature(getattr(Penstock, name)).parameters
    assert list(ours) == [each for each in theirs if each != "connection"]
    assert {each: p.default for each, p in ours.items()} == {
        each: p.default for each, p in theirs.items() if each != "connection"
    }
