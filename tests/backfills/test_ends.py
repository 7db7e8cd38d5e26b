"""What follows from the end of a backfill: its webhook, and in time that its rows are forgotten."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from penstock_client import Penstock
from penstock_schemas.errors import InvalidJob
from penstock_worker.retention import Retention
from tests.backfills.doing import answers_of, ended, started, write_rows


async def test_webhook_is_told_of_the_end_once(penstock: Penstock, work_for, tmp_path) -> None:
    await work_for("fireworks")
    source = write_rows(tmp_path / "in.jsonl", 3)
    status = await started(penstock, source, webhook="https://hooks.example/x")
    status = await ended(penstock, status)
    rows = await penstock.ledger.pool.fetch("select type, detail from penstock.deliveries")
    assert [row["type"] for row in rows] == ["backfill.succeeded"]
    detail = orjson.loads(rows[0]["detail"])
    assert (detail["rows"], detail["succeeded"], detail["failed"]) == (3, 3, 0)
    assert detail["cost_usd"] == str(status.cost_usd)


async def test_answers_stay_for_the_time_of_the_workspace_after_the_end(
    penstock: Penstock, work_for, tmp_path: Path
) -> None:
    await work_for("fireworks")
    await penstock.workspaces.set("acme", retention_days=1)
    status = await ended(penstock, await started(penstock, write_rows(tmp_path / "in.jsonl", 5)))
    retention = Retention(penstock.redis, penstock.ledger)
    await penstock.ledger.pool.execute(
        "update penstock.jobs set finished_at = now() - interval '2 days'"
    )
    await retention.run()
    assert {each["output"] for each in await answers_of(penstock, status)} == {"refund"}
    await penstock.ledger.pool.execute(
        "update penstock.backfills set finished_at = now() - interval '2 days'"
    )
    await retention.run()
    assert {each["output"] for each in await answers_of(penstock, status)} == {None}
    kept = await penstock.ledger.pool.fetchval(
        "select count(*) from penstock.backfill_rows where input is not null"
    )
    assert kept == 0
    assert not (await penstock.backfills.get(status.backfill_id)).kept


async def test_rows_that_are_not_kept_cannot_be_retried(
    penstock: Penstock, steward: None, tmp_path: Path
) -> None:
    status = await started(penstock, write_rows(tmp_path / "in.jsonl", 1))
    await penstock.backfills.pause(status.backfill_id)
    await penstock.ledger.pool.execute("update penstock.backfills set kept = false")
    with pytest.raises(InvalidJob, match="no longer kept"):
        await penstock.backfills.retry_failed(status.backfill_id)
