"""Settings, routing: the models of each capability, with a preview of what would be chosen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, get_args

from fastapi import APIRouter, Request, Response

from penstock_client import Penstock
from penstock_client.ledger import WorkspaceConfig
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.routing_views import (
    RouteRow,
    Supposed,
    models_named,
    route_row,
    route_rows,
    with_routing,
)
from penstock_gateway.console.session import Visitor, form_of, may
from penstock_gateway.console.settings_page import (
    back,
    changed,
    is_quick,
    last,
    looked_at,
    section,
    tab,
)
from penstock_schemas.jobs import Strategy

router = APIRouter(prefix="/settings/routing", route_class=ConsoleRoute, include_in_schema=False)

_STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
_MOST_TOKENS: Final = 100_000_000


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """All capabilities."""
    workspace = await looked_at(request, visitor, penstock)
    config = await penstock.workspaces.read(workspace)
    asked = {name: [value] for name, value in request.query_params.items()}
    shown = await _shown(penstock, config, _supposed(asked, config))
    template = "settings_routing.html"
    return await tab(request, visitor, penstock, template, workspace=workspace, **shown)


@router.post("")
async def route(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Set the models of one capability; none of them is the default again."""
    may(visitor, "config:write")
    workspace = await changed(request, visitor, penstock)
    form = await form_of(request)
    capability, models = last(form, "capability"), models_named(last(form, "models"))
    config = await penstock.workspaces.set(workspace, routing={capability: models or None})
    if not is_quick(request):
        return back("/settings/routing", workspace)
    shown = await _shown(penstock, config, _supposed(form, config), saved=capability)
    return section("_settings_routing.html", **_of(visitor, workspace), **shown)


@router.post("/preview")
async def preview(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """What would be chosen if one capability had these models; nothing is changed."""
    may(visitor, "config:read")
    workspace = await changed(request, visitor, penstock)
    form = await form_of(request)
    config = await penstock.workspaces.get(workspace)
    capability = last(form, "capability")
    supposed = with_routing(config, capability, models_named(last(form, "models")))
    row = await _row(penstock, capability, supposed, _supposed(form, config))
    return section("_settings_route.html", row=row)


def _supposed(form: dict[str, list[str]], config: WorkspaceConfig) -> Supposed:
    """The job that was supposed; what cannot be one is left out."""
    strategy, configuration = last(form, "strategy"), last(form, "configuration")
    tokens = last(form, "input_tokens").replace(",", "")
    is_number = tokens.isascii() and tokens.isdigit() and len(tokens) < len(str(_MOST_TOKENS))
    return Supposed(
        strategy=next((name for name in _STRATEGIES if name == strategy), None),
        configuration=configuration if configuration in config.configurations else None,
        input_tokens=int(tokens) if is_number else None,
    )


async def _shown(
    penstock: Penstock, config: WorkspaceConfig, supposed: Supposed, *, saved: str | None = None
) -> dict[str, Any]:
    rows = route_rows(
        config,
        penstock.catalog,
        supposed,
        alive=await penstock.alive_providers(),
        today=datetime.now(UTC).date(),
    )
    return {
        "rows": rows,
        "supposed": supposed,
        "saved": saved,
        "strategies": _STRATEGIES,
        "configurations": sorted(config.configurations),
        "default_configuration": config.default_configuration,
        "models": sorted(model.ref for model in penstock.catalog.models),
    }


async def _row(
    penstock: Penstock, capability: str, config: WorkspaceConfig, supposed: Supposed
) -> RouteRow:
    alive, today = await penstock.alive_providers(), datetime.now(UTC).date()
    return route_row(capability, config, penstock.catalog, supposed, alive=alive, today=today)


def _of(visitor: Identity, workspace: str) -> dict[str, Any]:
    return {"workspace": workspace, "may_change": visitor.may("config:write")}
