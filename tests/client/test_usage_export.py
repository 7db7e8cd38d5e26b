"""Usage as CSV and JSON lines: RFC 4180, UTC, exact money, and no cell that runs as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest

from penstock_client.usage_export import (
    call_columns,
    csv_cell,
    exported,
    plain_data,
    summary_columns,
)
from penstock_client.usage_rows import CallRow, UsageRow, added_up

FIGURES: dict[str, Any] = {
    "calls": 2,
    "succeeded": 2,
    "failed": 0,
    "abandoned": 0,
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_read_tokens": 4,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "cost_usd": Decimal("0.0000001"),
    "unpriced": 0,
    "simulated": 0,
    "duration_ms": 3001,
}
CALL = CallRow(
    job_id="j",
    number=1,
    started_at=datetime(2026, 3, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    finished_at=None,
    status="success",
    provider="openai",
    model="gpt-test",
    configuration="default",
    credential="platform",
    capability="generate",
    skill='=HYPERLINK("x")',
    step="a,b",
    agent='say "hi"',
    task_type="two\nlines",
    task_description="-1",
    session=None,
    input_tokens=1,
    output_tokens=1,
    cache_read_tokens=0,
    cache_write_tokens=0,
    reasoning_tokens=0,
    estimated=False,
    cost_usd=None,
    simulated=True,
    duration_ms=7,
    http_status=200,
    finish_reason="stop",
    error=None,
    error_code=None,
    error_message=None,
)


def _row(**changes: Any) -> UsageRow:
    group = changes.pop("group", {"day": date(2026, 3, 1), "skill": "@cmd"})
    return UsageRow(group=group, **{**FIGURES, **changes})


async def _rows(*rows: Any) -> AsyncIterator[Any]:
    for row in rows:
        yield row


async def _text(rows: Any, columns: Any, form: Any) -> str:
    return b"".join([line async for line in exported(rows, columns=columns, form=form)]).decode()


async def test_csv_of_calls_reads_back_as_it_was() -> None:
    text = await _text(_rows(CALL), call_columns(), "csv")
    assert text.count("\r\n") == 2
    (read,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (read["step"], read["agent"]) == ("a,b", 'say "hi"')
    assert read["task_type"] == "two\nlines"
    assert (read["skill"], read["task_description"]) == ('\'=HYPERLINK("x")', "'-1")
    assert (read["started_at"], read["finished_at"]) == ("2026-03-01T00:00:00Z", "")
    assert (read["cost_usd"], read["simulated"], read["duration_ms"]) == ("", "true", "7")


async def test_csv_of_sums_has_their_columns_first() -> None:
    text = await _text(_rows(_row()), summary_columns(("skill", "day")), "csv")
    header, line = text.split("\r\n")[:2]
    assert header.startswith("day,skill,calls,")
    assert line.startswith("2026-03-01,'@cmd,2,")
    assert "0.0000001" in line


async def test_csv_without_rows_has_its_header() -> None:
    text = await _text(_rows(), summary_columns(("model",)), "csv")
    assert text.startswith("model,calls,")
    assert text.count("\n") == 1


async def test_json_lines_keep_values_as_they_are() -> None:
    text = await _text(_rows(_row(), _row(cost_usd=None)), summary_columns(("day",)), "jsonl")
    first, second = (orjson.loads(line) for line in text.splitlines())
    assert (first["skill"], first["cost_usd"], first["day"]) == ("@cmd", "0.0000001", "2026-03-01")
    assert (first["total_tokens"], first["mean_duration_ms"]) == (15, 1500.5)
    assert second["cost_usd"] is None


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\uff1d1"]
)
def test_cells_that_would_run_begin_with_an_apostrophe(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["plain", "", "1-1", "a=b", "über", "'quoted"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (Decimal("1E-7"), "0.0000001"),
        (datetime(2026, 1, 1, 1, tzinfo=UTC), "2026-01-01T01:00:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_values_become_cells(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


def test_data_for_json_is_plain_all_the_way_down() -> None:
    found = plain_data({"a": [{"b": Decimal("0.10")}], "c": datetime(2026, 1, 1, tzinfo=UTC)})
    assert found == {"a": [{"b": "0.10"}], "c": "2026-01-01T00:00:00Z"}


def test_totals_know_of_a_cost_as_long_as_one_is_known() -> None:
    total = added_up([_row(cost_usd=None, unpriced=2), _row(cost_usd=Decimal(1))])
    assert (total.cost_usd, total.unpriced, total.calls) == (Decimal(1), 2, 4)
    assert added_up([_row(cost_usd=None, unpriced=2)]).cost_usd is None
    assert added_up([]).cost_usd == 0
