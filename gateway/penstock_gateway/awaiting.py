"""Waiting for one job's result within a request, and how that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import BaseModel

from penstock_client import Penstock
from penstock_schemas.errors import ResultTimeout
from penstock_schemas.ids import JobId

#: A request waits for a result so long at most, in seconds.
MOST_WAIT_S: Final = 60

Wait = Annotated[
    float,
    Query(ge=0, le=MOST_WAIT_S, allow_inf_nan=False, description="Seconds to wait for the result."),
]


async def body_within(
    penstock: Penstock, job_id: JobId, wait_s: float, *, provider: str | None = None
) -> bytes | None:
    """The encoded result of a job, None if it does not come within so many seconds."""
    try:
        return await penstock.await_body(job_id, provider, wait_s)
    except ResultTimeout:
        return None


def json_response(
    status: int, shown: BaseModel, headers: Mapping[str, str] | None = None
) -> Response:
    """What is shown, as JSON."""
    body = shown.__pydantic_serializer__.to_json(shown)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")
