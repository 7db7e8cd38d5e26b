"""Settings, named configurations: models, sampling, keys and money of jobs that name them."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from penstock_client import Penstock
from penstock_client.ledger import WorkspaceConfig
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.session import Visitor, form_of, may
from penstock_gateway.console.settings_forms import configuration_fields
from penstock_gateway.console.settings_page import (
    back,
    changed,
    is_quick,
    last,
    looked_at,
    section,
    tab,
)
from penstock_gateway.problems import Refused
from penstock_schemas.errors import UnknownConfiguration
from penstock_schemas.workspaces import NEW_MAX_TOKENS, NEW_TEMPERATURE

_AT: Final = "/settings/configurations"
router = APIRouter(prefix=_AT, route_class=ConsoleRoute, include_in_schema=False)


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """All configurations, the default one first."""
    workspace = await looked_at(request, visitor, penstock)
    shown = _shown(penstock, await penstock.workspaces.read(workspace))
    template = "settings_configurations.html"
    return await tab(request, visitor, penstock, template, workspace=workspace, **shown)


@router.post("")
async def change(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Make a configuration, or change the one of that name."""
    may(visitor, "config:write")
    workspace = await changed(request, visitor, penstock)
    form = await form_of(request)
    name = last(form, "name")
    before = (await penstock.workspaces.read(workspace)).configurations.get(name)
    if before is not None and "new" in form:
        raise Refused(422, f"there is a configuration {name!r} already", kind="invalid")
    fields = configuration_fields(form, before)
    if before is None:
        fields = {field: value for field, value in fields.items() if value is not None}
    config = await penstock.workspaces.set_configuration(workspace, name, **fields)
    return _answer(request, visitor, penstock, config, saved=name)


@router.post("/{name}/default")
async def prefer(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Let jobs that name no configuration have this one."""
    may(visitor, "config:write")
    workspace = await changed(request, visitor, penstock)
    config = await penstock.workspaces.set(workspace, default_configuration=name)
    return _answer(request, visitor, penstock, config, saved=name)


@router.post("/{name}/remove")
async def remove(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Remove a configuration that is not the default one."""
    may(visitor, "config:write")
    workspace = await changed(request, visitor, penstock)
    try:
        config = await penstock.workspaces.remove_configuration(workspace, name)
    except UnknownConfiguration as error:
        raise Refused(404, str(error), kind="unknown-configuration") from None
    return _answer(request, visitor, penstock, config, saved=None)


def _answer(
    request: Request,
    visitor: Identity,
    penstock: Penstock,
    config: WorkspaceConfig,
    *,
    saved: str | None,
) -> Response:
    if not is_quick(request):
        return back(_AT, config.workspace)
    shown = _shown(penstock, config, saved=saved)
    may_change = visitor.may("config:write")
    template = "_settings_configurations.html"
    return section(template, workspace=config.workspace, may_change=may_change, **shown)


def _shown(
    penstock: Penstock, config: WorkspaceConfig, *, saved: str | None = None
) -> dict[str, Any]:
    default = config.default_configuration
    return {
        "default": default,
        "configurations": sorted(
            config.configurations.values(), key=lambda each: (each.name != default, each.name)
        ),
        "models": sorted(model.ref for model in penstock.catalog.models),
        "new_temperature": NEW_TEMPERATURE,
        "new_max_tokens": NEW_MAX_TOKENS,
        "saved": saved,
    }
