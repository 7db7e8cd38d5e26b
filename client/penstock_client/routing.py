"""Pure: a job, its workspace's configuration and the catalogue -> ordered routes.

A pinned model goes alone. Else the rules, the first that applies: the configuration's model for the
job's task type; the workspace's own routing for the capability, where that is not just the default;
the configuration's primary model; the default routing, by the capability or by the kind of job
when the capability is a name of its own, with its fallbacks at the same provider. The
configuration's fallback follows whatever was found. A job with a strategy puts the best model by
that measure before them. What is sure to be unable to do the job, what is at a provider that the
workspace has switched off, and what has no known price under a budget in money is left out; where
nothing is left the job is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from penstock_client.choosing import Choosing, choosing_from, keep
from penstock_client.fitting import (
    CHARS_PER_TOKEN,
    Needs,
    lacks,
    least_needs_of,
    needs_of,
    output_tokens_of,
)
from penstock_client.ledger.rows import WorkspaceConfig
from penstock_client.rules import Allowed, AnyJob, Source, all_named, rules_of
from penstock_client.scoring import Marks, marks_of, rank
from penstock_schemas.catalog import Catalog, Model, ModelKind
from penstock_schemas.errors import InvalidJob, UnknownModel, UnknownProvider
from penstock_schemas.jobs import Embed, Strategy

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
        if providers is None:
            asked = _own_providers(job, config, choosing)
        else:
            asked = frozenset(providers) - config.disabled
        priced = config.configuration(job.configuration).must_be_priced
        best = _best(
            job.strategy, needs, choosing, providers=asked, alive=alive, today=today, priced=priced
        )
        routes = _led_by(best, _rule_refs(job, config, catalog, needs), needs)
        if not routes:
            raise _refused(job, explain_route(job, config, catalog, providers=asked, today=today))
        return routes
    routes = _ruled(job, config, catalog)
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
    allowed = Allowed(needs, config, config.configuration(job.configuration))
    ruled = [_by_rule(model, source, allowed) for source, model in rules_of(job, config, catalog)]
    strategy = job.strategy if job.model is None else None
    if strategy is None:
        routes = tuple(candidate.ref for candidate in ruled if candidate.taken)
        return Explanation(routes=routes, strategy=None, needs=needs, candidates=tuple(ruled))
    asked = providers_of(job, config, catalog) if providers is None else providers
    day = today or datetime.now(UTC).date()
    compared = _by_strategy(strategy, allowed, catalog, providers=asked, alive=alive, today=day)
    best = [candidate.ref for candidate in compared if candidate.taken]
    routes = _led_by(best, [c.ref for c in ruled if c.taken], needs)
    candidates = _merged(compared, ruled, routes)
    return Explanation(routes=routes, strategy=strategy, needs=needs, candidates=candidates)


def providers_of(job: AnyJob, config: WorkspaceConfig, catalog: Catalog) -> frozenset[str]:
    """The providers that a strategy may choose from for a job of this workspace.

    They are those to which the routing of its capabilities leads, whether it is the workspace's
    own, its configuration's or the default with its fallbacks; of text for text, of embeddings for
    embeddings. So a strategy never takes a workspace's data to a provider that its routing does not
    name, nor to one that it has switched off.
    """
    kind = "embedding" if isinstance(job, Embed) else "chat"
    found: set[str] = set()
    for names in all_named(config, config.configuration(job.configuration), catalog):
        with suppress(UnknownModel, UnknownProvider):  # jobs of that capability will hear of it
            models = [catalog.resolve(name) for name in names]
            found |= {model.provider for model in models if model.kind == kind}
    return frozenset(found) - config.disabled


def estimate_tokens(job: AnyJob, body: bytes, catalog: Catalog) -> tuple[int, int]:
    """Input and output tokens to expect, counted from characters; for fairness and limits."""
    expected_input = max(1, len(body) // CHARS_PER_TOKEN)
    if isinstance(job, Embed):
        return expected_input, 0
    return expected_input, output_tokens_of(job, catalog)


def _ruled(job: AnyJob, config: WorkspaceConfig, catalog: Catalog) -> tuple[str, ...]:
    """What the rules allow, which is the same for all jobs that say and need the same."""
    needs, kept = least_needs_of(job), choosing_from(catalog).ruled
    asked = (job.type, job.capability, job.model, job.configuration, job.task_type, needs)
    key = (id(config), asked)
    found = kept.get(key)
    if found is None or found[0] is not config:
        found = keep(kept, key, (config, tuple(_rule_refs(job, config, catalog, needs))))
    return found[1]


def _rule_refs(job: AnyJob, config: WorkspaceConfig, catalog: Catalog, needs: Needs) -> list[str]:
    """What the rules name, may be used, and is not sure to be unable to do the job."""
    allowed = Allowed(needs, config, config.configuration(job.configuration))
    named = rules_of(job, config, catalog)
    return [model.ref for _, model in named if not any(allowed.refusals(model))]


def _best(
    strategy: Strategy,
    needs: Needs,
    choosing: Choosing,
    *,
    providers: frozenset[str],
    alive: Collection[str] | None,
    today: date | None,
    priced: bool,
) -> list[str]:
    """What `explain_route` calls the best by a strategy; empty if nothing can do the job."""
    day = today or datetime.now(UTC).date()
    found = None
    if alive is not None:
        able = providers.intersection(alive)
        found = choosing.best(strategy, needs, providers=able, today=day, priced=priced)
    found = found or choosing.best(strategy, needs, providers=providers, today=day, priced=priced)
    return [found.ref] if found else []


def _led_by(best: list[str], ruled: list[str], needs: Needs) -> tuple[str, ...]:
    """The choice of a strategy before the rules'; alone where answers of two do not compare."""
    rest = [] if best and needs.kind == "embedding" else ruled
    return tuple(dict.fromkeys(best + rest))[:MAX_ROUTES]


def _own_providers(job: AnyJob, config: WorkspaceConfig, choosing: Choosing) -> frozenset[str]:
    """What `providers_of` says, which is the same for all jobs of a kind and a routing."""
    kind: ModelKind = "embedding" if isinstance(job, Embed) else "chat"
    own = config.configuration(job.configuration)
    named = (own.primary, own.fallback, tuple(own.task_routing.values()), config.disabled)
    key = (kind, tuple(config.routing.items()), named)
    found = choosing.providers.get(key)
    if found is None:
        found = keep(choosing.providers, key, providers_of(job, config, choosing.catalog))
    return found


_NAMED_BY: dict[Source, str] = {
    "pinned": "pinned by the job",
    "task": "the configuration's model for this task type",
    "workspace": "routed by the workspace",
    "primary": "the configuration's primary model",
    "fallback": "the configuration's fallback",
    "default": "the default routing",
}


def _by_rule(model: Model, source: Source, allowed: Allowed) -> Candidate:
    reasons = "; ".join(allowed.refusals(model))
    return Candidate(
        ref=model.ref,
        source=source,
        taken=not reasons,
        why=reasons or _NAMED_BY[source],
        cost_usd=marks_of(model, allowed.needs).cost_usd,
    )


def _by_strategy(
    strategy: Strategy,
    allowed: Allowed,
    catalog: Catalog,
    *,
    providers: Collection[str],
    alive: Collection[str] | None,
    today: date,
) -> list[Candidate]:
    """The models of these providers: those that can do the job, best first, then the others.

    Where any of them is at a provider that is alive, those that are not are among the others.
    """
    needs = allowed.needs
    able: dict[str, Marks] = {}
    idle: dict[str, Marks] = {}
    unable: list[Candidate] = []
    for model in catalog.models:
        if model.provider not in providers or model.kind != needs.kind:
            continue
        marks = marks_of(model, needs)
        reasons = [*allowed.bars(model), *lacks(needs, model)]
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
