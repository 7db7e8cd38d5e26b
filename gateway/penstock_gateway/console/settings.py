"""The settings of a workspace: all of their tabs."""

from __future__ import annotations

from fastapi import APIRouter

from penstock_gateway.console import (
    settings_budgets,
    settings_configurations,
    settings_providers,
    settings_routing,
    settings_tokens,
)

router = APIRouter(include_in_schema=False)
for _each in (
    settings_providers,
    settings_routing,
    settings_configurations,
    settings_budgets,
    settings_tokens,
):
    router.include_router(_each.router)
