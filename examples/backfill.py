"""A backfill from Python: a dry run first, then all rows, answers in the order of the file.

    penstock up                      # in another terminal
    python examples/backfill.py tickets.jsonl

Without a file it writes a small one. Run it again: nothing is asked twice.
"""

import asyncio
import json
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

from penstock_client import Penstock
from penstock_client.backfill import BackfillOptions, Plan, Source

PLAN = Plan(workspace="demo", kind="classify", labels=("refund", "praise", "delivery"))
OPTIONS = BackfillOptions(max_cost_usd=Decimal(5), max_error_rate=0.2, sample=20)


def some_tickets() -> Path:
    """A file with tickets of which a third are alike."""
    path = Path(tempfile.gettempdir()) / "penstock-tickets.jsonl"
    texts = ("I want a refund for order {}", "So much praise for order {}", "Where is my delivery?")
    rows = ({"id": n, "text": texts[n % 3].format(n)} for n in range(150))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def main(path: Path) -> None:
    """Start or attach, tell the estimate, go on, count the answers."""
    async with Penstock.connect() as penstock:
        await penstock.workspaces.create("demo")
        started = await penstock.backfills.start(PLAN, Source(path, "id"), options=OPTIONS)
        status = await penstock.backfills.wait(started.backfill_id)
        if status.estimate is not None:
            print(f"all {status.rows} rows will cost about ${status.estimate.cost_usd:.6f}")
        if not status.status.is_terminal:
            await penstock.backfills.resume(status.backfill_id)
            status = await penstock.backfills.wait(status.backfill_id)
        counts: dict[str, int] = {}
        async for row in penstock.backfills.export(status.backfill_id):
            said = row.answer["output"] if row.ok else row.answer["error"]["kind"]
            counts[said] = counts.get(said, 0) + 1
        print(f"{status.status.label}: {counts}, {status.calls} calls, ${status.cost_usd:.6f}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else some_tickets()))
