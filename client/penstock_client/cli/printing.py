"""What commands print on stdout: JSON for programs, aligned columns for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer


def print_json(document: Any) -> None:
    """One JSON document on one line; times are ISO 8601."""
    import orjson

    typer.echo(orjson.dumps(document).decode())


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns under a header; nothing is cut off, so that it can be piped."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    typer.secho(_aligned(header, widths), bold=True)
    for row in rows:
        typer.echo(_aligned(row, widths))


def shown_time(moment: datetime | None) -> str:
    """A time in UTC to the second, or `-`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def shown_cost(cost_usd: Decimal | None) -> str:
    """Dollars with the digits that matter; unknown is not free."""
    if cost_usd is None:
        return "unknown cost"
    return f"${cost_usd:.2f}" if cost_usd >= 1 else f"${cost_usd:.6f}"


def shown_seconds(seconds: float) -> str:
    """A duration as `1h 02m`, `3m 05s` or `4.2s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
