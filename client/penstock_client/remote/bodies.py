"""Pure: jobs -> bodies of requests; what the API shows of jobs -> the client's own values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import to_json
from uuid_utils import uuid7

from penstock_client.completing import BULK_ABOVE
from penstock_client.explaining import JobExplanation
from penstock_client.ledger import JobRow
from penstock_client.routing import AnyJob
from penstock_schemas.status import JobState, Lane

#: Jobs, and bytes, of one request at most: gateways take 10 MB unless they are told otherwise.
MOST_JOBS: Final = 10_000
MOST_BYTES: Final = 8 * 2**20
#: What means something else where it is not given.
_UNLESS_GIVEN: Final = ("lane", "max_attempts")

_EXPLANATION: Final = TypeAdapter(JobExplanation)
_JOB_ROW: Final = TypeAdapter(JobRow)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Jobs of one request, and its body, which may be sent again: each job has a key."""

    jobs: Sequence[AnyJob]
    body: bytes


def chunks_of(jobs: Sequence[AnyJob], *, together: int) -> Iterator[Chunk]:
    """The requests that submit these jobs, in order; `together` are submitted in all."""
    first, bodies, size = 0, list[bytes](), 0
    for place, job in enumerate(jobs):
        body = _job_body(job)
        if bodies and (len(bodies) == MOST_JOBS or size + len(body) > MOST_BYTES):
            yield _chunk(jobs[first:place], bodies, together=together)
            first, bodies, size = place, [], 0
        bodies.append(body)
        size += len(body) + 1
    if bodies:
        yield _chunk(jobs[first:], bodies, together=together)


def job_row(shown: Mapping[str, Any]) -> JobRow:
    """A job of a list."""
    lane, state = Lane[shown["lane"].upper()], JobState.parse(shown["status"])
    return _JOB_ROW.validate_python({**shown, "lane": int(lane), "state": state})


def explanation(shown: Mapping[str, Any]) -> JobExplanation:
    """Where a job stands and why."""
    return _EXPLANATION.validate_python({**shown, "state": JobState.parse(shown["status"])})


def _chunk(jobs: Sequence[AnyJob], bodies: Sequence[bytes], *, together: int) -> Chunk:
    if len(jobs) <= BULK_ABOVE < together:  # which the gateway cannot see
        bodies = [_job_body(job, lane=Lane.BULK) for job in jobs]
    return Chunk(jobs, b'{"jobs":[' + b",".join(bodies) + b"]}")


def _job_body(job: AnyJob, *, lane: Lane | None = None) -> bytes:
    """A job as JSON, with a key and where it names none with this lane."""
    fields = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name in _UNLESS_GIVEN:
        if name not in job.model_fields_set:
            fields.pop(name, None)
    if lane is not None:
        fields.setdefault("lane", lane.label)
    fields.setdefault("idempotency_key", f"once-{uuid7()}")
    return to_json(fields)
