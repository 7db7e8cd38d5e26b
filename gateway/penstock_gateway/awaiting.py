"""Waiting for one job's result within a request, and how that is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import BaseModel

from penstock_client import Penstock
from penstock_schemas.ids import JobId

#: A request waits for a result so long at most, in seconds.
MOST_WAIT_S: Final = 60

Wait = Annotated[
    float,
    Query(ge=0, le=MOST_WAIT_S, allow_inf_nan=False, description="Seconds to wait for the result."),
]


class Waits:
    """The requests that wait for a result, so that they end when the process is about to stop."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._stopped = False

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._open)

    @asynccontextmanager
    async def within(self, wait_s: float) -> AsyncGenerator[None]:
        """Raises TimeoutError out of the block after so many seconds, or once `stop` is called."""
        async with asyncio.timeout(0 if self._stopped else wait_s) as bound:
            self._open.add(bound)
            try:
                yield
            finally:
                self._open.discard(bound)

    def stop(self) -> None:
        """End all waits, and those to come."""
        self._stopped = True
        now = asyncio.get_running_loop().time()
        for bound in self._open:
            bound.reschedule(now)


async def body_within(
    penstock: Penstock,
    job_id: JobId,
    wait_s: float,
    *,
    waits: Waits,
    provider: str | None = None,
) -> bytes | None:
    """The encoded result of a job, None if it does not come within so many seconds."""
    try:
        async with waits.within(wait_s):
            return await penstock.await_body(job_id, provider, None)
    except TimeoutError:
        return None


def json_response(
    status: int, shown: BaseModel, headers: Mapping[str, str] | None = None
) -> Response:
    """What is shown, as JSON."""
    body = shown.__pydantic_serializer__.to_json(shown)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")
