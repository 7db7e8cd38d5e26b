"""The text of named queries, each in a file of its own whose head says what it promises."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The text of `queries/<name>.sql`."""
    return files("penstock_client.ledger").joinpath("queries", f"{name}.sql").read_text("utf-8")
