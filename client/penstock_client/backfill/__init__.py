"""Backfills: one call for each row of a file, written as JSON lines, safe to stop and run again.

The way of a row: `source` reads it, `scan` has checked its ID against all others, `plan` makes a
job of it, `runner` submits and awaits it, `answers` makes a line of its result, `output` keeps it.
"""

from penstock_client.backfill.backfill import run_backfill
from penstock_client.backfill.files import load_labels, load_schema, load_template
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.source import Source
from penstock_client.backfill.tally import Tally
from penstock_client.backfill.template import Template

__all__ = [
    "Plan",
    "Source",
    "Tally",
    "Template",
    "load_labels",
    "load_schema",
    "load_template",
    "run_backfill",
]
