"""Jobs: submit one or many, list them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from penstock_client.job_reads import find_jobs
from penstock_gateway.auth import Connected, JobsReader, JobsWriter, workspace_of
from penstock_gateway.awaiting import Wait, body_within, json_response
from penstock_gateway.bodies import takes
from penstock_gateway.job_bodies import read_jobs
from penstock_gateway.naming import Text, WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.serving import serving_of
from penstock_gateway.views import (
    JobPage,
    JobStatus,
    StateLabel,
    Submitted,
    SubmittedMany,
)
from penstock_schemas.results import Result
from penstock_schemas.status import JobState

router = APIRouter(prefix="/v1", tags=["jobs"])

_JOB_EXAMPLE: Final = {
    "type": "classify",
    "workspace": "acme",
    "text": "I want a refund",
    "labels": ["refund", "praise"],
}


async def _chosen(
    *,
    capability: Text = None,
    skill: Text = None,
    step: Text = None,
    agent: Text = None,
    task_type: Text = None,
    provider: Text = None,
    model: Text = None,
    session_key: Text = None,
    configuration: Text = None,
) -> dict[str, str | None]:
    """The tags that jobs are chosen by."""
    return {
        "capability": capability,
        "skill": skill,
        "step": step,
        "agent": agent,
        "task_type": task_type,
        "provider": provider,
        "model": model,
        "session_key": session_key,
        "configuration": configuration,
    }


@router.post(
    "/jobs",
    status_code=202,
    summary="Submit a job, or many",
    response_model=Submitted | SubmittedMany,
    responses={
        200: {"model": Result, "description": "The result, which came within `wait_s`."},
        202: {"description": "Recorded: no fault of ours loses it from here on."},
    },
    openapi_extra=takes("JobOrJobs", _JOB_EXAMPLE),
)
async def submit(
    request: Request,
    identity: JobsWriter,
    wait_s: Wait = 0,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="The `idempotency_key` of the one job that is sent."),
    ] = None,
) -> Response:
    """Record one job, or `{"jobs": [...]}` with up to 10,000, and start it.

    The same idempotency key in one workspace always gives the first job. A job without `workspace`
    is of the token's. With `wait_s` one job's result comes in the same answer, if it is there in
    time. Needs the scope `jobs:write`.
    """
    serving = serving_of(request)
    penstock = serving.connection.penstock
    given = await read_jobs(request, identity, idempotency_key)
    if not given.alone:
        if wait_s:
            raise Refused(422, "wait_s: only one job can be waited for", kind="invalid")
        handles = await penstock.submit_many(given.jobs)
        many = SubmittedMany(
            job_ids=[handle.job_id for handle in handles],
            providers=[handle.provider for handle in handles],
        )
        return json_response(202, many)
    placed = await penstock.place(given.jobs[0])
    job_id = await serving.submits.record(placed)
    headers = {"location": f"/v1/jobs/{job_id}"}
    # An earlier job of the same key may be at another provider.
    provider = placed.provider if job_id == str(placed.job_id) else None
    if wait_s:
        body = await body_within(penstock, job_id, wait_s, waits=serving.waits, provider=provider)
        if body is not None:
            return Response(body, headers=headers, media_type="application/json")
    shown = Submitted(job_id=job_id, workspace=placed.workspace, provider=provider)
    return json_response(202, shown, headers)


@router.get("/jobs", summary="List jobs, newest first", response_model=JobPage)
async def list_jobs(
    request: Request,
    identity: JobsReader,
    penstock: Connected,
    response: Response,
    *,
    workspace: WorkspaceQuery = None,
    state: StateLabel | None = None,
    before: Annotated[str | None, Query(description="Older than this job: the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    chosen: Annotated[dict[str, str | None], Depends(_chosen)],
) -> JobPage:
    """A workspace's jobs that have these tags. Needs the scope `jobs:read`."""
    name = workspace_of(identity, workspace)
    await penstock.workspaces.get(name)
    wanted = None if state is None else JobState.parse(state)
    rows = await find_jobs(
        penstock.ledger, name, state=wanted, where=chosen, before=before, limit=limit
    )
    following = str(rows[-1].job_id) if len(rows) == limit else None
    if following is not None:
        url = request.url.include_query_params(before=following)
        response.headers["link"] = f'<{url.path}?{url.query}>; rel="next"'
    return JobPage(jobs=[JobStatus.model_validate(row) for row in rows], next=following)
