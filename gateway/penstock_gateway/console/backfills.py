"""The backfills' pages: how far each has come, live, and what steers it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.backfill_views import BackfillPage, BackfillShown, backfill_shown
from penstock_gateway.console.live import live
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.rendering import fragment, page, part
from penstock_gateway.console.session import (
    Visitor,
    form_of,
    may,
    remember,
    workspace_shown,
    workspaces_of,
)
from penstock_gateway.owned import owned_backfill
from penstock_gateway.problems import Refused
from penstock_schemas.backfills import BackfillState

router = APIRouter(prefix="/backfills", route_class=ConsoleRoute, include_in_schema=False)
_PAGE: Final = 50
_INVALID: Final = 20


@router.get("")
async def show_list(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """A workspace's backfills, newest first."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)
    found = await _list(request, penstock, workspace)
    response = page(
        request,
        "backfills.html",
        visitor,
        shown=found,
        workspaces=await workspaces_of(visitor, penstock),
        states=[state.label for state in BackfillState],
        query=request.url.query,
        **_asked(request, workspace),
    )
    remember(response, request, workspace)
    return response


@router.get("/live")
async def live_list(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """The list, again and again."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)

    async def render() -> str:
        shown = await _list(request, penstock, workspace)
        return fragment("_backfills.html", shown=shown, **_asked(request, workspace))

    return live(request, "backfills", render)


@router.get("/{backfill_id}")
async def show(
    request: Request, backfill_id: str, visitor: Visitor, penstock: Connected
) -> Response:
    """One backfill."""
    shown = await _owned(backfill_id, visitor, penstock, share=True)
    invalid: list[str] = []
    if shown.status.invalid:
        known = shown.status.backfill_id
        invalid = await penstock.backfills.invalid_rows(known, limit=_INVALID)
    return page(request, "backfill.html", visitor, shown=shown, invalid=invalid)


@router.get("/{backfill_id}/live")
async def live_one(
    request: Request, backfill_id: str, visitor: Visitor, penstock: Connected
) -> Response:
    """How one backfill stands, again and again."""
    await _owned(backfill_id, visitor, penstock)

    async def render() -> str:
        shown = await _owned(backfill_id, visitor, penstock, share=True)
        return fragment("_backfill.html", shown=shown, visitor=visitor)

    return live(request, "backfill", render)


@router.get("/{backfill_id}/export")
async def export(backfill_id: str, visitor: Visitor, penstock: Connected) -> Response:
    """The rows that have ended with their answers, as JSON lines in the order of the input."""
    shown = await _owned(backfill_id, visitor, penstock)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", shown.status.name).strip("-.") or "backfill"
    headers = {"content-disposition": f'attachment; filename="{name[:80]}.jsonl"'}
    lines = _lines(penstock, shown.status.backfill_id)
    return StreamingResponse(lines, headers=headers, media_type="application/x-ndjson")


async def _lines(penstock: Penstock, backfill_id: str) -> AsyncIterator[bytes]:
    async for row in penstock.backfills.export(backfill_id, every_row=True):
        yield orjson.dumps(row.answer, option=orjson.OPT_APPEND_NEWLINE)


@router.post("/{backfill_id}/{action}")
async def steer(
    request: Request, backfill_id: str, action: str, visitor: Visitor, penstock: Connected
) -> Response:
    """Pause, resume, cancel it, ask its failed rows again, or change its bounds."""
    may(visitor, "jobs:write")
    known = (await _owned(backfill_id, visitor, penstock)).status.backfill_id
    backfills = penstock.backfills
    if action == "pause":
        await backfills.pause(known, reason=f"by {visitor.name}")
    elif action == "resume":
        await backfills.resume(known)
    elif action == "bounds":
        await backfills.resume(known, changes=_bounds(await form_of(request)))
    elif action == "retry":
        await backfills.retry_failed(known)
    elif action == "cancel":
        await backfills.cancel(known)
    else:
        raise Refused(404, "there is nothing of this name to do")
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/backfills/{known}", status_code=303)
    shown = await _owned(known, visitor, penstock, share=True)
    return part("_backfill.html", shown=shown, visitor=visitor)


async def _owned(
    backfill_id: str, visitor: Identity, penstock: Penstock, *, share: bool = False
) -> BackfillShown:
    """The backfill, as long as the visitor sees it; raises UnknownBackfill, Refused."""
    may(visitor, "jobs:read")
    return backfill_shown(await owned_backfill(backfill_id, visitor, penstock, share=share))


def _asked(request: Request, workspace: str) -> dict[str, Any]:
    """What the list is of."""
    asked = request.query_params
    return {
        "workspace": workspace,
        "state": asked.get("state", ""),
        "before": asked.get("before"),
    }


async def _list(request: Request, penstock: Penstock, workspace: str) -> BackfillPage:
    state = request.query_params.get("state")
    wanted = BackfillState.parse(state) if state in _LABELS else None
    before = request.query_params.get("before") or None
    rows = await penstock.backfills.list(workspace, state=wanted, before=before, limit=_PAGE)
    following = rows[-1].backfill_id if len(rows) == _PAGE else None
    return BackfillPage(tuple(map(backfill_shown, rows)), following)


def _bounds(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """The bounds that were filled in; an empty ceiling is none."""
    given = {name: form[name][-1].strip() for name in _BOUNDS if name in form}
    if not given.get("window", "x"):
        del given["window"]
    if share := given.get("max_error_rate"):
        given["max_error_rate"] = share.removesuffix("%").strip()
    return {name: value or None for name, value in given.items()}


_BOUNDS: Final = ("window", "max_cost_usd", "max_error_rate")
_LABELS: Final = frozenset(state.label for state in BackfillState)
