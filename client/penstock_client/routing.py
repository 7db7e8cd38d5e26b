"""Pure: a job, its workspace's configuration and the catalogue -> ordered routes.

A pinned model goes alone; then the workspace's own routing for the capability; then the default
routing, by the capability or by the kind of job when the capability is a name of its own. Where the
default model is what the workspace routes to, its fallbacks at the same provider follow it.
"""

from __future__ import annotations

from penstock_client.ledger.rows import WorkspaceConfig
from penstock_schemas.catalog import CapabilityDefault, Catalog
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason

AnyJob = Generate | Reason | Extract | Classify | Embed

#: The answer's length where neither the job nor the routing says, in tokens.
_DEFAULT_OUTPUT_TOKENS = 1024
_CHARS_PER_TOKEN = 4


def routes_for(job: AnyJob, config: WorkspaceConfig, catalog: Catalog) -> tuple[str, ...]:
    """The `provider/model` names that may serve a job, best first; never empty.

    Raises UnknownModel or UnknownProvider for names that the catalogue cannot place.
    """
    if job.model is not None:
        return (catalog.resolve(job.model).ref,)
    default = catalog.capabilities.get(job.capability) or catalog.capabilities[job.type]
    chosen = config.routing.get(job.capability) or (default.model,)
    if chosen == (default.model,):
        chosen = _with_fallbacks(default)
    return tuple(catalog.resolve(name).ref for name in chosen)


def _with_fallbacks(default: CapabilityDefault) -> tuple[str, ...]:
    """The default model and its fallbacks at the same provider, which has workers and a key."""
    provider = default.model.partition("/")[0]
    return tuple(name for name in default.routes if name.partition("/")[0] == provider)


def estimate_tokens(job: AnyJob, body: bytes, catalog: Catalog) -> tuple[int, int]:
    """Input and output tokens to expect, counted from characters; for fairness and limits."""
    expected_input = max(1, len(body) // _CHARS_PER_TOKEN)
    if isinstance(job, Embed):
        return expected_input, 0
    default = catalog.capabilities.get(job.capability) or catalog.capabilities[job.type]
    return expected_input, job.max_tokens or default.max_output_tokens or _DEFAULT_OUTPUT_TOKENS
