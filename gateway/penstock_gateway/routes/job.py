"""One job, by its ID: await it, read it along, explain it, cancel it, start it again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from sse_starlette import EventSourceResponse

from penstock_client.job_reads import JobFound, read_job
from penstock_gateway.auth import Connected, JobsReader, JobsWriter
from penstock_gateway.awaiting import Wait, body_within, json_response
from penstock_gateway.owned import owned_job
from penstock_gateway.serving import serving_of
from penstock_gateway.sse import LAST, PING_S, events_of
from penstock_gateway.views import (
    Attempt,
    Attempts,
    Cancelled,
    Explained,
    JobStatus,
    Pending,
    Submitted,
    explained,
)
from penstock_schemas.results import Result

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


async def _readable(job_id: str, identity: JobsReader, penstock: Connected) -> JobFound:
    return await owned_job(job_id, identity, penstock)


async def _writable(job_id: str, identity: JobsWriter, penstock: Connected) -> JobFound:
    return await owned_job(job_id, identity, penstock)


Readable = Annotated[JobFound, Depends(_readable)]
Writable = Annotated[JobFound, Depends(_writable)]


@router.get("", summary="Get a job, or await its result", response_model=Result | Pending)
async def get_job(
    request: Request, found: Readable, penstock: Connected, wait_s: Wait = 0
) -> Response:
    """The result once the job has ended, and until then where it stands; `status` tells.

    With `wait_s` the answer comes as soon as the job has ended, and after that time at the latest.
    Needs the scope `jobs:read`.
    """
    body = found.body
    if body is None and wait_s:
        waits = serving_of(request).waits
        body = await body_within(penstock, found.job.job_id, wait_s, waits=waits)
        if body is None:
            found = await read_job(penstock.ledger, found.job.job_id)
            body = found.body
    if body is None:
        return json_response(200, JobStatus.model_validate(found.job))
    return Response(body, media_type="application/json")


@router.get("/attempts", summary="The calls of a job")
async def attempts(found: Readable, penstock: Connected) -> Attempts:
    """Every call that was made for the job, in order, with its cost. Scope `jobs:read`."""
    seen = await penstock.operations.attempts(found.job.job_id)
    return Attempts(attempts=[Attempt.model_validate(attempt) for attempt in seen])


@router.get("/explain", summary="Why a job waits")
async def explain(found: Readable, penstock: Connected) -> Explained:
    """Where the job stands and why, and when it may start. Needs the scope `jobs:read`."""
    return explained(await penstock.explain(found.job.job_id))


@router.get(
    "/events",
    summary="Read a job's answer along",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events: `delta` for each piece of a streamed answer, then "
            "`result`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The result was sent already: do not connect again."},
    },
)
async def events(
    request: Request,
    found: Readable,
    penstock: Connected,
    last_event_id: Annotated[
        str | None,
        Header(max_length=40, description="Go on after this event; browsers send it."),
    ] = None,
) -> Response:
    """Server-sent events: a `delta` for each piece of a job with `stream`, as they come, then the
    `result`. A `delta` with `restarted` voids what came before it. Needs the scope `jobs:read`.
    """
    if last_event_id == LAST:
        return Response(status_code=204)
    serving = serving_of(request)
    serving.readers.check()
    told = events_of(penstock, found.job.job_id, after=last_event_id, readers=serving.readers)
    return EventSourceResponse(told, ping=PING_S, headers={"cache-control": "no-store"})


@router.delete("", summary="Cancel a job")
async def cancel(found: Writable, penstock: Connected) -> Cancelled:
    """End the job now; a call under way for it is stopped, and counts as what it may have cost.

    A job that has ended stays as it is. Needs the scope `jobs:write`.
    """
    state = await penstock.cancel(found.job.job_id)
    return Cancelled(job_id=found.job.job_id, status=state.label)  # type: ignore[arg-type]


@router.post("/requeue", status_code=202, summary="Start a failed job again")
async def requeue(found: Writable, penstock: Connected) -> Submitted:
    """Start a job again that failed, expired or was cancelled. Needs the scope `jobs:write`."""
    handle = (await penstock.requeue([found.job.job_id]))[0]
    return Submitted(job_id=handle.job_id, workspace=handle.workspace)
