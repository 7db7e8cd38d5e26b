"""Whole backfills on real servers with simulated providers: run, stop, run again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock_client import Penstock
from penstock_client.backfill import Source
from penstock_schemas.backfills import BackfillState
from penstock_schemas.errors import InvalidJob, UnknownWorkspace
from penstock_worker.simulator.server import Simulator
from tests.backfills.doing import PLAN, answers_of, ended, started, write_rows


async def until(condition: Any, *, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_backfill_answers_every_row_once_in_input_order(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks", concurrency=100)
    status = await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 300)))
    answers = await answers_of(penstock, status)
    assert [answer["id"] for answer in answers] == list(range(300))
    assert {answer["output"] for answer in answers} == {"refund"}
    assert all(answer["simulated"] and answer["cost_usd"] > 0 for answer in answers)
    assert (status.status, status.succeeded) == (BackfillState.SUCCEEDED, 300)
    assert (status.calls, status.simulated_rows) == (300, 300)
    assert simulator.stats()["calls"] == 300


async def test_counts_are_those_of_the_ledger(penstock: Penstock, work_for, tmp_path: Path) -> None:
    await work_for("fireworks", concurrency=100)
    status = await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 120)))
    used = await penstock.ledger.pool.fetchrow(
        "select count(*) as calls, sum(cost_usd) as cost_usd, sum(input_tokens) as input_tokens "
        "from penstock.usage"
    )
    assert (status.calls, status.cost_usd) == (used["calls"], used["cost_usd"])
    assert status.input_tokens == used["input_tokens"]
    assert (status.under_way, status.held_usd) == (0, 0)


async def test_same_rows_and_plan_are_the_same_backfill(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    source = write_rows(tmp_path / "in.jsonl", 30)
    first = await ended(penstock, await started(penstock, source))
    again = await started(penstock, source)
    assert again.backfill_id == first.backfill_id
    assert simulator.stats()["calls"] == 30


async def test_new_rows_of_a_grown_file_are_all_that_is_asked(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 30)))
    grown = await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 40)))
    assert (grown.adopted, grown.succeeded) == (30, 10)
    assert simulator.stats()["calls"] == 40
    assert [answer["id"] for answer in await answers_of(penstock, grown)] == list(range(40))


async def test_load_that_was_interrupted_goes_on_where_it_stopped(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks", concurrency=100)
    source = write_rows(tmp_path / "in.jsonl", 4500)
    pages: list[int] = []

    def stop(rows: int) -> None:
        raise KeyError(rows)

    with pytest.raises(KeyError):
        await penstock.backfills.start(PLAN, source, on_loaded=stop)
    (loading,) = await penstock.backfills.list("acme")
    assert (loading.status, loading.rows) == (BackfillState.LOADING, 2000)
    status = await penstock.backfills.start(PLAN, source, on_loaded=pages.append)
    assert (status.backfill_id, pages) == (loading.backfill_id, [4000, 4500])


async def test_bad_rows_get_their_error_and_harm_no_other(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks")
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1, "text": "refund"}\nwhat\n{"id": 2}\n{"text": "x"}\n')
    status = await ended(penstock, await started(penstock, Source(path, "id")))
    assert await penstock.backfills.invalid_rows(status.backfill_id) == [
        f"{path}:2: not JSON: unexpected character, expected a JSON value",
        f"{path}:3: has no 'text'",
        f"{path}:4: has no 'id'",
    ]
    told = {
        a["id"]: a["error"] and a["error"]["message"] for a in await answers_of(penstock, status)
    }
    assert told == {1: None, 2: f"{path}:3: has no 'text'"}
    assert (status.rows, status.succeeded, status.invalid) == (4, 1, 3)
    assert status.status is BackfillState.FAILED


async def test_repeated_id_is_named_with_both_lines_and_nothing_is_asked(
    penstock: Penstock, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1, "text": "x"}\n{"id": 2, "text": "x"}\n{"id": "1", "text": "y"}\n')
    with pytest.raises(InvalidJob, match=r"jsonl:3: the ID '1' was on line 1 already"):
        await started(penstock, Source(path, "id"))
    assert await penstock.backfills.list("acme") == []
    assert await penstock.jobs("acme") == []


async def test_field_that_no_row_has_is_named(penstock: Penstock, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1, "body": "x"}\n{"id": 2, "body": "x"}\n')
    with pytest.raises(InvalidJob, match="has the field 'text'"):
        await started(penstock, Source(path, "id"))
    assert await penstock.backfills.list("acme") == []


async def test_unknown_workspace_is_refused_before_anything_is_loaded(
    penstock: Penstock, tmp_path: Path
) -> None:
    with pytest.raises(UnknownWorkspace):
        await started(penstock, write_rows(tmp_path / "in.jsonl", 1), replace(PLAN, workspace="no"))


async def test_window_bounds_the_rows_under_way(
    penstock: Penstock, steward: None, tmp_path: Path
) -> None:
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 100), window=20)

    async def full() -> bool:
        return (await penstock.backfills.get(status.backfill_id)).under_way == 20

    await until(full)
    assert len(await penstock.jobs("acme", limit=100)) == 20
    assert {job.lane for job in await penstock.jobs("acme")} == {1}


async def test_rows_of_the_same_content_share_one_call(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    source = write_rows(tmp_path / "in.jsonl", 20, text="refund please")
    status = await ended(penstock, await started(penstock, source))
    answers = await answers_of(penstock, status)
    assert (simulator.stats()["calls"], status.succeeded, status.duplicates) == (1, 20, 19)
    assert [answer["output"] for answer in answers] == ["refund"] * 20
    assert [answer["cost_usd"] > 0 for answer in answers] == [True] + [False] * 19


async def test_without_dedupe_every_row_is_asked(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    source = write_rows(tmp_path / "in.jsonl", 5, text="refund please")
    await ended(penstock, await started(penstock, source, dedupe=False))
    assert simulator.stats()["calls"] == 5


async def test_failed_rows_are_asked_again_and_counted_once(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 5))
    await work_for("openai")  # no worker of theirs yet

    async def queued() -> bool:
        return len(await penstock.jobs("acme")) == 5

    await until(queued)
    await penstock.ledger.pool.execute(
        "update penstock.jobs set deadline = now() - interval '1 second'"
    )
    await work_for("fireworks")
    status = await ended(penstock, status)
    assert (status.status, status.failed, status.errors) == (
        BackfillState.FAILED,
        5,
        {"expired": 5},
    )
    assert await penstock.backfills.retry_failed(status.backfill_id) == 5
    status = await ended(penstock, status)
    assert (status.status, status.succeeded, status.failed) == (BackfillState.SUCCEEDED, 5, 0)
    assert status.errors == {}


async def test_requeued_job_corrects_the_counts(penstock: Penstock, work_for, tmp_path) -> None:
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 3))
    await work_for("openai")

    async def queued() -> bool:
        return len(await penstock.jobs("acme")) == 3

    await until(queued)
    await penstock.ledger.pool.execute(
        "update penstock.jobs set deadline = now() - interval '1 second'"
    )
    status = await ended(penstock, status)
    assert status.failed == 3
    await work_for("fireworks")
    await penstock.requeue([job.job_id for job in await penstock.jobs("acme")])

    async def corrected() -> bool:
        return (await penstock.backfills.get(status.backfill_id)).succeeded == 3

    await until(corrected)
    status = await penstock.backfills.get(status.backfill_id)
    assert (status.status, status.failed, status.calls) == (BackfillState.SUCCEEDED, 0, 3)


async def test_paused_backfill_starts_nothing_until_it_is_resumed(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 60), window=10)
    await penstock.backfills.pause(status.backfill_id, reason="lunch")
    await work_for("fireworks")

    async def still() -> bool:
        return (await penstock.backfills.get(status.backfill_id)).under_way == 0

    await until(still)
    status = await penstock.backfills.get(status.backfill_id)
    assert (status.status, status.reason) == (BackfillState.PAUSED, "lunch")
    assert simulator.stats()["calls"] == status.succeeded <= 10
    await penstock.backfills.resume(status.backfill_id)
    assert (await ended(penstock, status)).succeeded == 60


async def test_cancelled_backfill_stops_its_jobs_and_its_answers_are_adopted(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks", concurrency=2)
    source = write_rows(tmp_path / "in.jsonl", 200)
    status = await started(penstock, source, window=20)

    async def some() -> bool:
        return (await penstock.backfills.get(status.backfill_id)).succeeded > 0

    await until(some)
    await penstock.backfills.cancel(status.backfill_id)

    async def still() -> bool:
        return (await penstock.backfills.get(status.backfill_id)).under_way == 0

    await until(still)
    cancelled = await penstock.backfills.get(status.backfill_id)
    assert cancelled.status is BackfillState.CANCELLED
    anew = await ended(penstock, await started(penstock, source))
    assert (anew.backfill_id != status.backfill_id, anew.adopted) == (True, cancelled.succeeded)
    assert anew.adopted + anew.succeeded == 200


async def test_dry_run_asks_its_rows_only_and_they_count_later(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 500), sample=20)
    status = await ended(penstock, status)
    assert (status.status, status.reason) == (
        BackfillState.PAUSED,
        "the dry run of 20 rows is done",
    )
    assert simulator.stats()["calls"] == status.succeeded == 20
    asked = [answer["id"] for answer in await answers_of(penstock, status)]
    assert asked == sorted(asked)
    assert asked[-1] - asked[0] > 450  # spread over all rows
    assert status.estimate is not None
    guess = status.estimate
    assert guess.rows == 500
    await penstock.backfills.resume(status.backfill_id)
    status = await ended(penstock, status)
    assert simulator.stats()["calls"] == status.succeeded == 500
    assert float(status.cost_usd) == pytest.approx(guess.cost_usd, rel=0.1)


async def test_cost_ceiling_is_never_exceeded_and_says_so(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks", concurrency=50)
    source = write_rows(tmp_path / "in.jsonl", 200)
    plan = replace(PLAN, max_tokens=10)
    status = await ended(penstock, await started(penstock, source, plan, max_cost_usd="0.02"))
    assert status.status is BackfillState.PAUSED
    assert "cost ceiling of $0.02" in (status.reason or "")
    assert 0 < status.cost_usd <= 0.02
    await penstock.backfills.resume(status.backfill_id, changes={"max_cost_usd": "5"})
    assert (await ended(penstock, status)).succeeded == 200


async def test_error_ceiling_pauses_with_the_kind_of_error(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", 400)
    status = await started(penstock, source, max_error_rate=0.2, window=40)

    async def queued() -> bool:
        return len(await penstock.jobs("acme", limit=100)) == 40

    await work_for("openai")
    await until(queued)
    await penstock.ledger.pool.execute(
        "update penstock.jobs set deadline = now() - interval '1 second'"
    )
    await work_for("fireworks")
    status = await ended(penstock, status)
    assert status.status is BackfillState.PAUSED
    assert "expired" in (status.reason or "")


async def test_several_rows_in_a_call_get_an_answer_each(
    penstock: Penstock, work_for, simulator: Simulator, tmp_path: Path
) -> None:
    await work_for("fireworks")
    plan = replace(PLAN, rows_per_call=5)
    status = await ended(
        penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 23), plan)
    )
    answers = await answers_of(penstock, status)
    assert [answer["id"] for answer in answers] == list(range(23))
    assert {answer["output"] for answer in answers} == {"refund"}
    assert sum(answer["tokens"]["input"] for answer in answers) == status.input_tokens
    assert simulator.stats()["calls"] < 23
