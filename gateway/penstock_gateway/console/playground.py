"""The playground's page: try a capability in a workspace and read its answer as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import RedirectResponse
from sse_starlette import EventSourceResponse

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.playground_form import KINDS, STRATEGIES, Form, Mistakes
from penstock_gateway.console.playground_trial import preview, submit, trial
from penstock_gateway.console.rendering import page, part
from penstock_gateway.console.session import (
    Visitor,
    form_of,
    may,
    remember,
    workspace_shown,
    workspaces_of,
)
from penstock_gateway.owned import owned_job
from penstock_gateway.serving import serving_of
from penstock_gateway.sse import LAST, PING_S, events_of
from penstock_schemas.errors import UnknownWorkspace
from penstock_schemas.ids import JobId, is_workspace_id

router = APIRouter(prefix="/playground", route_class=ConsoleRoute, include_in_schema=False)


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """The empty form, or what the query fills in."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)
    form = Form.of({**request.query_params, "workspace": workspace})
    return await _page(request, visitor, penstock, form=form)


@router.post("")
async def ask(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Submit what was filled in; to htmx the answer's place, or the mistakes."""
    may(visitor, "jobs:write")
    form = await _filled(request, visitor)
    quick = bool(request.headers.get("hx-request"))
    try:
        job_id = await submit(penstock, form, form.workspace)
    except Mistakes as mistakes:
        if not quick:
            return await _page(request, visitor, penstock, form=form, mistakes=mistakes.told)
        fields = await _choices(visitor, penstock, form)
        headers = {"hx-retarget": "#ask", "hx-reswap": "outerHTML"}
        answer = part("_playground_form.html", form=form, mistakes=mistakes.told, **fields)
        answer.headers.update(headers)
        return answer
    if not quick:
        return RedirectResponse(f"/playground/{job_id}", status_code=303)
    shown, _ = await trial(penstock, job_id)
    answer = part("_playground_trial.html", trial=shown, visitor=visitor)
    answer.headers["hx-push-url"] = f"/playground/{job_id}"
    remember(answer, request, form.workspace)
    return answer


@router.post("/route")
async def route(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Where the job would go that is filled in so far, and why."""
    may(visitor, "jobs:read")
    form = await _filled(request, visitor)
    try:
        routing, told = await preview(penstock, form, form.workspace), None
    except Mistakes as mistakes:
        routing, told = None, next(iter(mistakes.told.values()))
    return part("_playground_route.html", routing=routing, told=told)


@router.get("/{job_id}")
async def show_trial(
    request: Request, job_id: str, visitor: Visitor, penstock: Connected
) -> Response:
    """One job, with the form that asks for it again."""
    known = await _owned(job_id, visitor, penstock)
    shown, form = await trial(penstock, known)
    form = form or Form(workspace=shown.job.workspace, kind=shown.job.type)
    return await _page(request, visitor, penstock, form=form, trial=shown)


@router.get("/{job_id}/answer")
async def answer(job_id: str, visitor: Visitor, penstock: Connected) -> Response:
    """The place of one job's answer, as it stands."""
    known = await _owned(job_id, visitor, penstock)
    shown, _ = await trial(penstock, known)
    return part("_playground_trial.html", trial=shown, visitor=visitor)


@router.get("/{job_id}/why")
async def why(job_id: str, visitor: Visitor, penstock: Connected) -> Response:
    """Where a job stands that has not ended, in a sentence."""
    known = await _owned(job_id, visitor, penstock)
    return part("_playground_why.html", found=await penstock.explain(known))


@router.get("/{job_id}/events")
async def events(
    request: Request,
    job_id: str,
    visitor: Visitor,
    penstock: Connected,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """The pieces of an answer as they come, then its result: as the API's route of the name."""
    known = await _owned(job_id, visitor, penstock)
    if last_event_id == LAST:
        return Response(status_code=204)
    readers = serving_of(request).readers
    readers.check()
    told = events_of(penstock, known, after=last_event_id, readers=readers)
    return EventSourceResponse(told, ping=PING_S, headers={"cache-control": "no-store"})


@router.post("/{job_id}/cancel")
async def cancel(request: Request, job_id: str, visitor: Visitor, penstock: Connected) -> Response:
    """End a job now."""
    may(visitor, "jobs:write")
    known = await _owned(job_id, visitor, penstock)
    await penstock.cancel(known)
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/playground/{known}", status_code=303)
    shown, _ = await trial(penstock, known)
    return part("_playground_trial.html", trial=shown, visitor=visitor)


async def _page(
    request: Request,
    visitor: Identity,
    penstock: Penstock,
    *,
    form: Form,
    mistakes: Mapping[str, str] | None = None,
    trial: Any = None,
) -> Response:
    response = page(
        request,
        "playground.html",
        visitor,
        status=422 if mistakes else 200,
        form=form,
        trial=trial,
        mistakes=mistakes or {},
        workspaces=await workspaces_of(visitor, penstock),
        **await _choices(visitor, penstock, form),
    )
    remember(response, request, form.workspace)
    return response


async def _choices(visitor: Identity, penstock: Penstock, form: Form) -> dict[str, Any]:
    """What the fields of the form offer."""
    config = await penstock.workspaces.get(form.workspace)
    catalog = penstock.catalog
    kind = "embedding" if form.kind == "embed" else "chat"
    return {
        "may_ask": visitor.may("jobs:write"),
        "kinds": KINDS,
        "strategies": STRATEGIES,
        "capabilities": sorted({*catalog.capabilities, *config.routing}),
        "models": sorted(each.ref for each in catalog.models if each.kind == kind),
        "configurations": sorted(config.configurations),
    }


async def _filled(request: Request, visitor: Identity) -> Form:
    """The form that was sent; raises UnknownWorkspace for another's."""
    given = {name: values[-1] for name, values in (await form_of(request)).items()}
    form = Form.of(given)
    if not (is_workspace_id(form.workspace) and visitor.sees(form.workspace)):
        raise UnknownWorkspace(form.workspace[:100])
    return form


async def _owned(job_id: str, visitor: Identity, penstock: Penstock) -> JobId:
    """The job of that ID, as long as the visitor sees it; raises UnknownJob, Refused."""
    may(visitor, "jobs:read")
    return (await owned_job(job_id, visitor, penstock)).job.job_id
