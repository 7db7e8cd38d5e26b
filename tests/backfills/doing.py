"""A small plan, rows for it, and workers for both kinds of model that it may be asked of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from penstock_client import Penstock
from penstock_client.backfill import BackfillOptions, Plan, Source
from penstock_schemas.backfills import BackfillStatus

PLAN = Plan(workspace="acme", kind="classify", labels=("refund", "praise"))


def write_rows(path: Path, count: int, *, text: str = "refund number {}") -> Source:
    rows = [{"id": n, "text": text.format(n)} for n in range(count)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return Source(path, "id")


async def started(
    penstock: Penstock, source: Any, plan: Plan = PLAN, **options: Any
) -> BackfillStatus:
    return await penstock.backfills.start(plan, source, options=BackfillOptions.of(options))


async def ended(penstock: Penstock, status: BackfillStatus) -> BackfillStatus:
    return await penstock.backfills.wait(status.backfill_id, timeout_s=40)


async def answers_of(penstock: Penstock, status: BackfillStatus) -> list[dict[str, Any]]:
    return [row.answer async for row in penstock.backfills.export(status.backfill_id)]
