"""Jobs: searching them, a job's page, and those that failed, by reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from penstock_client import Penstock
from penstock_client.job_reads import JobFound, read_job, read_request
from penstock_client.job_search import COUNTED, SCANNED, JobSearch, failed_reasons, search_jobs
from penstock_client.requeueing import REQUEUEABLE
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.job_views import JobShown, job_shown
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
from penstock_gateway.owned import owned_job
from penstock_gateway.problems import Refused
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import parse_job_id
from penstock_schemas.jobs import JobType
from penstock_schemas.status import JobState

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False)

PAGE_JOBS: Final = 50
#: Jobs that one press of a button starts again.
_MOST_REQUEUED: Final = 1000
_WITHIN: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_STATES: Final = {
    "live": (JobState.QUEUED, JobState.DEFERRED, JobState.BLOCKED, JobState.RUNNING),
    **{state.label: (state,) for state in JobState},
}
_Field = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class Asked:
    """What the form of the search says, as it was sent."""

    def __init__(
        self,
        *,
        state: _Field = "",
        capability: _Field = "",
        skill: _Field = "",
        step: _Field = "",
        model: _Field = "",
        error: _Field = "",
        within: _Field = "",
        before: _Field = "",
    ) -> None:
        self.state = state if state in _STATES else ""
        self.capability, self.skill, self.step = capability, skill, step
        self.model, self.error = model, error
        self.within = within if within in _WITHIN else ""
        self.before = before

    @property
    def fields(self) -> dict[str, str]:
        """What was filled in, but for the place in the list."""
        return {name: value for name, value in vars(self).items() if value and name != "before"}

    def search(self, workspace: str, *, now: datetime) -> JobSearch:
        """As a search; raises Refused for a place that is no job ID."""
        provider, _, model = self.model.partition("/")
        try:
            before = parse_job_id(self.before) if self.before else None
        except ValueError:
            raise Refused(422, "before: is not a job ID", kind="invalid") from None
        return JobSearch(
            workspace=workspace,
            states=_STATES[self.state] if self.state else None,
            capability=self.capability or None,
            skill=self.skill or None,
            step=self.step or None,
            provider=provider if model else None,
            model=model or self.model or None,
            error=self.error or None,
            since=now - _WITHIN[self.within] if self.within else None,
            before=before,
            limit=PAGE_JOBS,
        )


@router.get("/jobs")
async def list_jobs(
    request: Request, visitor: Visitor, penstock: Connected, asked: Annotated[Asked, Depends()]
) -> Response:
    """A workspace's jobs, newest first; a job's ID in the search leads to its page."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)
    found = await search_jobs(penstock.ledger, asked.search(workspace, now=datetime.now(UTC)))
    older = None
    if found.before is not None:
        query = {**asked.fields, "workspace": workspace, "before": found.before}
        older = f"/jobs?{urlencode(query)}"
    response = page(
        request,
        "jobs.html",
        visitor,
        workspace=workspace,
        workspaces=await workspaces_of(visitor, penstock),
        asked=asked,
        jobs=found.jobs,
        older=older,
        horizon=found.horizon,
        scanned=SCANNED,
        states=list(_STATES),
        capabilities=get_args(JobType),
        within=list(_WITHIN),
    )
    remember(response, request, workspace)
    return response


@router.get("/jobs/find")
async def find(visitor: Visitor, id: _Field = "") -> Response:  # noqa: A002 - its name in the URL
    """To the page of the job with that ID."""
    may(visitor, "jobs:read")
    try:
        return RedirectResponse(f"/jobs/{parse_job_id(id.strip())}", status_code=303)
    except ValueError:
        raise Refused(404, "a job ID is a UUID, such as 0197c1b2-9d3e-7f00-8a52-…") from None


async def _readable(job_id: str, visitor: Visitor, penstock: Connected) -> JobFound:
    may(visitor, "jobs:read")
    return await owned_job(job_id, visitor, penstock)


async def _writable(job_id: str, visitor: Visitor, penstock: Connected) -> JobFound:
    may(visitor, "jobs:write")
    return await owned_job(job_id, visitor, penstock)


Readable = Annotated[JobFound, Depends(_readable)]
Writable = Annotated[JobFound, Depends(_writable)]


async def _shown(found: JobFound, penstock: Penstock) -> JobShown:
    job_id = found.job.job_id
    try:
        explained = await penstock.explain(job_id)
        attempts = explained.attempts
    except Unavailable:  # the page says what the record knows
        explained, attempts = None, await penstock.operations.attempts(job_id)
    return job_shown(
        found.job,
        attempts=attempts,
        explained=explained,
        envelope=await read_request(penstock.ledger, job_id),
        body=found.body,
    )


@router.get("/jobs/{job_id}")
async def one_job(
    request: Request, visitor: Visitor, found: Readable, penstock: Connected
) -> Response:
    """A job's life, what it was asked and what came of it."""
    shown = await _shown(found, penstock)
    response = page(request, "job.html", visitor, shown=shown)
    remember(response, request, found.job.workspace)
    return response


@router.get("/jobs/{job_id}/live")
async def one_job_live(
    request: Request, visitor: Visitor, found: Readable, penstock: Connected
) -> Response:
    """The same, whenever it has changed."""

    async def render() -> str:
        again = await read_job(penstock.ledger, found.job.job_id)
        shown = await _shown(again, penstock)
        return fragment("_job.html", shown=shown, visitor=visitor)

    return live(request, "job", render)


@router.post("/jobs/{job_id}/cancel")
async def cancel(visitor: Visitor, found: Writable, penstock: Connected) -> Response:
    """End a job now."""
    await penstock.cancel(found.job.job_id)
    return await _again(visitor, found, penstock)


@router.post("/jobs/{job_id}/requeue")
async def requeue(visitor: Visitor, found: Writable, penstock: Connected) -> Response:
    """Start a job again."""
    await penstock.requeue([found.job.job_id])
    return await _again(visitor, found, penstock)


async def _again(visitor: Identity, found: JobFound, penstock: Penstock) -> Response:
    shown = await _shown(await read_job(penstock.ledger, found.job.job_id), penstock)
    return part("_job.html", shown=shown, visitor=visitor)


@router.get("/failed")
async def failed(
    request: Request, visitor: Visitor, penstock: Connected, within: _Field = ""
) -> Response:
    """Why jobs ended without an answer, with as many as there are of each."""
    may(visitor, "jobs:read")
    workspace = await workspace_shown(request, visitor, penstock)
    chosen = within if within in _WITHIN else ""
    since = datetime.now(UTC) - _WITHIN[chosen] if chosen else None
    response = page(
        request,
        "failed.html",
        visitor,
        workspace=workspace,
        workspaces=await workspaces_of(visitor, penstock),
        reasons=await failed_reasons(penstock.ledger, workspace, since=since),
        counted=COUNTED,
        within=chosen,
        spans=list(_WITHIN),
        most=_MOST_REQUEUED,
    )
    remember(response, request, workspace)
    return response


@router.post("/failed/requeue")
async def requeue_failed(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """Start those again that ended for one reason, the newest first."""
    may(visitor, "jobs:write")
    form = await form_of(request)
    workspace, error = form.get("workspace", [""])[0], form.get("error", [""])[0]
    within = form.get("within", [""])[0]
    if not visitor.sees(workspace):
        raise Refused(404, "there is no such workspace", kind="unknown-workspace")
    await penstock.workspaces.get(workspace)
    since = datetime.now(UTC) - _WITHIN[within] if within in _WITHIN else None
    search = JobSearch(workspace=workspace, error=error, since=since, limit=_MOST_REQUEUED)
    found = await search_jobs(penstock.ledger, search)
    again = {state.label for state in REQUEUEABLE}
    ids = [job.job_id for job in found.jobs if job.status in again]
    handles = await penstock.requeue(ids, skip_others=True) if ids else []
    left = " There are more: press again." if found.before else ""
    return part(
        "_note.html", kind="", title=f"{len(handles):,} jobs start again.", detail=left.strip()
    )
