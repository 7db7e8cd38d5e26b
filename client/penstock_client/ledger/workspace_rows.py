"""A row of `workspaces.sql` as a frozen value."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import orjson

from penstock_client.ledger.rows import Configuration, WorkspaceConfig
from penstock_schemas.ids import WorkspaceId

_MONEY = ("daily_usd", "monthly_usd", "usd_today", "usd_this_month", "usd_held")
_TIMES = ("day_resets_at", "month_resets_at")


def workspace_config(row: asyncpg.Record) -> WorkspaceConfig:
    """A workspace with its named configurations and the fingerprints of its keys."""
    routing: dict[str, Any] = orjson.loads(row["routing"])
    providers: dict[str, dict[str, Any]] = orjson.loads(row["providers"])
    named: list[dict[str, Any]] = orjson.loads(row["configurations"] or "[]")
    return WorkspaceConfig(
        workspace=WorkspaceId(row["id"]),
        routing={
            capability: (routes,) if isinstance(routes, str) else tuple(routes)
            for capability, routes in routing.items()
        },
        monthly_tokens=row["default_token_budget"],
        tokens_used=row["tokens_used"],
        tokens_held=row["tokens_held"],
        budget_resets_at=row["budget_reset_at"],
        created_at=row["created_at"],
        weight=row["weight"],
        providers={
            name: bool(settings.get("enabled", True)) for name, settings in providers.items()
        },
        time_zone=row["time_zone"],
        budget_mode=row["budget_mode"],
        on_budget=row["on_budget"],
        retention_days=row["retention_days"],
        default_configuration=row["default_configuration"],
        configurations={each["name"]: _configuration(each) for each in named},
        own_keys=orjson.loads(row["own_keys"] or "{}"),
    )


def _configuration(fields: dict[str, Any]) -> Configuration:
    money: dict[str, Any] = {
        name: None if fields[name] is None else Decimal(fields[name]) for name in _MONEY
    }
    times: dict[str, Any] = {name: datetime.fromisoformat(fields[name]) for name in _TIMES}
    return Configuration(**{**fields, **money, **times})
