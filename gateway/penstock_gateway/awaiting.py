"""Waiting for one job's result within a request, and how that is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final

from fastapi import Query, Request, Response
from pydantic import BaseModel

from penstock_client import Penstock
from penstock_schemas.ids import JobId

#: A request waits for a result so long at most, in seconds.
MOST_WAIT_S: Final = 60
#: Once the first of several results is there, others are waited for so long for each that is
#: asked for, in seconds: who awaits many is answered ten times a second, not for each.
_EACH_S: Final = 0.0001

Wait = Annotated[
    float,
    Query(ge=0, le=MOST_WAIT_S, allow_inf_nan=False, description="Seconds to wait for the result."),
]


class Waits:
    """The requests that wait for something, so that they end when the process is about to stop."""

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

    async def pause(self, pause_s: float) -> bool:
        """Wait so many seconds; False once `stop` is called, and then at once."""
        with suppress(TimeoutError):
            async with self.within(pause_s):
                await asyncio.Event().wait()
        return not self._stopped

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


async def bodies_within(
    request: Request, job_ids: Sequence[JobId], wait_s: float, *, waits: Waits, penstock: Penstock
) -> dict[JobId, bytes]:
    """The encoded results of the first of these jobs to end, and of those that end with it.

    None of them after so many seconds, or once whoever asks has gone. Raises UnknownJob.
    """
    awaited = {
        asyncio.ensure_future(penstock.await_body(job_id, None, None)): job_id for job_id in job_ids
    }
    gone = asyncio.ensure_future(_gone(request))
    try:
        async with waits.within(wait_s):
            await asyncio.wait((*awaited, gone), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_EACH_S * (len(awaited) - 1))
    except TimeoutError:
        pass
    finally:
        for task in (*awaited, gone):
            task.cancel()
        await asyncio.wait((*awaited, gone))
    ended = {job_id: task for task, job_id in awaited.items() if not task.cancelled()}
    return {job_id: task.result() for job_id, task in ended.items()}


async def _gone(request: Request) -> None:
    """Return once whoever asks has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def json_response(
    status: int, shown: BaseModel, headers: Mapping[str, str] | None = None
) -> Response:
    """What is shown, as JSON."""
    body = shown.__pydantic_serializer__.to_json(shown)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")
