"""Pure: a job with its workspace's configuration -> what is recorded and indexed of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from uuid_utils import uuid7

from penstock_client.completing import lane_of, with_attempts, with_configuration, with_defaults
from penstock_client.json_schemas import check_schema
from penstock_client.ledger import NewJob, WorkspaceConfig
from penstock_client.routing import AnyJob, estimate_tokens, routes_for
from penstock_client.tracing import current_trace
from penstock_schemas.catalog import Catalog
from penstock_schemas.jobs import Embed, Envelope
from penstock_schemas.system_prompt import system_hash


def place(
    job: AnyJob,
    config: WorkspaceConfig,
    catalog: Catalog,
    *,
    alive: Collection[str] | None,
    together: int,
) -> NewJob:
    """The job as it is submitted with `together - 1` others, placed at the first of its routes.

    `alive` are the providers that have a worker, None where that is not known. Raises InvalidJob,
    UnknownConfiguration, UnknownModel, UnknownProvider.
    """
    if not isinstance(job, Embed) and isinstance(job.output_schema, Mapping):
        check_schema(job.output_schema)
    configuration = config.configuration(job.configuration)
    job = with_defaults(job, catalog.defaults)
    routes = routes_for(job, config, catalog, alive=alive)
    job = with_configuration(job, configuration, routes=routes, catalog=catalog)
    provider, model = routes[0].split("/", 1)
    job = with_attempts(job, catalog.provider(provider))
    body = Envelope(routes=routes, job=job).encode()
    input_tokens, output_tokens = estimate_tokens(job, body, catalog)
    return NewJob(
        job_id=UUID(int=uuid7().int),
        workspace=job.workspace,
        type=job.type,
        capability=job.capability,
        provider=provider,
        model=model,
        lane=lane_of(job, together=together),
        max_attempts=job.max_attempts,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        deadline=job.deadline,
        idempotency_key=job.idempotency_key,
        skill=job.skill,
        step=job.step,
        agent=job.agent,
        task_type=job.task_type,
        system_hash=system_hash(job),
        limit_tag=job.limit_tag,
        max_queue_wait_s=job.max_queue_wait_s,
        configuration=configuration.name,
        session_key=job.session_key,
        task_description=job.task_description,
        trace=current_trace(),
        webhook=job.webhook,
        body=body,
    )
