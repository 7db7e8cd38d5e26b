"""The body of a submit: one job or many, validated each by itself, all mistakes told by place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from penstock_client.routing import AnyJob
from penstock_client.tokens import Identity
from penstock_gateway.bodies import check_entries, read_json
from penstock_gateway.problems import MOST_ERRORS, FieldError, Refused, invalid
from penstock_gateway.views import MOST_JOBS
from penstock_schemas.errors import UnknownWorkspace
from penstock_schemas.jobs import Job

_JOB: Final[TypeAdapter[AnyJob]] = TypeAdapter(Job)
_MANY = "jobs"


@dataclass(frozen=True, slots=True)
class JobBody:
    """The jobs of one request; `alone` when it was a job and no list."""

    jobs: list[AnyJob]
    alone: bool


async def read_jobs(request: Request, identity: Identity, idempotency_key: str | None) -> JobBody:
    """The jobs of a request's body. Raises Refused, and UnknownWorkspace for another's."""
    document: Any = await read_json(request)
    if not isinstance(document, dict):
        raise Refused(422, 'send a job, or {"jobs": [...]}', kind="invalid")
    fields = cast("dict[str, Any]", document)
    if _MANY not in fields:
        given: dict[str, Any] = fields
        if idempotency_key is not None:
            given = _with_key(fields, idempotency_key)
        return JobBody([_job(given, identity, at="")], alone=True)
    if idempotency_key is not None:
        told = "Idempotency-Key: is of one job; give each of many its own idempotency_key"
        raise Refused(422, told, kind="invalid")
    return JobBody(_many(fields, identity), alone=False)


def _with_key(fields: dict[str, Any], key: str) -> dict[str, Any]:
    if fields.get("idempotency_key", key) != key:
        raise Refused(422, "Idempotency-Key: the body has another", kind="invalid")
    return {**fields, "idempotency_key": key}


def _many(fields: Mapping[str, Any], identity: Identity) -> list[AnyJob]:
    given = fields[_MANY]
    if len(fields) > 1 or not isinstance(given, list):
        raise Refused(422, 'many jobs are {"jobs": [...]} and nothing else', kind="invalid")
    entries = cast("list[Any]", given)
    if not 1 <= len(entries) <= MOST_JOBS:
        raise Refused(422, f"jobs: must be 1 to {MOST_JOBS:,}", kind="invalid")
    jobs: list[AnyJob] = []
    errors: list[FieldError] = []
    for at, entry in enumerate(entries):
        try:
            jobs.append(_job(entry, identity, at=f"{_MANY}.{at}"))
        except Refused as refusal:
            errors += refusal.errors
        if len(errors) >= MOST_ERRORS:
            break
    if errors:
        told = "some jobs cannot be accepted; none was recorded"
        raise Refused(422, told, kind="invalid", errors=errors[:MOST_ERRORS])
    return jobs


def _job(given: Any, identity: Identity, *, at: str) -> AnyJob:
    if isinstance(given, dict) and identity.workspace is not None and "workspace" not in given:
        given = {**cast("dict[str, Any]", given), "workspace": identity.workspace}
    check_entries(given, at=at)
    try:
        job = _JOB.validate_python(given)
    except ValidationError as error:
        told = "the job cannot be accepted"
        raise Refused(422, told, kind="invalid", errors=invalid(error, at=at)) from None
    if not identity.sees(job.workspace):
        raise UnknownWorkspace(job.workspace)
    return job
