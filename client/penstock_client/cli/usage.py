"""`penstock usage`: what a workspace's calls used and cost, and what prompt caching saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from penstock_client.cli.printing import print_json, print_table, shown_cost, shown_time
from penstock_client.cli.running import connected, run
from penstock_client.cli.usage_calls import calls, export
from penstock_client.cli.usage_options import (
    SIMULATED,
    Json,
    Since,
    Workspace,
    honest_cost,
    moment,
    notes,
)
from penstock_client.cli.usage_show import as_json, month, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from penstock_client.ledger import CacheUse
    from penstock_client.usage_rows import UsageRow


def register(app: typer.Typer) -> None:
    """Adds `penstock usage show|month|calls|export|models|cache`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock usage show acme --by day,skill --since 7d",
    )
    for command, example in (
        (show, "show acme --by day,skill --since 7d --model openai/gpt-4o"),
        (month, "month acme"),
        (calls, "calls acme --skill triage --status error --since 24h"),
        (export, "export acme --format csv --output usage.csv --since 2026-11-01"),
        (models, "models acme --since 7d"),
        (cache, "cache acme --since 7d"),
    ):
        group.command(command.__name__, epilog=f"Example: penstock usage {example}")(command)
    app.add_typer(group, name="usage", help="Show calls, tokens and cost; export them.")


def models(workspace: Workspace, since: Since = "30d", json: Json = False) -> None:
    """Show calls, tokens and cost by model; models with simulated answers say so."""
    found = run(_models(workspace, moment(since, "--since")))
    if json:
        print_json([_model_as_json(row) for row in found])
        return
    header = ("MODEL", "CALLS", "SUCCEEDED", "ABANDONED", "TOKENS IN", "TOKENS OUT", "COST", "NOTE")
    print_table(header, [_model_as_row(row) for row in found])
    _say_simulated(row.simulated > 0 for row in found)


def cache(workspace: Workspace, since: Since = "30d", json: Json = False) -> None:
    """Show how system prompts fared in the providers' prompt caches.

    SYSTEM is the hash of the instructions of jobs with `cache_system`; a line with - stands for the
    other jobs of a model whose provider caches by itself. SAVED is below zero where writing to the
    cache cost more than reading from it saved.
    """
    found = run(_cache(workspace, moment(since, "--since")))
    if json:
        print_json([_use_as_json(use) for use in found])
        return
    header = ("MODEL", "SYSTEM", "CALLS", "HITS", "RATE", "TOKENS IN", "READ", "WRITTEN", "SAVED")
    last = ("LAST USED (UTC)", "NOTE")
    print_table((*header, *last), [_use_as_row(use) for use in found])
    _say_simulated(use.simulated for use in found)


async def _models(workspace: str, since: datetime) -> list[UsageRow]:
    async with connected() as penstock:
        rows = await penstock.usage.summary(workspace, since, by=("provider", "model"))
        return sorted(rows, key=_model)


async def _cache(workspace: str, since: datetime) -> list[CacheUse]:
    async with connected() as penstock:
        return await penstock.prompt_cache(workspace, since=since)


def _say_simulated(answers: Iterable[bool]) -> None:
    if any(answers):
        typer.echo(SIMULATED)


def _note(simulated: bool) -> str:
    return "simulated" if simulated else "-"


def _model(row: UsageRow) -> str:
    return f"{row.group['provider']}/{row.group['model']}"


def _model_as_row(row: UsageRow) -> tuple[str, ...]:
    return (
        _model(row),
        f"{row.calls:,}",
        f"{row.succeeded:,}",
        f"{row.abandoned:,}",
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
        honest_cost(row.cost_usd, row.unpriced),
        notes(row.unpriced, row.simulated, row.calls),
    )


def _model_as_json(row: UsageRow) -> dict[str, Any]:
    return {**as_json(row), "simulated": row.simulated > 0}


def _use_as_row(use: CacheUse) -> tuple[str, ...]:
    return (
        f"{use.provider}/{use.model}",
        use.system_hash or "-",
        f"{use.calls:,}",
        f"{use.hits:,}",
        f"{use.hit_rate:.0%}",
        f"{use.input_tokens:,}",
        f"{use.read_tokens:,}",
        f"{use.written_tokens:,}",
        _shown_saving(use.saved_usd),
        shown_time(use.last_used_at),
        _note(use.simulated),
    )


def _shown_saving(saved_usd: Decimal | None) -> str:
    if saved_usd is None:
        return "unknown"
    return f"-{shown_cost(-saved_usd)}" if saved_usd < 0 else shown_cost(saved_usd)


def _use_as_json(use: CacheUse) -> dict[str, object]:
    return {
        "provider": use.provider,
        "model": use.model,
        "system_hash": use.system_hash,
        "calls": use.calls,
        "hits": use.hits,
        "hit_rate": use.hit_rate,
        "input_tokens": use.input_tokens,
        "read_tokens": use.read_tokens,
        "written_tokens": use.written_tokens,
        "saved_usd": _decimal(use.saved_usd),
        "simulated": use.simulated,
        "first_used_at": use.first_used_at,
        "last_used_at": use.last_used_at,
    }


def _decimal(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
