"""`penstock usage show` and `penstock usage month`: a workspace's usage summed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli.printing import print_json, print_table, shown_cost
from penstock_client.cli.running import connected, run
from penstock_client.cli.usage_options import (
    SIMULATED,
    Json,
    Model,
    Since,
    Until,
    Values,
    Workspace,
    chosen,
    honest_cost,
    notes,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from penstock_client.usage_rows import MonthUsage, UsageRow

By = Annotated[
    str,
    typer.Option(
        metavar="COLUMN,…",
        help="What to tell apart: day, hour, configuration, capability, skill, step, agent, "
        "task_type, provider, model.",
    ),
]

_FIGURES = ("CALLS", "OK", "FAILED", "LOST", "TOKENS IN", "CACHED", "TOKENS OUT", "COST", "MEAN")


def show(  # noqa: PLR0917 - options of a command
    workspace: Workspace,
    by: By = "day",
    since: Since = "30d",
    until: Until = None,
    skill: Values = None,
    capability: Values = None,
    step: Values = None,
    agent: Values = None,
    task_type: Values = None,
    configuration: Values = None,
    provider: Values = None,
    model: Model = None,
    json: Json = False,
) -> None:
    """Show calls, tokens and cost of a workspace, summed up by what you name.

    Days are those of the workspace's time zone. LOST calls have no answer and may have been paid:
    they count as what they may have cost. `-` chooses calls without that tag. WORKSPACE `all` is
    every workspace together, by UTC.
    """
    columns = [name.strip() for name in by.split(",") if name.strip()]
    where = chosen(
        skill=skill,
        capability=capability,
        step=step,
        agent=agent,
        task_type=task_type,
        configuration=configuration,
        provider=provider,
        model=model,
    )
    times = span(since, until)
    rows = run(_summary(None if workspace == "all" else workspace, times, columns, where))
    if json:
        print_json([as_json(row) for row in rows])
        return
    _print_rows(rows)


def month(workspace: Workspace, json: Json = False) -> None:
    """Show this month's tokens, budget and cost, and what each skill used."""
    found = run(_month(workspace))
    if json:
        from penstock_client.usage_export import plain_data

        print_json(plain_data(found.as_data()))
        return
    _print_month(found)


def as_json(row: UsageRow) -> dict[str, Any]:
    """One row for JSON."""
    from penstock_client.usage_export import plain_data

    return plain_data(row.as_data())


async def _summary(
    workspace: str | None,
    times: tuple[datetime, datetime | None],
    by: Sequence[str],
    where: dict[str, list[str]],
) -> list[UsageRow]:
    async with connected() as penstock:
        return await penstock.usage.summary(workspace, *times, by=by, where=where)


async def _month(workspace: str) -> MonthUsage:
    async with connected() as penstock:
        return await penstock.usage.month(workspace)


def _print_rows(rows: Sequence[UsageRow]) -> None:
    from penstock_client.usage_rows import added_up

    names = list(rows[0].group) if rows else []
    total = added_up(rows)
    lines = [(*(_cell(row.group[name]) for name in names), *_figures(row)) for row in rows]
    if names and rows:
        lines.append(("TOTAL", *("" for _ in names[1:]), *_figures(total)))
    header = (*(name.upper().replace("_", " ") for name in names), *_FIGURES, "NOTE")
    print_table(header, lines)
    if total.simulated:
        typer.echo(SIMULATED)


def _cell(value: object) -> str:
    from datetime import UTC, datetime

    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
    return str(value) or "-"


def _figures(row: UsageRow) -> tuple[str, ...]:
    return (
        f"{row.calls:,}",
        f"{row.succeeded:,}",
        f"{row.failed:,}",
        f"{row.abandoned:,}",
        f"{row.input_tokens:,}",
        f"{row.cache_read_tokens:,}",
        f"{row.output_tokens:,}",
        honest_cost(row.cost_usd, row.unpriced),
        f"{row.mean_duration_ms / 1000:.2f}s",
        notes(row.unpriced, row.simulated, row.calls),
    )


def _print_month(found: MonthUsage) -> None:
    budget = "unlimited" if found.token_budget is None else f"{found.token_budget:,}"
    left = "unlimited" if found.tokens_remaining is None else f"{found.tokens_remaining:,}"
    total = found.total
    cost = honest_cost(total.cost_usd, total.unpriced)
    if total.unpriced:
        cost += f", {notes(total.unpriced, 0, total.calls)}"
    facts = {
        "month": f"since {found.began_at.astimezone():%Y-%m-%d %H:%M %Z} ({found.time_zone})",
        "tokens": f"{found.tokens_used:,} used, {found.tokens_held:,} held by calls under way",
        "budget": f"{budget} a month, {left} left ({found.budget_mode}, {found.on_budget})",
        "resets at": f"{found.resets_at:%Y-%m-%d %H:%M} UTC",
        "cost": cost,
    }
    for name, value in facts.items():
        typer.echo(f"{name:<10} {value}")
    for money in found.money:
        typer.echo(f"{'money':<10} {money.configuration}: {_money(money)}")
    typer.echo("")
    _print_rows(found.skills)


def _money(money: Any) -> str:
    parts = [
        f"{shown_cost(used)} of {shown_cost(budget)} {period}"
        for period, used, budget in (
            ("today", money.used_today_usd, money.daily_usd),
            ("this month", money.used_this_month_usd, money.monthly_usd),
        )
        if budget is not None
    ]
    return f"{', '.join(parts)}; {shown_cost(money.held_usd)} held"
