"""Pure: a job, its workspace's configuration and the catalogue -> ordered routes.

A pinned model goes alone. Else the rules: the workspace's own routing for the capability; then the
default routing, by the capability or by the kind of job when the capability is a name of its own.
Where the default model is what the workspace routes to, its fallbacks at the same provider follow
it. A job with a strategy puts the best model by that measure before them. What is sure to be
unable to do the job is left out, and where nothing is left the job is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from penstock_client.choosing import Choosing, choosing_from, keep
from penstock_client.fitting import (
    CHARS_PER_TOKEN,
    Needs,
    lacks,
    least_needs_of,
    needs_of,
    output_tokens_of,
    sure_lacks,
)
from penstock_client.ledger.rows import WorkspaceConfig
from penstock_client.scoring import Marks, marks_of, rank
from penstock_schemas.catalog import CapabilityDefault, Catalog, Model, ModelKind
from penstock_schemas.errors import InvalidJob, UnknownModel, UnknownProvider
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason, Strategy

AnyJob = Generate | Reason | Extract | Classify | Embed
#: Who named a model: the job, its workspace's routing, the default routing, or its strategy.
Source = Literal["pinned", "workspace", "default", "strategy"]

#: Routes at most of a job with a strategy.
MAX_ROUTES = 5
#: What is said of a model that a strategy leaves out because its jobs would only wait.
NO_WORKER = "no worker is running for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that was thought of: whether it is one of the routes, and why.

    `cost_usd` is what the job may cost with it at most, None if a price is unknown; `score` is
    from 0 to 1 and None where no strategy compared it.
    """

    ref: str
    source: Source
    taken: bool
    why: str
    cost_usd: Decimal | None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a job's routes came about; no routes: no model that was named can do it."""

    routes: tuple[str, ...]
    strategy: Strategy | None
    needs: Needs
    candidates: tuple[Candidate, ...]


def routes_for(
    job: AnyJob,
    config: WorkspaceConfig,
    catalog: Catalog,
    *,
    providers: Collection[str] | None = None,
    alive: Collection[str] | None = None,
    today: date | None = None,
) -> tuple[str, ...]:
    """The `provider/model` names that may serve a job, best first; never empty.

    A strategy chooses among the models that are active `today` (None: this day in UTC) at
    `providers` (None: `providers_of`); where some of those that can do the job are at providers
    that are `alive`, have a worker, among these only (None: nobody knows). Raises UnknownModel or
    UnknownProvider for names that the catalogue cannot place, InvalidJob if none of the models that
    were named can do the job.
    """
    if job.strategy is not None and job.model is None:
        needs, choosing = needs_of(job, catalog), choosing_from(catalog)
        asked = _own_providers(job, config, choosing) if providers is None else frozenset(providers)
        best = _best(job.strategy, needs, choosing, providers=asked, alive=alive, today=today)
        routes = _led_by(best, _rule_refs(job, config, catalog, needs), needs)
        if not routes:
            raise _refused(job, explain_route(job, config, catalog, providers=asked, today=today))
        return routes
    routes = tuple(_rule_refs(job, config, catalog, least_needs_of(job)))
    if not routes:
        raise _refused(job, explain_route(job, config, catalog, today=today))
    return routes


def explain_route(
    job: AnyJob,
    config: WorkspaceConfig,
    catalog: Catalog,
    *,
    providers: Collection[str] | None = None,
    alive: Collection[str] | None = None,
    today: date | None = None,
    input_tokens: int | None = None,
) -> Explanation:
    """The routes that `routes_for` gives, with every model that was thought of, and why.

    `input_tokens` takes the place of the estimate. Raises UnknownModel and UnknownProvider.
    """
    needs = needs_of(job, catalog, input_tokens=input_tokens)
    source, named = _rules(job, config, catalog)
    ruled = [_by_rule(model, source, needs) for model in named]
    strategy = job.strategy if job.model is None else None
    if strategy is None:
        routes = tuple(candidate.ref for candidate in ruled if candidate.taken)
        return Explanation(routes=routes, strategy=None, needs=needs, candidates=tuple(ruled))
    asked = providers_of(job, config, catalog) if providers is None else providers
    day = today or datetime.now(UTC).date()
    compared = _by_strategy(strategy, needs, catalog, providers=asked, alive=alive, today=day)
    best = [candidate.ref for candidate in compared if candidate.taken]
    routes = _led_by(best, [c.ref for c in ruled if c.taken], needs)
    candidates = _merged(compared, ruled, routes)
    return Explanation(routes=routes, strategy=strategy, needs=needs, candidates=candidates)


def providers_of(job: AnyJob, config: WorkspaceConfig, catalog: Catalog) -> frozenset[str]:
    """The providers that a strategy may choose from for a job of this workspace.

    They are those to which the routing of its capabilities leads, whether it is the workspace's
    own or the default with its fallbacks; of text for text, of embeddings for embeddings. So a
    strategy never takes a workspace's data to a provider that its routing does not name.
    """
    kind = "embedding" if isinstance(job, Embed) else "chat"
    found: set[str] = set()
    for capability in catalog.capabilities.keys() | config.routing.keys():
        default = catalog.capabilities.get(capability)
        names = config.routing.get(capability) or ()
        if default is not None and names in {(), (default.model,)}:
            names = default.routes
        with suppress(UnknownModel, UnknownProvider):  # jobs of that capability will hear of it
            models = [catalog.resolve(name) for name in names]
            found |= {model.provider for model in models if model.kind == kind}
    return frozenset(found)


def estimate_tokens(job: AnyJob, body: bytes, catalog: Catalog) -> tuple[int, int]:
    """Input and output tokens to expect, counted from characters; for fairness and limits."""
    expected_input = max(1, len(body) // CHARS_PER_TOKEN)
    if isinstance(job, Embed):
        return expected_input, 0
    return expected_input, output_tokens_of(job, catalog)


def _rules(
    job: AnyJob, config: WorkspaceConfig, catalog: Catalog
) -> tuple[Source, tuple[Model, ...]]:
    """The models that the job or the routing names, in order, and who named them."""
    if job.model is not None:
        return "pinned", (catalog.resolve(job.model),)
    default = catalog.capabilities.get(job.capability) or catalog.capabilities[job.type]
    own = config.routing.get(job.capability)
    chosen = own or (default.model,)
    if chosen == (default.model,):
        chosen = _with_fallbacks(default)
    return "workspace" if own else "default", tuple(catalog.resolve(name) for name in chosen)


def _with_fallbacks(default: CapabilityDefault) -> tuple[str, ...]:
    """The default model and its fallbacks at the same provider, which has workers and a key."""
    provider = default.model.partition("/")[0]
    return tuple(name for name in default.routes if name.partition("/")[0] == provider)


def _rule_refs(job: AnyJob, config: WorkspaceConfig, catalog: Catalog, needs: Needs) -> list[str]:
    """What the rules name and is not sure to be unable to do the job."""
    _, named = _rules(job, config, catalog)
    return [model.ref for model in named if not any(sure_lacks(needs, model))]


def _best(
    strategy: Strategy,
    needs: Needs,
    choosing: Choosing,
    *,
    providers: frozenset[str],
    alive: Collection[str] | None,
    today: date | None,
) -> list[str]:
    """What `explain_route` calls the best by a strategy; empty if nothing can do the job."""
    day = today or datetime.now(UTC).date()
    found = None
    if alive is not None:
        found = choosing.best(strategy, needs, providers=providers.intersection(alive), today=day)
    found = found or choosing.best(strategy, needs, providers=providers, today=day)
    return [found.ref] if found else []


def _led_by(best: list[str], ruled: list[str], needs: Needs) -> tuple[str, ...]:
    """The choice of a strategy before the rules'; alone where answers of two do not compare."""
    rest = [] if best and needs.kind == "embedding" else ruled
    return tuple(dict.fromkeys(best + rest))[:MAX_ROUTES]


def _own_providers(job: AnyJob, config: WorkspaceConfig, choosing: Choosing) -> frozenset[str]:
    """What `providers_of` says, which is the same for all jobs of a kind and a routing."""
    kind: ModelKind = "embedding" if isinstance(job, Embed) else "chat"
    key = (kind, tuple(config.routing.items()))
    found = choosing.providers.get(key)
    if found is None:
        found = keep(choosing.providers, key, providers_of(job, config, choosing.catalog))
    return found


_NAMED_BY: dict[Source, str] = {
    "pinned": "pinned by the job",
    "workspace": "routed by the workspace",
    "default": "the default routing",
}


def _by_rule(model: Model, source: Source, needs: Needs) -> Candidate:
    reasons = "; ".join(sure_lacks(needs, model))
    return Candidate(
        ref=model.ref,
        source=source,
        taken=not reasons,
        why=reasons or _NAMED_BY[source],
        cost_usd=marks_of(model, needs).cost_usd,
    )


def _by_strategy(
    strategy: Strategy,
    needs: Needs,
    catalog: Catalog,
    *,
    providers: Collection[str],
    alive: Collection[str] | None,
    today: date,
) -> list[Candidate]:
    """The models of these providers: those that can do the job, best first, then the others.

    Where any of them is at a provider that is alive, those that are not are among the others.
    """
    able: dict[str, Marks] = {}
    idle: dict[str, Marks] = {}
    unable: list[Candidate] = []
    for model in catalog.models:
        if model.provider not in providers or model.kind != needs.kind:
            continue
        marks = marks_of(model, needs)
        reasons = list(lacks(needs, model))
        if model.active is None and not model.is_active(today):
            reasons.insert(0, f"retired on {model.retires_on}")
        if reasons:
            unable.append(_compared(model.ref, marks, why="; ".join(reasons)))
        elif alive is None or model.provider in alive:
            able[model.ref] = marks
        else:
            idle[model.ref] = marks
    if able:
        unable += [_compared(ref, marks, why=NO_WORKER) for ref, marks in idle.items()]
    else:
        able = idle
    ranked = [
        _compared(ref, able[ref], strategy=strategy, place=place)
        for place, ref in enumerate(rank(able, strategy))
    ]
    return ranked + sorted(unable, key=lambda candidate: candidate.ref)


def _compared(
    ref: str, marks: Marks, *, strategy: Strategy | None = None, place: int = 0, why: str = ""
) -> Candidate:
    by = f"the best by {strategy}" if place == 0 else f"number {place + 1} by {strategy}"
    return Candidate(
        ref=ref,
        source="strategy",
        taken=strategy is not None and place == 0,
        why=why or by,
        cost_usd=marks.cost_usd,
        score=None if strategy is None else marks.score(strategy),
    )


def _merged(
    compared: list[Candidate], ruled: list[Candidate], routes: tuple[str, ...]
) -> tuple[Candidate, ...]:
    """Each model once: the routes in their order, then what was not taken."""
    found = {candidate.ref: candidate for candidate in compared}
    for rule in ruled:
        other = found.get(rule.ref)
        if other is None:
            found[rule.ref] = rule
        elif rule.taken and not other.taken:
            found[rule.ref] = replace(rule, why=f"{rule.why}; {other.why}", score=other.score)
    why = (
        f"but a job has {MAX_ROUTES} routes at most"
        if len(routes) == MAX_ROUTES
        else "but vectors of two models cannot be compared"
    )
    left = [_left_out(found[ref], why=why) for ref in found if ref not in routes]
    return (*(found[ref] for ref in routes), *left)


def _left_out(candidate: Candidate, *, why: str) -> Candidate:
    """A model that is no route; what a rule named and could do the job says why it is none."""
    if candidate.source == "strategy" or not candidate.taken:
        return candidate
    return replace(candidate, taken=False, why=f"{candidate.why}, {why}")


def _refused(job: AnyJob, explained: Explanation) -> InvalidJob:
    named = [c for c in explained.candidates if c.source != "strategy"]
    reasons = ", ".join(f"{candidate.ref} {candidate.why}" for candidate in named)
    if job.model is not None:
        return InvalidJob(f"model: {reasons}; pin a model that can do this job", field="model")
    told = f"no model that capability {job.capability!r} leads to can do this job: {reasons}"
    if explained.strategy:
        told += f"; nor can any other for strategy {explained.strategy!r}"
    return InvalidJob(f"{told}; pin one with model=", field="capability")
