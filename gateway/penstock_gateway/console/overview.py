"""The overview: a lane for each provider, live."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.lanes import OverviewShown, overview_shown
from penstock_gateway.console.live import live
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.pulse import Pulses
from penstock_gateway.console.rendering import fragment, page, part
from penstock_gateway.console.session import Visitor, form_of, may

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False)


async def _pulses(request: Request) -> Pulses:
    return request.app.state.pulses


Readings = Annotated[Pulses, Depends(_pulses)]


async def _shown(pulses: Pulses, penstock: Penstock, visitor: Identity) -> OverviewShown:
    pulse = await pulses.read(visitor.workspace)
    names = {each.name: each.display_name for each in penstock.catalog.providers}
    return overview_shown(pulse, names, visitor.workspace)


@router.get("/")
async def overview(
    request: Request, visitor: Visitor, penstock: Connected, pulses: Readings
) -> Response:
    """Every provider at work."""
    shown = await _shown(pulses, penstock, visitor)
    return page(request, "overview.html", visitor, shown=shown)


@router.get("/overview/live")
async def overview_live(
    request: Request, visitor: Visitor, penstock: Connected, pulses: Readings
) -> Response:
    """The same, whenever it has changed."""

    async def render() -> str:
        shown = await _shown(pulses, penstock, visitor)
        return fragment("_lanes.html", shown=shown, visitor=visitor)

    return live(request, "lanes", render)


@router.post("/overview/recheck")
async def recheck(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Let calls try a breaker or a credential at once, instead of when its time has come."""
    may(visitor, "admin")
    form = await form_of(request)
    provider, gate = form.get("provider", [""])[0], form.get("gate", [""])[0]
    tried = await penstock.operations.try_gate(provider, gate)
    detail = (
        "the next job of its kind tries it" if tried else "it is open by now: nothing was to do"
    )
    return part("_note.html", kind="", title=f"{provider} {gate}:", detail=detail)
