"""What earlier attempts of a job came to: kept in the job's row, told in its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

from penstock_schemas.usage import NO_USAGE, Usage

#: Failed attempts of a job that are told of at most.
TRAIL = 20


@dataclass(frozen=True, slots=True)
class Repair:
    """An answer that broke its schema, and how: shown to the model, once, with the question."""

    answer: str
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What earlier attempts of a job used, how they failed, and what the next one is told.

    `cost_usd` is None once one of them has no known price. `trail` has a few words for each of the
    last attempts that failed.
    """

    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = Decimal(0)
    repair: Repair | None = None
    trail: tuple[str, ...] = ()

    def encode(self) -> str:
        """As JSON, for the job's row."""
        cost = None if self.cost_usd is None else str(self.cost_usd)
        fields: dict[str, Any] = {"usage": self.usage.model_dump(), "cost_usd": cost}
        if self.repair is not None:
            fields["repair"] = self.repair
        if self.trail:
            fields["trail"] = self.trail
        return orjson.dumps(fields).decode()

    @classmethod
    def decode(cls, text: str | None) -> Spent:
        """Read a job's row; None is nothing spent."""
        if text is None:
            return cls()
        data: dict[str, Any] = orjson.loads(text)
        cost = data["cost_usd"]
        return cls(
            usage=Usage.model_validate(data["usage"]),
            cost_usd=None if cost is None else Decimal(cost),
            repair=Repair(**data["repair"]) if "repair" in data else None,
            trail=tuple(data.get("trail", ())),
        )

    def after(self, number: int, route: str, what: str) -> Spent:
        """With how one more attempt failed; only the last ones are kept."""
        return replace(self, trail=(*self.trail, f"{number} {route} {what}")[-TRAIL:])

    def told(self, message: str) -> str:
        """The reason why a job ended, with every attempt that failed before."""
        return f"{message} (attempts: {'; '.join(self.trail)})" if self.trail else message

    def plus(self, usage: Usage, cost_usd: Decimal | None) -> Spent:
        """With one more attempt."""
        if self.usage is NO_USAGE and self.cost_usd is not None:
            known = None if cost_usd is None else self.cost_usd + cost_usd
            return replace(self, usage=usage, cost_usd=known)
        total = None
        if self.cost_usd is not None and cost_usd is not None:
            total = self.cost_usd + cost_usd
        return replace(self, usage=self.usage + usage, cost_usd=total)
