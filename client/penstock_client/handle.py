"""A submitted job, as its producer holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from penstock_client.waiting import decode_result
from penstock_schemas.deltas import Delta
from penstock_schemas.ids import JobId
from penstock_schemas.results import Result
from penstock_schemas.status import JobState


class Connection(Protocol):
    """What a handle asks of the connection that made it."""

    async def await_body(
        self, job_id: JobId, provider: str | None, timeout_s: float | None
    ) -> bytes:
        """The encoded result of a job; raises UnknownJob, ResultTimeout."""
        ...

    async def cancel(self, job_id: str) -> JobState:
        """End a job now; returns its state."""
        ...

    def stream(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of a job's streamed answer."""
        ...


@dataclass(frozen=True, slots=True)
class Handle:
    """A submitted job: its ID is enough to await it from any other process.

    `provider` is where it was placed, None for a job that an earlier submit placed.
    """

    job_id: JobId
    workspace: str
    provider: str | None
    output_type: type[BaseModel] | None
    _penstock: Connection

    async def result(self, *, timeout_s: float | None = None) -> Result:
        """The result, whatever it is; raises ResultTimeout. The job goes on after a timeout."""
        body = await self._penstock.await_body(self.job_id, self.provider, timeout_s)
        return decode_result(body, self.output_type)

    async def cancel(self) -> JobState:
        """Cancel the job; see `Penstock.cancel`."""
        return await self._penstock.cancel(self.job_id)

    def stream(self, *, after: str | None = None) -> AsyncIterator[Delta]:
        """The pieces of the answer to a job with `stream`, as they come; see `Penstock.stream`."""
        return self._penstock.stream(self.job_id, after=after)
