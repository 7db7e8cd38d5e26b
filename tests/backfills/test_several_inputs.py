"""Parquet and SQL as input; CSV, Parquet and tables as output; and what is refused of them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock_client import Penstock, Settings
from penstock_client.backfill import ParquetSource, SqlSource
from penstock_client.backfill.parquet import pyarrow
from penstock_client.backfill.writing import write_file, write_table
from penstock_schemas.errors import InvalidJob, Unavailable
from tests.backfills.doing import PLAN, ended, started, write_rows

NEEDED = PLAN.needed_fields


def write_parquet(path: Path, **columns: list[Any]) -> ParquetSource:
    pyarrow("pyarrow.parquet").write_table(pyarrow().table(columns), path)
    return ParquetSource(path, "id", ("id", "text"))


async def test_parquet_rows_are_asked_and_answers_written_as_parquet(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks")
    texts = ["I want a refund", "so much praise", "", "refund"]
    source = write_parquet(
        tmp_path / "in.parquet", id=[1, 2, 3, 4], text=texts, other=[None, 1, 2, 3]
    )
    status = await ended(penstock, await started(penstock, source))
    out = tmp_path / "out.parquet"
    rows = penstock.backfills.export(status.backfill_id)
    written = await write_file(rows, out, as_text=False)
    found = pyarrow("pyarrow.parquet").read_table(out).to_pylist()
    assert (written.rows, written.failed) == (4, 1)
    assert [row["output"] for row in found] == ["refund", "praise", None, "refund"]
    assert found[2]["error_message"] == f"{source.path}:3: 'text' is empty"
    assert list(tmp_path.glob(".out*")) == []


async def test_parquet_without_the_text_column_is_refused(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", id=[1], body=["x"])
    with pytest.raises(InvalidJob, match=r"'text' is not a column of .*\(columns: id, body\)"):
        await source.check(NEEDED)


async def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("not at all")
    with pytest.raises(InvalidJob, match=r"in\.parquet is no Parquet file"):
        await ParquetSource(tmp_path / "in.parquet", "id").check(NEEDED)


async def test_pyarrow_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(InvalidJob, match=r"penstock-client\[parquet\]"):
        await ParquetSource(tmp_path / "in.parquet", "id").check(NEEDED)


async def test_csv_has_a_column_for_each_figure(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks")
    status = await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 3)))
    out = tmp_path / "out.csv"
    await write_file(penstock.backfills.export(status.backfill_id), out, as_text=False)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["id"], row["output"]) for row in rows] == [(str(n), "refund") for n in range(3)]
    assert all(float(row["cost_usd"]) > 0 for row in rows)


QUERY = "select n::text || '-key' as id, 'refund ' || n as text from generate_series(1, 5) n"


async def test_query_gives_rows_and_a_table_takes_answers(
    penstock: Penstock, settings: Settings, work_for
) -> None:
    await work_for("fireworks")
    url = settings.require_database()
    source = SqlSource(url, QUERY, "id")
    status = await ended(penstock, await started(penstock, source))
    for _ in range(2):  # the second time it is emptied before
        rows = penstock.backfills.export(status.backfill_id)
        await write_table(rows, url, "public.answers", as_text=False)
    found = await penstock.ledger.pool.fetch("select id, output from public.answers order by id")
    assert [tuple(row) for row in found] == [(f"{n}-key", "refund") for n in range(1, 6)]
    await penstock.ledger.pool.execute("drop table public.answers")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select 1 as id", "'text' is not a column of the query"),
        ("selec 1", "cannot be run"),
        ("select 1 as id, 2 as id, 'x' as text", "'id' is more than one column"),
    ],
)
async def test_query_that_will_not_do_is_refused(settings: Settings, query: str, told: str) -> None:
    with pytest.raises(InvalidJob, match=told):
        await SqlSource(settings.require_database(), query, "id").check(NEEDED)


async def test_database_that_is_away_is_said_to_be() -> None:
    with pytest.raises(Unavailable, match="sql-url"):
        await SqlSource("postgresql://127.0.0.1:1/none", QUERY, "id").check(NEEDED)


async def test_table_name_cannot_carry_anything_else(settings: Settings) -> None:
    with pytest.raises(InvalidJob, match="no plain name"):
        await write_table(none(), settings.require_database(), "a; drop table b", as_text=False)


async def none() -> Any:
    for row in ():
        yield row


async def test_plan_without_the_column_is_refused_before_anything_is_recorded(
    penstock: Penstock, tmp_path: Path
) -> None:
    source = write_parquet(tmp_path / "in.parquet", id=[1], text=["x"])
    with pytest.raises(InvalidJob, match="'body' is not a column"):
        await started(penstock, source, replace(PLAN, text_field="body"))
    assert await penstock.backfills.list("acme") == []
