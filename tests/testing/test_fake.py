"""`FakePenstock`: what producers see of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from inspect import signature

import pytest

from penstock_client import (
    Classify,
    Embed,
    ErrorKind,
    Generate,
    JobFailed,
    JobState,
    LLMStep,
    Penstock,
    ResultTimeout,
    Skill,
)
from penstock_client.producer import Producer
from penstock_client.progress import Progress
from penstock_client.testing import FakePenstock, workspace_config
from penstock_schemas.errors import InvalidJob, UnknownJob, UnknownModel, UnknownWorkspace

ASK = Generate(workspace="acme", prompt="Who are you?")
NO_JOB = "01a1fe1c-d077-7204-a587-72c10f9aae27"


def _methods(kind: type) -> set[str]:
    found = {name for name in dir(kind) if callable(getattr(kind, name, None))}
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(_methods(FakePenstock) & _methods(Penstock)))
def test_methods_take_the_parameters_of_penstock(name: str) -> None:
    fake = signature(getattr(FakePenstock, name)).parameters.values()
    real = signature(getattr(Penstock, name)).parameters.values()

    assert [(each.name, each.kind, each.default) for each in fake] == [
        (each.name, each.kind, each.default) for each in real
    ]


def test_methods_are_all_those_of_a_producer() -> None:
    assert _methods(Producer) <= _methods(FakePenstock) & _methods(Penstock)


@pytest.mark.parametrize("services", ["runs", "skills"])
def test_services_take_the_parameters_of_penstocks(services: str) -> None:
    fake = getattr(FakePenstock(), services)
    real = type(fake).__mro__[1]

    for name in _methods(real):
        mine, theirs = signature(getattr(type(fake), name)), signature(getattr(real, name))
        assert list(mine.parameters.values()) == list(theirs.parameters.values()), name


def test_package_does_not_import_pytest() -> None:
    script = "import sys, penstock_client.testing; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_fixture_gives_simulated_answers(fake_penstock: FakePenstock) -> None:
    assert (await fake_penstock.call(ASK)).simulated


async def test_submit_before_entering_is_refused() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await FakePenstock().submit(ASK)


async def test_run_before_entering_is_refused() -> None:
    skill = Skill(name="ask", steps=(LLMStep(name="ask", type="generate", prompt="Who?"),))

    with pytest.raises(RuntimeError, match="async with"):
        await FakePenstock().run(skill, workspace="acme")


async def test_submit_refuses_a_model_that_does_not_exist(fake_penstock: FakePenstock) -> None:
    with pytest.raises(UnknownModel):
        await fake_penstock.submit(ASK.model_copy(update={"model": "nothing"}))


async def test_submit_refuses_a_model_that_cannot_do_the_job(fake_penstock: FakePenstock) -> None:
    job = Embed(workspace="acme", input="x", model="openai/gpt-4o-mini")

    with pytest.raises(InvalidJob, match="model"):
        await fake_penstock.submit(job)


async def test_submit_many_refuses_all_or_none(fake_penstock: FakePenstock) -> None:
    with pytest.raises(UnknownModel):
        await fake_penstock.submit_many([ASK, ASK.model_copy(update={"model": "nothing"})])

    assert fake_penstock.submitted == []


async def test_submit_many_keeps_order_and_tells_progress(fake_penstock: FakePenstock) -> None:
    seen: list[Progress] = []
    jobs = [Generate(workspace="acme", prompt=str(number)) for number in range(3)]

    handles = await fake_penstock.submit_many(jobs, on_progress=seen.append)

    results = [await handle.result() for handle in handles]
    assert [result.text for result in results] == [f"simulated answer to: {n}" for n in range(3)]
    assert fake_penstock.submitted == jobs
    assert [progress.submitted for progress in seen] == [3]


async def test_workspaces_that_were_not_named_do_not_exist() -> None:
    async with FakePenstock(workspaces=[workspace_config("acme")]) as penstock:
        assert (await penstock.call(ASK)).ok
        with pytest.raises(UnknownWorkspace):
            await penstock.submit(ASK.model_copy(update={"workspace": "other"}))


async def test_workspace_routing_decides_the_model() -> None:
    acme = workspace_config("acme", routing={"generate": ("openai/gpt-4o-mini",)})

    async with FakePenstock(workspaces=[acme]) as penstock:
        assert (await penstock.call(ASK)).model == "gpt-4o-mini"


async def test_idempotency_key_gives_the_first_job(fake_penstock: FakePenstock) -> None:
    job = ASK.model_copy(update={"idempotency_key": "once"})

    first, second = await fake_penstock.submit_many([job, job])
    elsewhere = await fake_penstock.submit(job.model_copy(update={"workspace": "other"}))

    assert (second.job_id, second.provider) == (first.job_id, None)
    assert elsewhere.job_id != first.job_id
    assert len(fake_penstock.submitted) == 2


async def test_call_raises_for_a_job_that_failed() -> None:
    async with FakePenstock(fails=ErrorKind.REFUSAL) as penstock:
        with pytest.raises(JobFailed) as caught:
            await penstock.call(ASK)

    assert caught.value.result.error is not None
    assert caught.value.result.error.kind is ErrorKind.REFUSAL


async def test_result_by_id_needs_no_handle(fake_penstock: FakePenstock) -> None:
    handle = await fake_penstock.submit(ASK)

    assert await fake_penstock.result(handle.job_id) == await handle.result()


async def test_result_of_no_job_is_refused(fake_penstock: FakePenstock) -> None:
    with pytest.raises(UnknownJob):
        await fake_penstock.result(NO_JOB)


async def test_held_job_times_out_and_goes_on_when_released(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()
    handle = await fake_penstock.submit(ASK)
    with pytest.raises(ResultTimeout):
        await handle.result(timeout_s=0.01)

    fake_penstock.release()

    assert (await handle.result(timeout_s=20)).ok


async def test_held_job_can_be_cancelled(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()
    handle = await fake_penstock.submit(ASK)

    assert await handle.cancel() is JobState.CANCELLED

    result = await handle.result()
    fake_penstock.release()
    assert result.status is JobState.CANCELLED
    assert result.error is not None
    assert result.error.kind is ErrorKind.CANCELLED
    assert await fake_penstock.result(handle.job_id) == result


async def test_job_under_way_can_be_cancelled() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def never(_: object) -> str:
        asked.set()
        try:
            await asyncio.Future()
        finally:
            stopped.set()
        return ""

    async with FakePenstock(answers=never) as penstock:
        handle = await penstock.submit(ASK)
        await asked.wait()

        assert await penstock.cancel(handle.job_id) is JobState.CANCELLED

        await asyncio.wait_for(stopped.wait(), timeout=5)


async def test_cancel_leaves_what_has_ended(fake_penstock: FakePenstock) -> None:
    handle = await fake_penstock.submit(ASK)
    await handle.result()

    assert await handle.cancel() is JobState.SUCCEEDED


async def test_cancel_many_of_no_job_cancels_none(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()
    handle = await fake_penstock.submit(ASK)

    with pytest.raises(UnknownJob):
        await fake_penstock.cancel_many([handle.job_id, NO_JOB])

    (row,) = await fake_penstock.jobs("acme")
    assert row.state is JobState.QUEUED


async def test_held_job_expires_at_its_deadline(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()
    soon = datetime.now(UTC) + timedelta(seconds=0.02)

    handle = await fake_penstock.submit(ASK.model_copy(update={"deadline": soon}))

    assert (await handle.result(timeout_s=20)).status is JobState.EXPIRED


async def test_job_whose_deadline_has_passed_is_not_answered(fake_penstock: FakePenstock) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)

    handle = await fake_penstock.submit(ASK.model_copy(update={"deadline": past}))

    result = await handle.result()
    assert (result.status, result.attempts) == (JobState.EXPIRED, 0)


async def test_held_job_fails_after_its_longest_wait(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()

    handle = await fake_penstock.submit(ASK.model_copy(update={"max_queue_wait_s": 0.01}))

    error = (await handle.result(timeout_s=20)).error
    assert error is not None
    assert error.kind is ErrorKind.QUEUE_TIMEOUT


async def test_requeue_answers_the_same_job_again(fake_penstock: FakePenstock) -> None:
    fake_penstock.fails = ErrorKind.OVERLOADED
    handle = await fake_penstock.submit(ASK)
    assert not (await handle.result()).ok
    fake_penstock.fails = None

    (again,) = await fake_penstock.requeue([handle.job_id])

    result = await again.result()
    assert (result.job_id, result.ok, result.attempts) == (handle.job_id, True, 2)


async def test_requeue_of_a_job_that_succeeded_is_refused(fake_penstock: FakePenstock) -> None:
    done = await fake_penstock.call(ASK)

    with pytest.raises(InvalidJob, match="succeeded"):
        await fake_penstock.requeue([done.job_id])
    assert await fake_penstock.requeue([done.job_id, NO_JOB], skip_others=True) == []


async def test_stream_gives_the_answer_in_pieces() -> None:
    job = ASK.model_copy(update={"stream": True})
    async with FakePenstock(answers={"generate": " one  two\nthree"}) as penstock:
        handle = await penstock.submit(job)

        pieces = [piece async for piece in handle.stream()]
        rest = [piece async for piece in handle.stream(after=pieces[1].position)]

    assert "".join(piece.text for piece in pieces) == " one  two\nthree"
    assert rest == pieces[2:] != []


async def test_stream_of_a_job_that_does_not_stream_is_empty(fake_penstock: FakePenstock) -> None:
    handle = await fake_penstock.submit(ASK)

    assert [piece async for piece in handle.stream()] == []


async def test_map_gives_results_in_order(fake_penstock: FakePenstock) -> None:
    jobs = (Generate(workspace="acme", prompt=str(number)) for number in range(20))

    results = [each async for each in fake_penstock.map(jobs, window=3, ordered=True)]

    assert [result.text for result in results] == [f"simulated answer to: {n}" for n in range(20)]


async def test_jobs_lists_the_newest_first(fake_penstock: FakePenstock) -> None:
    sort = Classify(workspace="acme", text="x", labels=("a", "b"))
    handles = await fake_penstock.submit_many([ASK, sort, ASK])
    for handle in handles:
        await handle.result()
    ids = [handle.job_id for handle in handles]

    assert [row.job_id for row in await fake_penstock.jobs("acme")] == ids[::-1]
    assert [row.job_id for row in await fake_penstock.jobs("acme", before=ids[2], limit=1)] == [
        ids[1]
    ]
    (row,) = await fake_penstock.jobs("acme", capability="classify")
    assert (row.job_id, row.state) == (ids[1], JobState.SUCCEEDED)
    assert await fake_penstock.jobs("other") == []


async def test_explain_tells_where_a_job_stands(fake_penstock: FakePenstock) -> None:
    fake_penstock.hold()
    handle = await fake_penstock.submit(ASK)

    explained = await fake_penstock.explain(handle.job_id)

    assert (explained.state, explained.provider) == (JobState.QUEUED, handle.provider)


def test_sync_answers_without_an_event_loop() -> None:
    fake = FakePenstock(answers={"generate": "hi"})

    with fake.sync() as penstock:
        assert penstock.call(ASK, timeout_s=20).text == "hi"
        assert [result.text for result in penstock.map([ASK, ASK])] == ["hi", "hi"]

    assert fake.submitted == [ASK, ASK, ASK]


def test_sync_can_be_held_and_released_from_its_callers_thread() -> None:
    fake = FakePenstock()
    fake.hold()

    with fake.sync() as penstock:
        handle = penstock.submit(ASK)
        with pytest.raises(ResultTimeout):
            handle.result(timeout_s=0.01)
        fake.release()
        assert handle.result(timeout_s=20).ok


async def test_services_that_it_lacks_say_so(fake_penstock: FakePenstock) -> None:
    with pytest.raises(RuntimeError, match="penstock up"):
        _ = fake_penstock.backfills
