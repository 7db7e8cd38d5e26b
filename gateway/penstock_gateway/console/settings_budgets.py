"""Settings, budgets and retention: what may be spent, what is spent and held, what is kept."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from penstock_client import Penstock
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.session import Visitor, form_of, may
from penstock_gateway.console.settings_forms import money_budgets, token_budget, workspace_fields
from penstock_gateway.console.settings_page import back, changed, is_quick, looked_at, section, tab

router = APIRouter(prefix="/settings/budgets", route_class=ConsoleRoute, include_in_schema=False)


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """The budgets as they stand."""
    workspace = await looked_at(request, visitor, penstock)
    shown = await _shown(penstock, workspace)
    template = "settings_budgets.html"
    return await tab(request, visitor, penstock, template, workspace=workspace, **shown)


@router.post("")
async def change(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Change what was filled in."""
    may(visitor, "config:write")
    workspace = await changed(request, visitor, penstock)
    form = await form_of(request)
    await penstock.workspaces.set(workspace, **workspace_fields(form))
    if not is_quick(request):
        return back("/settings/budgets", workspace)
    shown = await _shown(penstock, workspace, saved=form.get("part", [""])[-1])
    may_change = visitor.may("config:write")
    return section("_settings_budgets.html", workspace=workspace, may_change=may_change, **shown)


async def _shown(penstock: Penstock, workspace: str, *, saved: str | None = None) -> dict[str, Any]:
    month = await penstock.usage.month(workspace)
    return {
        "config": await penstock.workspaces.read(workspace),
        "month": month,
        "tokens": token_budget(month),
        "money": money_budgets(month),
        "saved": saved,
    }
