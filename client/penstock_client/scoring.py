"""Pure: how good each model is for a job, by strategy. Read by `routing`.

A model has three marks from 0 to 1, and its score is their sum by the strategy's weights:

- cost: 1 / (1 + price), where the price is what this job's tokens cost, in dollars for a million
  of them. Free is 1, a dollar 0.5, ten dollars 0.09, an unknown price 0: the last of all.
- speed: fast 1, standard 0.5, slow 0.
- quality: best 1, good 0.5, basic 0.

Equal scores go by the balanced score, and then by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from penstock_client.fitting import Needs
from penstock_schemas.catalog import Model, QualityTier, SpeedTier
from penstock_schemas.jobs import Strategy
from penstock_schemas.pricing import estimate_usd

_SPEED: dict[SpeedTier, float] = {"fast": 1.0, "standard": 0.5, "slow": 0.0}
_QUALITY: dict[QualityTier, float] = {"best": 1.0, "good": 0.5, "basic": 0.0}
_MTOK = 1_000_000


@dataclass(frozen=True, slots=True)
class Weights:
    """What each mark counts for; together 1."""

    cost: float
    speed: float
    quality: float


#: What a strategy weighs.
WEIGHTS: Mapping[Strategy, Weights] = MappingProxyType(
    {
        "cost": Weights(1.0, 0.0, 0.0),
        "speed": Weights(0.0, 1.0, 0.0),
        "quality": Weights(0.0, 0.0, 1.0),
        "balanced": Weights(0.4, 0.3, 0.3),
    }
)


@dataclass(frozen=True, slots=True)
class Marks:
    """A model's marks for one job; `cost_usd` is the estimate behind the first, None if unknown."""

    cost_usd: Decimal | None
    cost: float
    speed: float
    quality: float

    def score(self, strategy: Strategy) -> float:
        """The marks by the strategy's weights: 0 to 1, higher is better."""
        weights = WEIGHTS[strategy]
        return (
            weights.cost * self.cost + weights.speed * self.speed + weights.quality * self.quality
        )


def marks_of(model: Model, needs: Needs) -> Marks:
    """A model's marks for a job that needs so many tokens."""
    cost = expected_usd(model, needs)
    tokens = needs.input_tokens + needs.output_tokens
    mark = 0.0 if cost is None else 1 / (1 + float(cost) * _MTOK / tokens)
    return Marks(cost, mark, _SPEED[model.speed_tier], _QUALITY[model.quality_tier])


def expected_usd(model: Model, needs: Needs) -> Decimal | None:
    """What the job may cost at most with this model, in US dollars; None if a price is unknown."""
    cost = estimate_usd(model, needs.input_tokens, needs.output_tokens)
    bound = model.long_context_above_tokens
    if cost is not None and bound is not None and needs.input_tokens > bound:
        return cost * model.long_context_factor
    return cost


def rank(marks: Mapping[str, Marks], strategy: Strategy) -> list[str]:
    """The names, best first."""
    return sorted(
        marks,
        key=lambda ref: (-marks[ref].score(strategy), -marks[ref].score("balanced"), ref),
    )
