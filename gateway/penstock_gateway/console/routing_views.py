"""Pure: a workspace's routing -> where a job of each capability would go, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from penstock_client.completing import with_defaults
from penstock_client.ledger import WorkspaceConfig
from penstock_client.routing import AnyJob, explain_route
from penstock_gateway.console.playground_views import RoutingShown, routing_shown
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import ConfigurationError, InvalidJob
from penstock_schemas.jobs import JOB_TYPES, JobType, Strategy, build_job

#: The least that a job of a kind says; its size is given apart.
_LEAST: Final[dict[JobType, dict[str, Any]]] = {
    "generate": {"prompt": "…"},
    "reason": {"prompt": "…"},
    "extract": {"text": "…", "schema": {"type": "object"}},
    "classify": {"text": "…", "labels": ("a", "b")},
    "embed": {"input": ("…",)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """The job that a preview supposes, beside its capability. `input_tokens` None: a word."""

    strategy: Strategy | None = None
    configuration: str | None = None
    input_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """A capability: what the workspace says of it, the default, and what comes of that.

    `routing` is None where nothing can be said, and `told` says why; `waits` names the provider of
    the first route where no worker is on duty.
    """

    capability: str
    own: tuple[str, ...]
    default: tuple[str, ...]
    routing: RoutingShown | None
    told: str | None
    waits: str | None

    @property
    def is_own(self) -> bool:
        """Whether the workspace says anything else than the default."""
        return bool(self.own) and self.own != self.default[:1]


def route_rows(
    config: WorkspaceConfig,
    catalog: Catalog,
    supposed: Supposed,
    *,
    alive: Collection[str] | None,
    today: date,
) -> tuple[RouteRow, ...]:
    """A row for each capability of the catalogue, then for those that the workspace has made."""
    own = sorted(config.routing.keys() - catalog.capabilities.keys())
    return tuple(
        route_row(name, config, catalog, supposed, alive=alive, today=today)
        for name in (*catalog.capabilities, *own)
    )


def route_row(
    capability: str,
    config: WorkspaceConfig,
    catalog: Catalog,
    supposed: Supposed,
    *,
    alive: Collection[str] | None,
    today: date,
) -> RouteRow:
    """One capability, with where a job of it would go that says nothing else."""
    default = catalog.capabilities.get(capability)
    routing, told, waits = None, None, None
    try:
        job = _job(capability, config, catalog, supposed)
        explained = explain_route(
            job, config, catalog, alive=alive, today=today, input_tokens=supposed.input_tokens
        )
    except (InvalidJob, ConfigurationError) as error:
        told = str(error)
    else:
        routing = routing_shown(explained)
        if not explained.routes:
            told = "No model that this leads to can do such a job: it would be refused."
        elif alive is not None:
            first = explained.routes[0].partition("/")[0]
            waits = None if first in alive else catalog.provider(first).display_name
    return RouteRow(
        capability=capability,
        own=config.routing.get(capability, ()),
        default=default.routes if default else (),
        routing=routing,
        told=told,
        waits=waits,
    )


def with_routing(
    config: WorkspaceConfig, capability: str, models: tuple[str, ...]
) -> WorkspaceConfig:
    """The configuration as it would be; no models is the default."""
    routing = {name: known for name, known in config.routing.items() if name != capability}
    return replace(config, routing={**routing, capability: models} if models else routing)


def models_named(text: str) -> tuple[str, ...]:
    """The names that were filled in, separated by commas, blanks or lines; each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def _job(capability: str, config: WorkspaceConfig, catalog: Catalog, supposed: Supposed) -> AnyJob:
    """The job to suppose; one of a capability of its own name is generated text."""
    kind: JobType = capability if capability in JOB_TYPES else "generate"
    fields: dict[str, Any] = {
        **_LEAST[kind],
        "workspace": config.workspace,
        "capability": capability,
        "configuration": supposed.configuration,
    }
    if kind != "embed":
        fields["strategy"] = supposed.strategy
    return with_defaults(build_job(JOB_TYPES[kind], fields), catalog.defaults)
