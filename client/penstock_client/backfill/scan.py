"""The first pass over the input, before anything is asked: counts rows and finds repeated IDs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from penstock_client.backfill.index import RowIndex
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.source import Malformed, Row, Source
from penstock_schemas.errors import InvalidJob

_BATCH = 5000


async def scan(source: Source, plan: Plan, index: RowIndex) -> int:
    """The number of rows, malformed lines included. Gives way to other tasks now and then.

    Raises InvalidJob, naming both lines of a repeated ID, or a field that no row has.
    """
    total = 0
    wanted = set(plan.needed_fields) | {source.id_field}
    objects = False
    for batch in _batches(source.rows()):
        total += len(batch)
        rows = [row for row in batch if isinstance(row, Row)]
        objects = objects or any(not isinstance(row, Malformed) or row.fields for row in batch)
        for row in batch if wanted else ():
            wanted.difference_update(row.fields)
        repeated = index.see([(row.key, row.line) for row in rows])
        if repeated is not None:
            first, second = repeated
            again = next(row for row in rows if row.line in repeated)
            raise InvalidJob(
                f"{source.where(second)}: the ID {again.row_id!r} was on line {first} already; "
                "IDs must be unique",
                field=source.id_field,
            )
        await asyncio.sleep(0)
    if objects and wanted:
        raise InvalidJob(
            f"input: no row of {source.path} has the field {min(wanted)!r}", field=min(wanted)
        )
    return total


def _batches(rows: Iterator[Row | Malformed]) -> Iterator[list[Row | Malformed]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch
