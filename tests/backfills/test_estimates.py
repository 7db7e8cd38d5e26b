"""What a dry run says the whole will cost, held against what it did cost, on real texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client import Penstock
from penstock_client.backfill import Plan, Source, load_labels
from penstock_schemas.backfills import BackfillState
from tests.backfills.doing import ended, started

DATASETS = Path(
    os.environ.get("PENSTOCK_DATASETS", Path(__file__).parents[2] / "../shared/datasets")
)
ADVISORY = {
    "type": "object",
    "properties": {
        "package": {"type": "string"},
        "fixed_versions": {"type": "array", "items": {"type": "string"}},
        "aliases": {"type": "array", "items": {"type": "string"}},
        "summary": {"type": "string"},
    },
    "required": ["package", "summary"],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATASETS.is_dir(), reason=f"there is no {DATASETS}"),
]


@pytest.mark.parametrize("dataset", ["banking77", "advisories"])
async def test_dry_run_is_within_a_tenth_of_the_actual_cost(
    penstock: Penstock, work_for: Any, tmp_path: Path, dataset: str
) -> None:
    await work_for("fireworks", concurrency=100)
    if dataset == "banking77":
        source = Source(DATASETS / "banking77" / "test.jsonl", "id")
        labels = load_labels(DATASETS / "banking77" / "labels.json")
        plan = Plan(workspace="acme", kind="classify", labels=labels)
    else:
        source = Source(_advisories(tmp_path), "id")
        plan = Plan(workspace="acme", kind="extract", schema=ADVISORY)
    status = await ended(penstock, await started(penstock, source, plan, sample=100))
    assert status.status is BackfillState.PAUSED, status.reason
    guess = status.estimate
    assert guess is not None
    await penstock.backfills.resume(status.backfill_id)
    status = await penstock.backfills.wait(status.backfill_id, timeout_s=240)
    actual = float(status.cost_usd)
    off = guess.cost_usd / actual - 1
    print(
        f"{dataset}: {status.rows} rows, said ${guess.cost_usd:.4f} "
        f"(${guess.cost_low_usd:.4f} to ${guess.cost_high_usd:.4f}), cost ${actual:.4f}: {off:+.2%}"
    )
    assert status.status is BackfillState.SUCCEEDED, status.reason
    assert abs(off) <= 0.1


def _advisories(folder: Path) -> Path:
    """The advisories, with the words of each as its text."""
    rows: list[bytes] = []
    for path in sorted((DATASETS / "advisories").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            found = orjson.loads(line)
            text = found.get("text") or found.get("details") or orjson.dumps(found).decode()
            rows.append(orjson.dumps({"id": found.get("id") or str(len(rows)), "text": text}))
    (folder / "advisories.jsonl").write_bytes(b"\n".join(rows))
    return folder / "advisories.jsonl"
