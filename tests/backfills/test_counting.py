"""Ends of jobs, however often and in whatever order they come, and what is counted of them."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.backfill.figures import Fit, Recent
from penstock_schemas.backfills import BackfillState, RowState
from penstock_schemas.status import JobState
from penstock_worker.backfills.counting import count
from penstock_worker.backfills.standing import Standing


def standing(**changes: Any) -> Standing:
    fields: dict[str, Any] = {
        "backfill": uuid4(), "workspace": "acme", "state": BackfillState.RUNNING, "reason": None,
        "plan_key": "", "plan": "{}", "window": 10, "rows_per_call": 1, "sampling": False,
        "sample": None, "max_cost_usd": None, "max_error_rate": None, "trace": None, "fed": -1,
        "fed_all": True, "under_way": 0, "succeeded": 0, "failed": 0, "invalid": 0, "calls": 0,
        "input_tokens": 0, "output_tokens": 0, "cost_usd": Decimal(0), "cost_unknown": 0,
        "simulated": 0, "call_ms": 0, "held_usd": Decimal(0), "errors": Counter(),
        "recent": Recent(), "fit": Fit(),
    }  # fmt: skip
    return Standing(**fields | changes)


def end(job: UUID, state: JobState, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "job_id": job, "held_usd": Decimal(1), "open": True, "size": 1, "place": 1, "number": 0,
        "row_state": RowState.WAITING, "copies": 1, "row_error": None, "row_cost_usd": Decimal(0),
        "row_input_tokens": 0, "row_output_tokens": 0, "row_attempts": 0, "bytes": 10,
        "state": state, "last_error": None if state is JobState.SUCCEEDED else "refusal",
        "calls": 1, "input_tokens": 7, "output_tokens": 3, "cost_usd": Decimal("0.5"),
        "simulated": True, "call_ms": 20, "body": None,
    }  # fmt: skip
    return fields | changes


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_job_that_ends_again_counts_once(failures: list[bool]) -> None:
    """One that fails, is requeued and fails again, until it may succeed."""
    job, counts = uuid4(), standing(under_way=1, held_usd=Decimal(1))
    row: dict[str, Any] = {}
    for calls, failed in enumerate(failures, 1):
        state = JobState.FAILED if failed else JobState.SUCCEEDED
        came_to = {"calls": calls, "input_tokens": 7 * calls, "cost_usd": Decimal("0.5") * calls}
        noted = count(counts, [end(job, state, **came_to, **row)], now_s=0)
        assert (counts.failed, counts.succeeded) == ((1, 0) if failed else (0, 1))
        assert (counts.calls, counts.cost_usd) == (calls, Decimal("0.5") * calls)
        assert (counts.under_way, counts.held_usd) == (0, 0)
        assert sum(counts.errors.values()) == counts.failed
        if not failed:
            assert noted.closed == [job]
            return
        assert noted.kept == [job]
        (_, _, _, _, error, attempts, given_tokens, taken_tokens, cost) = noted.rows[0]
        row = {
            "open": False, "held_usd": Decimal(0), "row_state": RowState.FAILED,
            "row_error": error, "row_attempts": attempts, "row_input_tokens": given_tokens,
            "row_output_tokens": taken_tokens, "row_cost_usd": cost,
        }  # fmt: skip


def test_copies_have_the_answer_of_their_row() -> None:
    counts = standing(under_way=1)
    count(counts, [end(uuid4(), JobState.SUCCEEDED, copies=5)], now_s=0)
    assert (counts.succeeded, counts.calls, counts.simulated) == (5, 1, 5)


def test_row_without_its_part_of_an_answer_is_asked_alone() -> None:
    counts, job = standing(under_way=3), uuid4()
    body = orjson.dumps({"output": {"1": "a", "3": "c"}})
    rows = [
        end(job, JobState.SUCCEEDED, size=3, place=place, number=place, body=body)
        for place in (1, 2, 3)
    ]
    noted = count(counts, rows, now_s=0)
    assert noted.alone == [2]
    assert [(row[0], row[3]) for row in noted.rows] == [(1, b'"a"'), (3, b'"c"')]
    assert (counts.succeeded, counts.calls, counts.cost_usd) == (2, 1, Decimal("0.5"))
    assert (counts.under_way, counts.fed_all) == (0, False)
    assert sum(row[6] for row in noted.rows) < 7  # the third row has its share


def test_cancelled_jobs_of_a_cancelled_backfill_are_no_failures() -> None:
    counts = standing(state=BackfillState.CANCELLED, under_way=1)
    noted = count(counts, [end(uuid4(), JobState.CANCELLED)], now_s=0)
    assert (noted.rows, counts.failed, counts.under_way) == ([], 0, 0)


def test_backfill_ends_once_nothing_is_left_and_says_what_has_no_answer() -> None:
    counts = standing(under_way=1, invalid=2)
    counts.check_end()
    assert counts.state is BackfillState.RUNNING
    counts.under_way = 0
    counts.check_end()
    assert (counts.state, counts.reason) == (BackfillState.FAILED, "2 rows have no answer")


def test_dry_run_is_paused_at_its_end() -> None:
    counts = standing(sampling=True, sample=20)
    counts.check_end()
    assert (counts.state, counts.reason) == (BackfillState.PAUSED, "the dry run of 20 rows is done")
