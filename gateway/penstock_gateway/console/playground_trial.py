"""One job of the playground, from the services behind it: its routes, its calls, its answer."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock_client import Penstock
from penstock_client.completing import with_defaults
from penstock_client.job_reads import read_job, read_request
from penstock_client.routing import AnyJob, explain_route
from penstock_gateway.console.playground_form import Form, Mistakes
from penstock_gateway.console.playground_views import (
    RoutingShown,
    TrialShown,
    answer_shown,
    routing_shown,
)
from penstock_schemas.errors import ConfigurationError, InvalidJob
from penstock_schemas.ids import JobId
from penstock_schemas.jobs import Embed

#: Where a mistake belongs that is found while a job is placed.
_FIELD_OF_ERROR = {"UnknownConfiguration": "configuration", "UnknownWorkspace": "workspace"}


async def submit(penstock: Penstock, form: Form, workspace: str) -> JobId:
    """Record and start what a form asks for; raises Mistakes, Unavailable."""
    job = form.job(workspace, now=datetime.now(UTC))
    try:
        handle = await penstock.submit(job)
    except (InvalidJob, ConfigurationError) as error:
        raise _mistake(error) from None
    return handle.job_id


async def preview(penstock: Penstock, form: Form, workspace: str) -> RoutingShown:
    """Where the job that a form asks for would go, and why; raises Mistakes, Unavailable."""
    job = form.job(workspace, now=datetime.now(UTC))
    try:
        return await _routing(penstock, job)
    except (InvalidJob, ConfigurationError) as error:
        raise _mistake(error) from None


async def trial(penstock: Penstock, job_id: JobId) -> tuple[TrialShown, Form | None]:
    """A job as it stands, and the form that asks for it again while its request is kept.

    Raises UnknownJob, Unavailable.
    """
    found = await read_job(penstock.ledger, job_id)
    envelope = await read_request(penstock.ledger, job_id)
    answer = None if found.body is None else answer_shown(found.body)
    attempts = await penstock.operations.attempts(job_id)
    routing, form = None, None
    if envelope is not None:
        form = Form.about(envelope.job)
        answered = answer.model if answer is not None else None
        try:
            routing = await _routing(
                penstock, envelope.job, routes=envelope.routes, answered=answered
            )
        except (InvalidJob, ConfigurationError):  # a model or configuration is gone meanwhile
            routing = None
    shown = TrialShown(
        job=found.job,
        streams=envelope is not None and not isinstance(envelope.job, Embed),
        routing=routing,
        answer=answer,
        attempts=tuple(attempts),
    )
    return shown, form


async def _routing(
    penstock: Penstock,
    job: AnyJob,
    *,
    routes: tuple[str, ...] = (),
    answered: str | None = None,
) -> RoutingShown:
    config = await penstock.workspaces.get(job.workspace)
    alive = await penstock.alive_providers()
    job = with_defaults(job, penstock.catalog.defaults)
    explained = explain_route(job, config, penstock.catalog, alive=alive)
    return routing_shown(explained, routes=routes, answered=answered)


def _mistake(error: InvalidJob | ConfigurationError) -> Mistakes:
    field = error.field if isinstance(error, InvalidJob) else None
    field = field or _FIELD_OF_ERROR.get(type(error).__name__, "model")
    told = str(error).removeprefix(f"{field}: ")
    return Mistakes({field: f"{told[:1].upper()}{told[1:].rstrip('.')}."})
