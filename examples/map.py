"""Label a file of messages, one a line, with a few jobs under way; runs against `penstock up`.

    python examples/map.py messages.txt

Memory stays the same however long the file is: at most `window` lines are held at a time.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock_client import Classify, Penstock, Progress

LABELS = ("delivery", "refund", "praise")
MESSAGES = ("Where is my parcel?", "I want my money back.", "Thank you, it fits!", "Still waiting.")


def jobs(lines: Iterable[str]) -> Iterator[Classify]:
    """One job for each line; read as fast as they are answered."""
    return (Classify(workspace="demo", text=line, labels=LABELS) for line in lines if line.strip())


def told(progress: Progress) -> None:
    """Called after each submit and each end."""
    if progress.ended and not progress.under_way:
        print(f"{progress.succeeded} answers, {progress.failed} failures, ${progress.cost_usd}")


async def label(lines: Iterable[str]) -> None:
    """Print a label for each line, in the lines' order."""
    async with Penstock.connect() as penstock:
        results = penstock.map(jobs(lines), window=200, ordered=True, on_progress=told)
        async for result in results:
            print(result.output if result.ok else f"failed: {result.error}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open(encoding="utf-8") as file:
            asyncio.run(label(file))
    else:
        asyncio.run(label(MESSAGES))
