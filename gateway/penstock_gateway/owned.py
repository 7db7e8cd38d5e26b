"""Jobs, runs and backfills by ID, for who asks: what is another's is as if it did not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from penstock_client import Penstock
from penstock_client.job_reads import JobFound, read_job
from penstock_client.tokens import Identity
from penstock_gateway.problems import Refused
from penstock_schemas.backfills import BackfillStatus, parse_backfill_id
from penstock_schemas.errors import InvalidId, UnknownBackfill, UnknownJob, UnknownRun
from penstock_schemas.ids import parse_job_id
from penstock_schemas.runs import RunResult, parse_run_id

_Id = TypeVar("_Id")


async def owned_job(job_id: str, identity: Identity, penstock: Penstock) -> JobFound:
    """The job of that ID; raises UnknownJob, and Refused (404) for what is no ID."""
    known = _known(parse_job_id, job_id)
    found = await read_job(penstock.ledger, known)
    if not identity.sees(found.job.workspace):
        raise UnknownJob(known)
    return found


async def owned_run(run_id: str, identity: Identity, penstock: Penstock) -> RunResult:
    """The run of that ID; raises UnknownRun, and Refused (404) for what is no ID."""
    known = _known(parse_run_id, run_id)
    found = await penstock.runs.get(known)
    if not identity.sees(found.workspace):
        raise UnknownRun(known)
    return found


async def owned_backfill(
    backfill_id: str, identity: Identity, penstock: Penstock, *, share: bool = False
) -> BackfillStatus:
    """The backfill of that ID; raises UnknownBackfill, and Refused (404) for what is no ID.

    With `share` it says what share of the provider's limit it has in use.
    """
    known = _known(parse_backfill_id, backfill_id)
    found = await penstock.backfills.get(known, share=share)
    if not identity.sees(found.workspace):
        raise UnknownBackfill(known)
    return found


def _known(parse: Callable[[str], _Id], text: str) -> _Id:
    try:
        return parse(text)
    except InvalidId as error:
        raise Refused(404, error.unquoted, kind=f"unknown-{error.of}") from None
