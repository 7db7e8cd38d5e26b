"""Backfills: the same question for each of many rows, as objects that Penstock carries by itself.

The way of a row: `source` reads it (`parquet` and `sql` other inputs), `loading` makes of it what
is kept, a steward asks it by the job that its `plan` makes (`several` rows at once, if wanted), and
`exporting` reads its answer, which `writing` puts somewhere. `service` is `penstock.backfills`.
"""

from pathlib import Path

from penstock_client.backfill.files import load_examples, load_labels, load_schema, load_template
from penstock_client.backfill.options import SAMPLE, WINDOW, BackfillOptions
from penstock_client.backfill.parquet import ParquetSource
from penstock_client.backfill.plan import Asked, Example, Plan
from penstock_client.backfill.source import RowSource, Source
from penstock_client.backfill.sql import SqlSource
from penstock_client.backfill.template import Template

__all__ = [
    "SAMPLE",
    "WINDOW",
    "Asked",
    "BackfillOptions",
    "Example",
    "ParquetSource",
    "Plan",
    "RowSource",
    "Source",
    "SqlSource",
    "Template",
    "file_source",
    "load_examples",
    "load_labels",
    "load_schema",
    "load_template",
]


def file_source(path: Path, plan: Plan, *, id_field: str = "id") -> RowSource:
    """The source of a file: Parquet, CSV or TSV by its suffix, JSON lines otherwise."""
    if path.suffix.lower() == ".parquet":
        return ParquetSource(path, id_field, tuple(sorted(plan.needed_fields | {id_field})))
    return Source(path, id_field)
