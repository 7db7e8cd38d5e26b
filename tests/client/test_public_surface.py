"""What producers do, end to end on real servers and simulated providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import BaseModel

from penstock_client import (
    Classify,
    ErrorKind,
    Extract,
    Generate,
    InvalidJob,
    JobFailed,
    JobState,
    Penstock,
    ResultTimeout,
    Settings,
    Unavailable,
    UnknownJob,
    UnknownModel,
    UnknownWorkspace,
)
from penstock_schemas.errors import UnknownProvider
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

ORDER_TEXT = "Order number: A-1042\nTotal: 12.50"


class Order(BaseModel):
    """A typed schema."""

    order_number: str
    total: float


def refund(**fields: Any) -> Classify:
    return Classify.model_validate(
        {"workspace": "acme", "text": "I want a refund", "labels": ["refund", "praise"], **fields}
    )


def refused_by_the_provider(simulator: Simulator) -> None:
    """Every call is answered with an error that no retry can change."""
    body = '{"error": {"message": "temperature is wrong", "code": "invalid_value"}}'
    simulator.faults.add(Fault(kind="status", status=400, body=body))


# Submitting.


async def test_submit_gives_a_handle_that_awaits_the_result(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    handle = await penstock.submit(refund())
    result = await handle.result(timeout_s=10)
    assert (handle.workspace, handle.provider) == ("acme", "fireworks")
    assert (result.job_id, result.output, result.attempts) == (handle.job_id, "refund", 1)
    assert result.provider == "fireworks" and result.usage.total_tokens > 0


async def test_submit_of_many_gives_handles_in_their_order(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    texts = ["I want a refund", "praise for all", "I want a refund"]
    handles = await penstock.submit_many([refund(text=text) for text in texts])
    results = await asyncio.gather(*(handle.result(timeout_s=10) for handle in handles))
    assert [result.output for result in results] == ["refund", "praise", "refund"]


async def test_submit_of_none_gives_none(penstock: Penstock) -> None:
    assert await penstock.submit_many([]) == []


async def test_submit_twice_with_a_key_is_one_job(penstock: Penstock) -> None:
    first = await penstock.submit(refund(idempotency_key="k-1"))
    again = await penstock.submit(refund(idempotency_key="k-1", text="another text"))
    other = await penstock.submit(refund(idempotency_key="k-2"))
    assert again.job_id == first.job_id != other.job_id
    assert len(await penstock.jobs("acme")) == 2


async def test_submit_keys_belong_to_their_workspace(penstock: Penstock) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    first = await penstock.submit(refund(idempotency_key="k-1"))
    second = await penstock.submit(refund(idempotency_key="k-1", workspace="other"))
    assert first.job_id != second.job_id


@pytest.mark.parametrize("commit", [True, False])
async def test_submit_in_a_transaction_stands_or_falls_with_it(
    penstock: Penstock, commit: bool
) -> None:
    connection = await asyncpg.connect(penstock.settings.require_database())
    transaction = connection.transaction()
    await transaction.start()
    await penstock.submit(refund(), connection=connection)
    await (transaction.commit() if commit else transaction.rollback())
    await connection.close()
    assert len(await penstock.jobs("acme")) == commit


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"workspace": "nowhere"}, UnknownWorkspace),
        ({"model": "no-such-family"}, UnknownModel),
        ({"model": "nowhere/model"}, UnknownProvider),
    ],
)
async def test_submit_of_many_with_one_that_has_no_place_records_none(
    penstock: Penstock, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await penstock.submit_many([refund(), refund(**fields)])
    assert await penstock.jobs("acme") == []


# Awaiting.


async def test_result_that_takes_too_long_says_so_and_the_job_goes_on(
    penstock: Penstock, work_for
) -> None:
    handle = await penstock.submit(refund())
    with pytest.raises(ResultTimeout, match=r"0\.05 s; it goes on: `penstock explain ") as caught:
        await handle.result(timeout_s=0.05)
    assert (caught.value.job_id, caught.value.timeout_s) == (handle.job_id, 0.05)
    await work_for("fireworks")
    assert (await handle.result(timeout_s=10)).ok


async def test_result_of_a_job_that_does_not_exist_is_refused(penstock: Penstock) -> None:
    job_id = str(uuid4())
    with pytest.raises(UnknownJob, match=job_id):
        await penstock.result(job_id, timeout_s=20)


async def test_result_of_an_id_that_is_none_is_refused(penstock: Penstock) -> None:
    with pytest.raises(InvalidJob, match="is not a job ID"):
        await penstock.result("job-1", timeout_s=20)


async def test_result_can_be_awaited_by_many_at_once(penstock: Penstock, work_for) -> None:
    handle = await penstock.submit(refund())
    waiting = [asyncio.ensure_future(handle.result(timeout_s=10)) for _ in range(5)]
    waiting.append(asyncio.ensure_future(penstock.result(handle.job_id, timeout_s=10)))
    await work_for("fireworks")
    assert {result.output for result in await asyncio.gather(*waiting)} == {"refund"}


async def test_result_of_a_failed_job_is_given_not_raised(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    refused_by_the_provider(simulator)
    await work_for("fireworks")
    result = await (await penstock.submit(refund())).result(timeout_s=10)
    assert (result.status, result.output) == (JobState.FAILED, None)
    assert result.error is not None
    assert (result.error.kind, result.error.status) == (ErrorKind.INVALID_REQUEST, 400)


async def test_extract_gives_an_instance_here_and_a_dict_elsewhere(
    penstock: Penstock, work_for, empty: Settings
) -> None:
    await work_for("fireworks")
    job = Extract(workspace="acme", text=ORDER_TEXT, schema=Order)  # type: ignore[call-arg]
    handle = await penstock.submit(job)
    here = await handle.result(timeout_s=10)
    async with Penstock.connect(settings=empty) as other:
        elsewhere = await other.result(handle.job_id, timeout_s=10)
    assert here.output == Order(order_number="A-1042", total=12.5)
    assert elsewhere.output == {"order_number": "A-1042", "total": 12.5}
    assert elsewhere.output_as(Order) == here.output


async def test_extract_by_json_schema_gives_a_dict(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    job = Extract(workspace="acme", text=ORDER_TEXT, schema=Order.model_json_schema())  # type: ignore[call-arg]
    result = await penstock.call(job, timeout_s=10)
    assert result.output == {"order_number": "A-1042", "total": 12.5}


async def test_classify_with_multi_gives_a_list(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    result = await penstock.call(refund(multi=True), timeout_s=10)
    assert result.output == ["refund"]


# Calling.


async def test_call_gives_the_answer(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    assert (await penstock.call(refund(), timeout_s=10)).output == "refund"


async def test_call_without_an_answer_raises_with_the_result(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    refused_by_the_provider(simulator)
    await work_for("fireworks")
    with pytest.raises(JobFailed, match="failed: temperature is wrong") as caught:
        await penstock.call(refund(), timeout_s=10)
    assert caught.value.result.status is JobState.FAILED


async def test_call_that_takes_too_long_raises(penstock: Penstock) -> None:
    with pytest.raises(ResultTimeout):
        await penstock.call(refund(), timeout_s=0.05)


# Mapping.


async def test_map_gives_every_result_once(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    jobs = (refund(step=str(n)) for n in range(50))
    job_ids = [result.job_id async for result in penstock.map(jobs, window=8)]
    assert len(set(job_ids)) == len(job_ids) == 50


async def test_map_takes_an_asynchronous_source(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")

    async def source() -> AsyncIterator[Classify]:
        for _ in range(10):
            yield refund()

    outputs = [result.output async for result in penstock.map(source(), window=4)]
    assert outputs == ["refund"] * 10


@pytest.mark.parametrize("window", [1, 8])
async def test_map_takes_no_more_than_its_window_ahead(penstock: Penstock, window: int) -> None:
    taken = 0

    def source() -> Iterator[Classify]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield refund()

    results = penstock.map(source(), window=window)
    first = asyncio.ensure_future(anext(results))
    await asyncio.wait([first], timeout=0.15)
    assert not first.done()
    assert 0 < taken <= window
    first.cancel()
    await asyncio.wait([first])


async def test_map_of_nothing_gives_nothing(penstock: Penstock) -> None:
    assert [result async for result in penstock.map([])] == []


async def test_map_gives_failed_jobs_among_the_others(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    body = '{"error": {"message": "temperature is wrong"}}'
    simulator.faults.add(Fault(kind="status", status=400, body=body, count=3))
    await work_for("fireworks")
    results = [r async for r in penstock.map([refund() for _ in range(10)], window=4)]
    assert sum(not result.ok for result in results) == 3
    assert len(results) == 10


async def test_map_stopped_early_awaits_nothing_any_more(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    without_worker = [refund(model="openai/gpt-4o") for _ in range(10)]
    results = penstock.map([refund(), *without_worker], window=4)
    assert (await anext(results)).ok
    awaiting = {
        task
        for task in asyncio.all_tasks()
        if getattr(task.get_coro(), "__qualname__", "") == "Mapping._report"
    }
    await results.aclose()  # type: ignore[attr-defined]
    _, pending = await asyncio.wait(awaiting, timeout=2)
    assert awaiting and not pending


async def test_map_passes_on_what_its_source_raises(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace):
        await anext(penstock.map([refund(workspace="nowhere")]))


# Listing.


async def test_jobs_are_listed_newest_first_and_by_page(penstock: Penstock) -> None:
    handles = [await penstock.submit(refund(step=str(n))) for n in range(3)]
    newest = [handle.job_id for handle in reversed(handles)]
    page = await penstock.jobs("acme", limit=2)
    rest = await penstock.jobs("acme", limit=2, before=page[-1].job_id)
    assert [job.job_id for job in page + rest] == newest


async def test_jobs_are_listed_by_state_and_capability(penstock: Penstock) -> None:
    await penstock.submit(refund())
    await penstock.submit(Generate(workspace="acme", prompt="hi"))
    (job,) = await penstock.jobs("acme", state=JobState.QUEUED, capability="classify")
    assert (job.type, job.state, job.provider) == ("classify", JobState.QUEUED, "fireworks")
    assert await penstock.jobs("acme", state=JobState.FAILED) == []


async def test_jobs_of_an_unknown_workspace_are_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace):
        await penstock.jobs("nowhere")


# Connecting.


async def test_connect_without_redis_names_its_variable(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(Unavailable, match="PENSTOCK_REDIS_URL"):
        async with Penstock.connect(settings=away):
            pass


async def test_connect_without_postgres_names_its_variable(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/penstock"})
    with pytest.raises(Unavailable, match="PENSTOCK_DATABASE_URL"):
        async with Penstock.connect(settings=away):
            pass


async def test_ledger_outside_the_connection_says_how_to_use_it(settings: Settings) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = Penstock.connect(settings=settings).ledger


# After the end.


async def test_a_closed_connection_says_that_it_is_closed(empty: Settings) -> None:
    async with Penstock.connect(settings=empty) as penstock:
        await penstock.workspaces.create("acme", monthly_tokens=None)
    with pytest.raises(RuntimeError, match="this connection is closed"):
        await penstock.jobs("acme")


def test_a_deadline_is_no_number() -> None:
    with pytest.raises(ValueError, match="is a time with its zone, not a number"):
        refund(deadline=5)
