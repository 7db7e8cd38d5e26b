"""Pure: what a job that does not say gets from the configuration, before it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock_client.ledger import Configuration
from penstock_client.routing import AnyJob
from penstock_schemas.catalog import Catalog, JobDefaults, Provider
from penstock_schemas.jobs import Embed
from penstock_schemas.status import Lane

#: Jobs that are submitted with more than so many others are bulk work, unless they say otherwise.
BULK_ABOVE = 500


def with_defaults(job: AnyJob, defaults: JobDefaults) -> AnyJob:
    """The job with the configured lane and strategy where it names none.

    A strategy is never given to embeddings: vectors of two models cannot be compared.
    """
    changes: dict[str, Any] = {}
    if defaults.lane is not None and "lane" not in job.model_fields_set:
        changes["lane"] = defaults.lane
    if defaults.strategy is not None and job.strategy is None and not isinstance(job, Embed):
        changes["strategy"] = defaults.strategy
    return job.model_copy(update=changes) if changes else job


def with_configuration(
    job: AnyJob, configuration: Configuration, *, routes: Sequence[str], catalog: Catalog
) -> AnyJob:
    """The job with its configuration's `max_tokens` and temperature where it names none.

    A default never breaks a call: `max_tokens` is at most what each model of its routes can answer
    with. The temperature goes with routes of which a model takes one, and not beside a `top_p` or
    an effort of the job's own, which some wires do not take together with it.
    """
    if isinstance(job, Embed):
        return job
    changes: dict[str, Any] = {}
    if configuration.max_tokens is not None and job.max_tokens is None:
        longest = (catalog.resolve(route).max_output_tokens for route in routes)
        changes["max_tokens"] = min((configuration.max_tokens, *filter(None, longest)))
    sampled = (job.temperature, job.top_p, job.effort) != (None, None, None)
    if configuration.temperature is not None and not sampled:
        models = map(catalog.resolve, routes)
        if not all(catalog.provider(each.provider).lacks(each, "temperature") for each in models):
            changes["temperature"] = configuration.temperature
    return job.model_copy(update=changes) if changes else job


def lane_of(job: AnyJob, *, together: int) -> Lane:
    """The lane that a job runs in: its own, else that of how many are submitted `together`.

    So a backfill leaves the share of slots alone that is kept for people who wait.
    """
    if together > BULK_ABOVE and "lane" not in job.model_fields_set:
        return Lane.BULK
    return Lane[job.lane.upper()]


def with_attempts(job: AnyJob, provider: Provider) -> AnyJob:
    """The job with the attempts that its provider is configured to get where it names none."""
    wanted = provider.max_attempts
    if wanted is None or "max_attempts" in job.model_fields_set:
        return job
    return job.model_copy(update={"max_attempts": wanted})
