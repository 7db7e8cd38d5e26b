"""The runs' pages: each drawn as its graph, live, with the calls of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from penstock_client import Penstock
from penstock_client.pipelines.rows import skill_of
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.live import live
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.rendering import fragment, page, part
from penstock_gateway.console.run_views import ItemShown, RunShown, item_shown, run_shown
from penstock_gateway.console.session import (
    Visitor,
    may,
    remember,
    workspace_shown,
    workspaces_of,
)
from penstock_gateway.owned import owned_run
from penstock_gateway.problems import Refused
from penstock_schemas.runs import RunRow, RunState, StepState

router = APIRouter(prefix="/runs", route_class=ConsoleRoute, include_in_schema=False)
_PAGE: Final = 50
_ITEMS: Final = 20
_MOST_ITEM: Final = 2**31 - 1
_RUN_LABELS: Final = frozenset(state.label for state in RunState)
_ITEM_LABELS: Final = frozenset(state.label for state in StepState)


@dataclass(frozen=True, slots=True)
class RunsShown:
    """Some runs, and the last ID to page on with; None: no more."""

    rows: tuple[RunRow, ...]
    following: str | None


@dataclass(frozen=True, slots=True)
class ItemsShown:
    """Some calls of a step, of one state or (empty) of any; `following` as of runs."""

    step: str
    state: str
    rows: tuple[ItemShown, ...]
    following: int | None
    later: bool


@router.get("")
async def show_list(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """A workspace's runs, newest first."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)
    response = page(
        request,
        "runs.html",
        visitor,
        shown=await _list(request, penstock, workspace),
        workspaces=await workspaces_of(visitor, penstock),
        states=[state.label for state in RunState],
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
        return fragment("_runs.html", shown=shown, **_asked(request, workspace))

    return live(request, "runs", render)


@router.get("/{run_id}")
async def show(request: Request, run_id: str, visitor: Visitor, penstock: Connected) -> Response:
    """One run, and the calls of one of its steps."""
    shown = await _owned(run_id, visitor, penstock)
    items = await _items(request, penstock, shown)
    query = request.url.query
    return page(request, "run.html", visitor, shown=shown, items=items, query=query)


@router.get("/{run_id}/live")
async def live_one(
    request: Request, run_id: str, visitor: Visitor, penstock: Connected
) -> Response:
    """How one run stands, again and again."""
    await _owned(run_id, visitor, penstock)

    async def render() -> str:
        shown = await _owned(run_id, visitor, penstock)
        items = await _items(request, penstock, shown)
        return fragment("_run.html", shown=shown, items=items, visitor=visitor)

    return live(request, "run", render)


@router.post("/{run_id}/{action}")
async def steer(
    request: Request, run_id: str, action: str, visitor: Visitor, penstock: Connected
) -> Response:
    """Cancel a run, or let it go on."""
    may(visitor, "jobs:write")
    known = (await _owned(run_id, visitor, penstock)).result.run_id
    if action == "cancel":
        await penstock.runs.cancel(known)
    elif action == "resume":
        await penstock.runs.resume(known)
    else:
        raise Refused(404, "there is nothing of this name to do")
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/runs/{known}", status_code=303)
    shown = await _owned(known, visitor, penstock)
    items = await _items(request, penstock, shown)
    return part("_run.html", shown=shown, items=items, visitor=visitor)


async def _owned(run_id: str, visitor: Identity, penstock: Penstock) -> RunShown:
    """The run, as long as the visitor sees it; raises UnknownRun, Refused."""
    may(visitor, "jobs:read")
    result = await owned_run(run_id, visitor, penstock)
    rows = await penstock.ledger.fetch_safely("run_get", [UUID(result.run_id)])
    return run_shown(result, skill_of(rows[0]["definition"]).plan)


def _asked(request: Request, workspace: str) -> dict[str, Any]:
    """What the list is of."""
    asked = request.query_params
    chosen = {name: asked.get(name, "") for name in ("state", "skill")}
    return {"workspace": workspace, "before": asked.get("before"), **chosen}


async def _list(request: Request, penstock: Penstock, workspace: str) -> RunsShown:
    asked = request.query_params
    state = asked.get("state")
    rows = await penstock.runs.list(
        workspace,
        state=RunState.parse(state) if state in _RUN_LABELS else None,
        skill=asked.get("skill", "").replace("\x00", "") or None,
        before=asked.get("before") or None,
        limit=_PAGE,
    )
    return RunsShown(tuple(rows), rows[-1].run_id if len(rows) == _PAGE else None)


async def _items(request: Request, penstock: Penstock, run: RunShown) -> ItemsShown | None:
    """The calls of the step that the query names; None without one."""
    asked = request.query_params
    step, state = asked.get("step"), asked.get("state", "")
    if step is None:
        return None
    after = asked.get("after", "")[:10]
    known = int(after) if after.isascii() and after.isdigit() else -1
    rows = await penstock.runs.items(
        run.result.run_id,
        step,
        state=StepState.parse(state) if state in _ITEM_LABELS else None,
        after=min(known, _MOST_ITEM),
        limit=_ITEMS,
    )
    following = rows[-1].item if len(rows) == _ITEMS else None
    return ItemsShown(step, state, tuple(map(item_shown, rows)), following, known >= 0)
