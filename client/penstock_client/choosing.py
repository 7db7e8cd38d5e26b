"""Pure: the model that a strategy chooses, quickly. Read by `routing` on the submit's path.

It gives what `scoring.rank` puts first among the models that lack nothing, without ranking them.
Jobs that differ in the length of their input alone share what can be said beforehand: which models
can do them, and the parts of their price and score. What is left is a little arithmetic a model.
It is done in floats, so models closer than `_NEAR` are ranked exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from penstock_client.fitting import Needs, lacks, room_tokens
from penstock_client.ledger.rows import WorkspaceConfig
from penstock_client.scoring import WEIGHTS, marks_of, rank
from penstock_schemas.catalog import Catalog, Model, ModelKind
from penstock_schemas.jobs import Strategy
from penstock_schemas.pricing import is_priced

K = TypeVar("K")
V = TypeVar("V")

#: Scores that are nearer to each other than this are compared exactly.
_NEAR = 1e-9
#: What the balanced score counts for where a strategy's own score has few steps, 0.5 apart, and
#: that of many models is the same: less than a step.
_TIE = 1e-3
#: What is remembered of one catalogue at most; beyond it, all is forgotten.
_MOST_KEPT = 4096
#: Catalogues that are remembered: a process has one, and for a while the one before it.
_MOST_CATALOGS = 4

#: The kind of a job, its workspace's routing, and what its configuration names and switches off.
_Routed = tuple[
    ModelKind,
    tuple[tuple[str, tuple[str, ...]], ...],
    tuple[str | None, str | None, tuple[str, ...], frozenset[str]],
]


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A model that can do such jobs if their input fits: score = weight * mark of cost + rest.

    The cost, in millionths of a dollar, is (`input_price` * input tokens + `output_cost`), times
    `long_factor` above `long_above` input tokens; `input_price` None is a cost that is unknown.
    """

    model: Model
    room: float
    input_price: float | None
    output_cost: float
    long_above: float
    long_factor: float
    weight: float
    rest: float


@dataclass(frozen=True, slots=True)
class Choosing:
    """What is remembered of one catalogue. `routing` keeps what it finds in what is public.

    `ruled` has the models that the rules allow, with the very configuration that they hold for.
    """

    catalog: Catalog
    providers: dict[_Routed, frozenset[str]] = field(default_factory=dict[_Routed, frozenset[str]])
    ruled: dict[object, tuple[WorkspaceConfig, tuple[str, ...]]] = field(
        default_factory=dict[object, tuple[WorkspaceConfig, tuple[str, ...]]]
    )
    _entrants: dict[object, Sequence[_Entrant]] = field(
        default_factory=dict[object, Sequence[_Entrant]]
    )

    def best(
        self,
        strategy: Strategy,
        needs: Needs,
        *,
        providers: frozenset[str],
        today: date,
        priced: bool = False,
    ) -> Model | None:
        """The best model of these providers that can do the job; None if there is none.

        With `priced` among those only whose price is known.
        """
        asked = (needs.kind, needs.required, needs.wanted, needs.output_tokens)
        limits = (needs.max_tokens, needs.dimensions)
        key = (strategy, providers, today, priced, asked, limits)
        entrants = self._entrants.get(key)
        if entrants is None:
            found = _entrants_of(self.catalog, strategy, needs, providers=providers, today=today)
            able = tuple(each for each in found if not priced or is_priced(each.model))
            entrants = keep(self._entrants, key, able)
        near = _nearest(entrants, needs)
        if len(near) < 2:
            return near[0].model if near else None
        models = {entrant.model.ref: entrant.model for entrant in near}
        marks = {ref: marks_of(model, needs) for ref, model in models.items()}
        return models[rank(marks, strategy)[0]]


_known: dict[int, Choosing] = {}


def choosing_from(catalog: Catalog) -> Choosing:
    """What is remembered of this very catalogue; a changed catalogue is another."""
    found = _known.get(id(catalog))
    if found is None or found.catalog is not catalog:
        if len(_known) >= _MOST_CATALOGS:
            _known.clear()
        found = _known[id(catalog)] = Choosing(catalog)
    return found


def keep(kept: dict[K, V], key: K, value: V) -> V:
    """Remember a value within bounds, and give it back."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value
    return value


def _entrants_of(
    catalog: Catalog, strategy: Strategy, needs: Needs, *, providers: frozenset[str], today: date
) -> Iterator[_Entrant]:
    """The models that can do the job if its input fits into their window."""
    shortest = replace(needs, input_tokens=1, window_tokens=1)
    weights, balanced = WEIGHTS[strategy], WEIGHTS["balanced"]
    tie = 0.0 if weights.cost else _TIE
    for model in catalog.models:
        if model.provider not in providers or model.kind != needs.kind:
            continue
        if not model.is_active(today) or any(lacks(shortest, model)):
            continue
        marks, room = marks_of(model, shortest), room_tokens(needs, model)
        unpriced, price = marks.cost_usd is None, model.input_usd_per_mtok
        bound = model.long_context_above_tokens
        yield _Entrant(
            model=model,
            room=float("inf") if room is None else room,
            input_price=None if unpriced or price is None else float(price),
            output_cost=float(model.output_usd_per_mtok or 0) * needs.output_tokens,
            long_above=float("inf") if bound is None else bound,
            long_factor=float(model.long_context_factor),
            weight=weights.cost + tie * balanced.cost,
            rest=(weights.speed + tie * balanced.speed) * marks.speed
            + (weights.quality + tie * balanced.quality) * marks.quality,
        )


def _nearest(entrants: Sequence[_Entrant], needs: Needs) -> list[_Entrant]:
    """The best of those that the input fits into, and whatever is as good or all but."""
    given, window = needs.input_tokens, needs.window_tokens
    tokens = given + needs.output_tokens
    near: list[_Entrant] = []
    scores: list[float] = []
    top = -1.0
    for entrant in entrants:
        if window > entrant.room:
            continue
        score = entrant.rest
        if entrant.input_price is not None:
            cost = entrant.input_price * given + entrant.output_cost
            if given > entrant.long_above:
                cost *= entrant.long_factor
            score += entrant.weight / (1 + cost / tokens)
        if score >= top - _NEAR:
            near.append(entrant)
            scores.append(score)
            top = max(top, score)
    return [entrant for entrant, score in zip(near, scores, strict=True) if score >= top - _NEAR]
