"""Pure: the models that are named for a job, by whom, and which of them its workspace allows.

Read by `routing`, which puts a strategy's choice before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from penstock_client.fitting import Needs, sure_lacks
from penstock_client.ledger.rows import Configuration, WorkspaceConfig
from penstock_schemas.catalog import CapabilityDefault, Catalog, Model
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason
from penstock_schemas.pricing import is_priced

AnyJob = Generate | Reason | Extract | Classify | Embed
#: Who named a model: the job, the configuration (by task type, as its primary or its fallback), the
#: workspace's routing, the default routing, or the job's strategy.
Source = Literal["pinned", "task", "workspace", "primary", "default", "fallback", "strategy"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a workspace and its configuration let a job with these needs run on."""

    needs: Needs
    config: WorkspaceConfig
    configuration: Configuration

    def refusals(self, model: Model) -> Iterator[str]:
        """Why a model may not, or is sure to be unable to, do the job; nothing if it may."""
        yield from self.bars(model)
        yield from sure_lacks(self.needs, model)

    def bars(self, model: Model) -> Iterator[str]:
        """Why the workspace or the configuration keeps its jobs from a model."""
        if model.provider in self.config.disabled:
            yield f"is at {model.provider}, which the workspace has switched off"
        if self.configuration.must_be_priced and not is_priced(model):
            yield (
                f"has no known price, and configuration {self.configuration.name!r} has a budget "
                "in money without allow_unpriced"
            )


def rules_of(
    job: AnyJob, config: WorkspaceConfig, catalog: Catalog
) -> tuple[tuple[Source, Model], ...]:
    """The models that the job, its configuration or the routing names, in order, and who did."""
    if job.model is not None:
        return (("pinned", catalog.resolve(job.model)),)
    configuration = config.configuration(job.configuration)
    source, names = _rule(job, config, configuration, catalog)
    found: list[tuple[Source, Model]] = [(source, catalog.resolve(name)) for name in names]
    if configuration.fallback is not None:
        fallback = catalog.resolve(configuration.fallback)
        if _may_serve(fallback, job) and all(model.ref != fallback.ref for _, model in found):
            found.append(("fallback", fallback))
    return tuple(found)


def _rule(
    job: AnyJob, config: WorkspaceConfig, configuration: Configuration, catalog: Catalog
) -> tuple[Source, tuple[str, ...]]:
    """The first rule that applies, and the models that it names."""
    default = catalog.capabilities.get(job.capability) or catalog.capabilities[job.type]
    own = config.routing.get(job.capability)
    if job.task_type is not None and (task := configuration.task_routing.get(job.task_type)):
        return "task", (task,)
    if own and own != (default.model,):
        return "workspace", own
    primary = configuration.primary
    if primary is not None and _may_serve(catalog.resolve(primary), job):
        return "primary", (primary,)
    return "workspace" if own else "default", _with_fallbacks(default)


def _may_serve(model: Model, job: AnyJob) -> bool:
    """Whether a configuration's model is meant for jobs of this kind: of text, or of embeddings."""
    return not model.known or (model.kind == "embedding") == isinstance(job, Embed)


def all_named(
    config: WorkspaceConfig, configuration: Configuration, catalog: Catalog
) -> Iterator[tuple[str, ...]]:
    """The models that each capability, and the configuration by itself, may lead to."""
    for capability in catalog.capabilities.keys() | config.routing.keys():
        default = catalog.capabilities.get(capability)
        names = config.routing.get(capability) or ()
        if default is not None and names in {(), (default.model,)}:
            names = default.routes
        yield names
    for name in (
        configuration.primary,
        configuration.fallback,
        *configuration.task_routing.values(),
    ):
        if name is not None:
            yield (name,)


def _with_fallbacks(default: CapabilityDefault) -> tuple[str, ...]:
    """The default model and its fallbacks at the same provider, which has workers and a key."""
    provider = default.model.partition("/")[0]
    return tuple(name for name in default.routes if name.partition("/")[0] == provider)
