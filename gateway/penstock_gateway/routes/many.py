"""Many jobs at once, by their IDs: fetch or await their results, cancel them, start them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic_core import to_json

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected, JobsReader, JobsWriter
from penstock_gateway.awaiting import Wait, bodies_within
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.serving import serving_of
from penstock_gateway.views import (
    Cancelled,
    CancelledMany,
    JobIds,
    RequeueBody,
    Requeued,
    Results,
    Submitted,
)
from penstock_schemas.errors import UnknownJob
from penstock_schemas.ids import JobId, parse_job_id
from penstock_schemas.unkept import unkept

router = APIRouter(prefix="/v1", tags=["jobs"])

_EXAMPLE: Final = {"job_ids": ["019aa0a4-0000-7000-8000-000000000000"]}


@router.post(
    "/results",
    summary="Fetch or await many results at once",
    response_model=Results,
    openapi_extra=takes(JobIds, _EXAMPLE),
)
async def results(
    request: Request,
    identity: JobsReader,
    asked: Annotated[JobIds, Depends(body_of(JobIds))],
    penstock: Connected,
    wait_s: Wait = 0,
) -> Response:
    """The results of up to 1,000 jobs, those that are there.

    With `wait_s`, where none is there yet, the answer comes once the first of them has ended, with
    those that end right after it. Needs the scope `jobs:read`.
    """
    known = {job_id: text for text in asked.job_ids for job_id in (parse_job_id(text),)}
    found = await penstock.ledger.results([UUID(job_id) for job_id in known])
    there: list[bytes] = []
    pending: list[JobId] = []
    unknown: list[str] = []
    for job_id, text in known.items():
        state, workspace, body = found.get(UUID(job_id), (None, None, None))
        if state is None or workspace is None or not identity.sees(workspace):
            unknown.append(text)
        elif body is not None or state.is_terminal:
            there.append(body or unkept(job_id, workspace, state))
        else:
            pending.append(job_id)
    if wait_s and pending and not there and not unknown:
        waits = serving_of(request).waits
        ended = await bodies_within(request, pending, wait_s, waits=waits, penstock=penstock)
        there = list(ended.values())
        pending = [job_id for job_id in pending if job_id not in ended]
    left = {"pending": [known[job_id] for job_id in pending], "unknown": unknown}
    # What was recorded is JSON already.
    told = b'{"results":[' + b",".join(there) + b"]," + to_json(left)[1:]
    return Response(told, media_type="application/json")


@router.post(
    "/jobs/cancel",
    summary="Cancel many jobs",
    openapi_extra=takes(JobIds, _EXAMPLE),
)
async def cancel(
    identity: JobsWriter,
    asked: Annotated[JobIds, Depends(body_of(JobIds))],
    penstock: Connected,
) -> CancelledMany:
    """End up to 1,000 jobs now, as cancelling each does; none where one of them does not exist.

    Needs the scope `jobs:write`.
    """
    known = await _owned(asked.job_ids, identity, penstock)
    states = await penstock.cancel_many(known)
    return CancelledMany(
        jobs=[
            Cancelled(job_id=job_id, status=states[job_id].label)  # type: ignore[arg-type]
            for job_id in known
        ]
    )


@router.post(
    "/jobs/requeue",
    status_code=202,
    summary="Start many jobs again",
    openapi_extra=takes(RequeueBody, _EXAMPLE),
)
async def requeue(
    identity: JobsWriter,
    asked: Annotated[RequeueBody, Depends(body_of(RequeueBody))],
    penstock: Connected,
) -> Requeued:
    """Start up to 1,000 jobs again that failed, expired or were cancelled: all of them or none.

    With `skip_others` those that cannot be are left out. Needs the scope `jobs:write`.
    """
    known = await _owned(asked.job_ids, identity, penstock)
    handles = await penstock.requeue(known, skip_others=asked.skip_others)
    return Requeued(
        jobs=[Submitted(job_id=each.job_id, workspace=each.workspace) for each in handles]
    )


async def _owned(texts: Sequence[str], identity: Identity, penstock: Penstock) -> list[JobId]:
    """The jobs, each once. Raises UnknownJob for one that this token does not see."""
    known = list(dict.fromkeys(map(parse_job_id, texts)))
    found = await penstock.ledger.results([UUID(job_id) for job_id in known])
    for job_id in known:
        if UUID(job_id) not in found or not identity.sees(found[UUID(job_id)][1]):
            raise UnknownJob(job_id)
    return known
