"""The demo's figures, computed from results and the ledger's usage: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from penstock_client import Result
from penstock_worker.demo.work import Classified, Extracted, Order, Phase, Reasoned


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How one phase went. Latencies run from submit to settlement, the wait for a slot included."""

    jobs: int
    succeeded: int
    elapsed_s: float
    jobs_per_s: float
    p50_ms: int
    p95_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """What one model was used for; `cost_usd` None means that a price is not known."""

    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that the demo reports in numbers. Counts of right answers stand beside totals."""

    classification: Pace
    labels_right: int
    extraction: Pace
    fields_right: Mapping[str, int]
    reasoning: Pace
    usage: tuple[ModelUsage, ...]
    simulated: bool
    total_s: float

    @property
    def succeeded(self) -> bool:
        """Whether every job has an answer."""
        paces = (self.classification, self.extraction, self.reasoning)
        return all(pace.succeeded == pace.jobs for pace in paces)

    @property
    def calls(self) -> int:
        """Calls to providers, as the ledger counts them."""
        return sum(model.calls for model in self.usage)

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost of all calls; None when one of them has no known price."""
        costs = [model.cost_usd for model in self.usage]
        return None if None in costs else sum((c for c in costs if c is not None), Decimal(0))

    @property
    def fields_share(self) -> float:
        """The share of extracted fields that are right, from 0 to 1."""
        return share(sum(self.fields_right.values()), self.extraction.jobs * len(self.fields_right))

    def as_data(self) -> dict[str, Any]:
        """The figures as plain values, for JSON; money as text."""
        fields = {
            name: share(right, self.extraction.jobs) for name, right in self.fields_right.items()
        }
        usage = [
            asdict(model) | {"cost_usd": None if model.cost_usd is None else str(model.cost_usd)}
            for model in self.usage
        ]
        cost = self.cost_usd
        return {
            "simulated": self.simulated,
            "succeeded": self.succeeded,
            "classification": asdict(self.classification)
            | {
                "right": self.labels_right,
                "accuracy": share(self.labels_right, self.classification.jobs),
            },
            "extraction": asdict(self.extraction)
            | {"accuracy": self.fields_share, "accuracy_by_field": fields},
            "reasoning": asdict(self.reasoning),
            "usage": usage,
            "calls": self.calls,
            "cost_usd": None if cost is None else str(cost),
            "total_s": self.total_s,
        }


def figures_of(
    classified: Classified,
    extracted: Extracted,
    reasoned: Reasoned,
    *,
    usage: Sequence[ModelUsage],
    total_s: float,
) -> Figures:
    """Count and measure what came back."""
    results = (*classified.results, *extracted.results, *reasoned.results)
    return Figures(
        classification=pace_of(classified),
        labels_right=sum(row.result.output == row.message["label"] for row in classified.rows),
        extraction=pace_of(extracted),
        fields_right={
            name: sum(_right(row.result, name, row.order["expected"]) for row in extracted.rows)
            for name in Order.model_fields
        },
        reasoning=pace_of(reasoned),
        usage=tuple(usage),
        simulated=any(result.simulated for result in results),
        total_s=round(total_s, 2),
    )


def pace_of(phase: Phase) -> Pace:
    """Speed and latencies of a phase."""
    durations = sorted(result.duration_ms for result in phase.results)
    return Pace(
        jobs=len(phase.results),
        succeeded=sum(result.ok for result in phase.results),
        elapsed_s=round(phase.elapsed_s, 3),
        jobs_per_s=round(len(phase.results) / max(phase.elapsed_s, 1e-9), 1),
        p50_ms=percentile(durations, 0.50),
        p95_ms=percentile(durations, 0.95),
    )


def percentile(ordered: Sequence[int], rank: float) -> int:
    """The value that the share `rank` of the values does not exceed; 0 of none."""
    return ordered[max(0, math.ceil(rank * len(ordered)) - 1)] if ordered else 0


def share(part: int, whole: int) -> float:
    """A share from 0 to 1, to four places; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def _right(result: Result, name: str, expected: Mapping[str, Any]) -> bool:
    output = result.output
    given = getattr(output, name, None) if isinstance(output, BaseModel) else None
    return given == expected[name]
