"""How a workspace and its configurations are printed: for people, and as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from penstock_client.cli.printing import print_table, shown_time

if TYPE_CHECKING:
    from penstock_client.ledger import Configuration, WorkspaceConfig


def print_config(config: WorkspaceConfig) -> None:
    """A workspace for people: budgets, routing, configurations, keys."""
    tokens = "unlimited" if config.monthly_tokens is None else f"{config.monthly_tokens:,}"
    held = f", {config.tokens_held:,} held by calls under way" if config.tokens_held else ""
    keep = "for ever" if config.retention_days is None else f"{config.retention_days} days"
    print_table(
        ("WORKSPACE", str(config.workspace)),
        [
            ("tokens a month", tokens),
            ("used", f"{config.tokens_used:,}{held}"),
            ("starts again", f"{shown_time(config.budget_resets_at)} UTC ({config.time_zone})"),
            ("budget mode", f"{config.budget_mode}; jobs without room {config.on_budget}"),
            ("weight", f"{config.weight:g}"),
            ("prompts and answers", f"kept {keep}"),
            ("switched off", ", ".join(sorted(config.disabled)) or "no provider"),
            (
                "own keys",
                ", ".join(f"{name} ({key})" for name, key in config.own_keys.items()) or "none",
            ),
        ],
    )
    typer.echo()
    routes = [(name, ", then ".join(models)) for name, models in sorted(config.routing.items())]
    print_table(("CAPABILITY", "GOES TO"), routes)
    typer.echo()
    print_configurations(config)


def as_json(config: WorkspaceConfig) -> dict[str, object]:
    """A workspace for programs; money is text, so that no digit is lost."""
    return {
        "workspace": config.workspace,
        "monthly_tokens": config.monthly_tokens,
        "tokens_used": config.tokens_used,
        "tokens_held": config.tokens_held,
        "budget_resets_at": config.budget_resets_at,
        "budget_mode": config.budget_mode,
        "on_budget": config.on_budget,
        "time_zone": config.time_zone,
        "retention_days": config.retention_days,
        "weight": config.weight,
        "providers": {name: {"enabled": on} for name, on in config.providers.items()},
        "own_keys": dict(config.own_keys),
        "routing": {name: list(routes) for name, routes in config.routing.items()},
        "default_configuration": config.default_configuration,
        "configurations": [configuration_as_json(each) for each in config.configurations.values()],
        "created_at": config.created_at,
    }


def configuration_as_json(configuration: Configuration) -> dict[str, object]:
    """A configuration for programs."""
    named = ("name", "primary", "fallback", "own_keys", "temperature", "max_tokens")
    money = ("daily_usd", "monthly_usd", "usd_today", "usd_this_month", "usd_held")
    times = ("day_resets_at", "month_resets_at")
    return {
        **{name: getattr(configuration, name) for name in named},
        "task_routing": dict(configuration.task_routing),
        "allow_unpriced": configuration.allow_unpriced,
        **{name: _text(getattr(configuration, name)) for name in money},
        **{name: getattr(configuration, name) for name in times},
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def print_configurations(config: WorkspaceConfig) -> None:
    """Named configurations for people: two tables, of what they say and of what they spend."""
    named = config.configurations.values()
    header = ("CONFIGURATION", "PRIMARY", "FALLBACK", "TASKS", "SAMPLING", "KEYS")
    print_table(header, [_said(each, config.default_configuration) for each in named])
    typer.echo()
    header = (
        "CONFIGURATION",
        "TODAY",
        "STARTS AGAIN (UTC)",
        "THIS MONTH",
        "STARTS AGAIN (UTC)",
        "HELD",
    )
    print_table(header, [_spent(each) for each in named])


def _said(each: Configuration, default: str) -> tuple[str, ...]:
    tasks = ", ".join(f"{name}={model}" for name, model in each.task_routing.items())
    sampling = [
        *([] if each.temperature is None else [f"t {each.temperature:g}"]),
        *([] if each.max_tokens is None else [f"{each.max_tokens:,} tokens"]),
    ]
    return (
        f"{each.name} (default)" if each.name == default else each.name,
        each.primary or "-",
        each.fallback or "-",
        tasks or "-",
        ", ".join(sampling) or "-",
        "own, else the platform's" if each.own_keys else "the platform's",
    )


def _spent(each: Configuration) -> tuple[str, ...]:
    return (
        each.name,
        _shown(each.usd_today, each.daily_usd),
        shown_time(each.day_resets_at),
        _shown(each.usd_this_month, each.monthly_usd),
        shown_time(each.month_resets_at),
        f"${each.usd_held:.4f}",
    )


def _shown(spent: Decimal, budget: Decimal | None) -> str:
    return f"${spent:.4f}" if budget is None else f"${spent:.4f} of ${budget:,.2f}"
