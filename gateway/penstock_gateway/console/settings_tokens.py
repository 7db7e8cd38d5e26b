"""Settings, API tokens of a workspace: made by administrators, shown once, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from penstock_client import Penstock
from penstock_client.tokens import MOST_NAME, WORKSPACE_SCOPES, NewToken
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
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
from penstock_schemas.errors import InvalidJob

router = APIRouter(prefix="/settings/tokens", route_class=ConsoleRoute, include_in_schema=False)

#: What a scope lets its holder do.
_SCOPES: Final = {
    "jobs:read": "see jobs, runs and backfills, with their answers",
    "jobs:write": "submit, cancel and requeue them",
    "config:read": "see routing, budgets and providers",
    "config:write": "change them",
    "usage:read": "see calls, tokens and cost",
    "keys:write": "set and remove provider keys",
}
_LASTS: Final = {"": "never", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """The tokens of a workspace; who is no administrator is told whom to ask."""
    workspace = await looked_at(request, visitor, penstock)
    shown = await _shown(penstock, workspace, sees=visitor.may("admin"))
    template = "settings_tokens.html"
    return await tab(request, visitor, penstock, template, workspace=workspace, **shown)


@router.post("")
async def create(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Make a token, which this answer shows and no other."""
    may(visitor, "admin")
    workspace = await changed(request, visitor, penstock)
    form = await form_of(request)
    days = last(form, "days")
    if days not in _LASTS:
        raise InvalidJob("expires: is not one of the choices", field="expires_at")
    if not form.get("scope"):
        raise InvalidJob("scopes: tick at least one", field="scopes")
    made = await penstock.tokens.create(
        last(form, "name"),
        workspace=workspace,
        scopes=form["scope"],
        expires_at=datetime.now(UTC) + timedelta(days=int(days)) if days else None,
    )
    shown = await _shown(penstock, workspace, sees=True, made=made)
    if is_quick(request):
        return section("_settings_tokens.html", workspace=workspace, **shown)
    template = "settings_tokens.html"
    response = await tab(request, visitor, penstock, template, workspace=workspace, **shown)
    response.headers["cache-control"] = "no-store"
    return response


@router.post("/{token_id}/revoke")
async def revoke(
    request: Request, token_id: str, visitor: Visitor, penstock: Connected
) -> Response:
    """End a token: within seconds it is refused everywhere."""
    may(visitor, "admin")
    workspace = await changed(request, visitor, penstock)
    await penstock.tokens.revoke(token_id, workspace=workspace)
    if not is_quick(request):
        return back("/settings/tokens", workspace)
    shown = await _shown(penstock, workspace, sees=True)
    return section("_settings_tokens.html", workspace=workspace, **shown)


async def _shown(
    penstock: Penstock, workspace: str, *, sees: bool, made: NewToken | None = None
) -> dict[str, Any]:
    now = datetime.now(UTC)
    found = await penstock.tokens.list(workspace) if sees else []
    ended = [t for t in found if t.revoked_at or (t.expires_at and t.expires_at <= now)]
    return {
        "sees": sees,
        "made": made,
        "tokens": [each for each in reversed(found) if each not in ended],
        "ended": list(reversed(ended)),
        "scopes": {name: _SCOPES[name] for name in WORKSPACE_SCOPES},
        "lasts": _LASTS,
        "most_name": MOST_NAME,
    }
