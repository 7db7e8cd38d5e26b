"""Options and cells that the commands of `penstock usage` share: times, filters, honest costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import shown_cost

if TYPE_CHECKING:
    from decimal import Decimal

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TIME = "TIME"

Workspace = Annotated[str, typer.Argument(metavar="WORKSPACE", help="Whose usage.")]
Since = Annotated[
    str,
    typer.Option(
        metavar=_TIME, help="From then on: 12h, 30d, 8w ago, or 2026-11-01[T08:00] in UTC."
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar=_TIME, help="Until before then; the same ways to say it.")
]
Values = Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")]
Model = Annotated[
    list[str] | None,
    typer.Option(help="Only this model, with or without its provider; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

SIMULATED = "simulated: no provider was called for some or all of these answers"


def moment(text: str, option: str) -> datetime:
    """A time from `30d` (ago) or an ISO date or time, UTC where it says nothing else."""
    ago = re.fullmatch(r"(\d{1,5})([smhdw])", text)
    if ago is not None:
        return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time such as 12h, 30d or 2026-11-01", param_hint=option
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def span(since: str, until: str | None) -> tuple[datetime, datetime | None]:
    """Both times; `until` None is without end."""
    return moment(since, "--since"), moment(until, "--until") if until else None


def chosen(**filters: list[str] | None) -> dict[str, list[str]]:
    """The filters that were named; `-` stands for calls without that tag."""
    return {
        name: ["" if value == "-" else value for value in values]
        for name, values in filters.items()
        if values
    }


def honest_cost(cost_usd: Decimal | None, unpriced: int) -> str:
    """What calls cost: at least the known part where some have no known price."""
    if cost_usd is None or not unpriced:
        return shown_cost(cost_usd)
    return f"≥ {shown_cost(cost_usd)}"


def notes(unpriced: int, simulated: int, calls: int) -> str:
    """What must be known of figures, or `-`."""
    found: list[str] = []
    if unpriced:
        found.append(f"{unpriced:,} call{'s' if unpriced != 1 else ''} without a known price")
    if simulated:
        found.append("simulated" if simulated >= calls else f"{simulated:,} simulated")
    return ", ".join(found) or "-"
