"""Pure: what a job that does not say gets from the configuration, before it is recorded."""

from __future__ import annotations

from typing import Any

from penstock_client.routing import AnyJob
from penstock_schemas.catalog import JobDefaults, Provider
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
