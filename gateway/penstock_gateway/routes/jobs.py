"""Jobs: submit one or many, list them, and fetch many results at once."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic_core import to_json

from penstock_client.job_reads import find_jobs
from penstock_gateway.auth import Connected, JobsReader, JobsWriter, workspace_of
from penstock_gateway.awaiting import Wait, body_within, json_response
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.job_bodies import read_jobs
from penstock_gateway.naming import Text, WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.serving import serving_of
from penstock_gateway.views import (
    JobIds,
    JobPage,
    JobStatus,
    Results,
    StateLabel,
    Submitted,
    SubmittedMany,
)
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.results import Result
from penstock_schemas.status import JobState
from penstock_schemas.unkept import unkept

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
        return json_response(202, SubmittedMany(job_ids=[handle.job_id for handle in handles]))
    placed = await penstock.place(given.jobs[0])
    job_id = await serving.submits.record(placed)
    headers = {"location": f"/v1/jobs/{job_id}"}
    if wait_s:
        # An earlier job of the same key may be at another provider.
        provider = placed.provider if job_id == str(placed.job_id) else None
        body = await body_within(penstock, job_id, wait_s, waits=serving.waits, provider=provider)
        if body is not None:
            return Response(body, headers=headers, media_type="application/json")
    return json_response(202, Submitted(job_id=job_id, workspace=placed.workspace), headers)


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


@router.post(
    "/results",
    summary="Fetch many results at once",
    response_model=Results,
    openapi_extra=takes(JobIds, {"job_ids": ["019aa0a4-0000-7000-8000-000000000000"]}),
)
async def results(
    identity: JobsReader,
    asked: Annotated[JobIds, Depends(body_of(JobIds))],
    penstock: Connected,
) -> Response:
    """The results of up to 1,000 jobs, those that are there. Needs the scope `jobs:read`."""
    known: dict[JobId, str] = {}
    for text in asked.job_ids:
        try:
            known[parse_job_id(text)] = text
        except ValueError:
            raise Refused(422, "job_ids: a job ID is a UUID", kind="invalid") from None
    found = await penstock.ledger.results([UUID(job_id) for job_id in known])
    there: list[bytes] = []
    left: dict[str, list[str]] = {"pending": [], "unknown": []}
    for job_id, text in known.items():
        state, workspace, body = found.get(UUID(job_id), (None, None, None))
        if state is None or workspace is None or not identity.sees(workspace):
            left["unknown"].append(text)
        elif body is not None or state.is_terminal:
            there.append(body or unkept(job_id, workspace, state))
        else:
            left["pending"].append(text)
    # What was recorded is JSON already.
    told = b'{"results":[' + b",".join(there) + b"]," + to_json(left)[1:]
    return Response(told, media_type="application/json")
