"""What a backfill counts while it runs, and its summary. One owner: the runner."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from penstock_client.backfill.answers import INVALID_ROW
from penstock_schemas.results import Result


@dataclass(slots=True)
class Tally:
    """Counts of one run. Tokens, calls and cost are those of the rows that ended in this run."""

    rows: int = 0
    skipped: int = 0
    succeeded: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_unknown: int = 0
    simulated: int = 0

    def add(self, result: Result) -> None:
        """Count a row whose job has ended."""
        if result.ok:
            self.succeeded += 1
        else:
            self.errors[result.error.kind.value if result.error else result.status.label] += 1
        self.calls += result.attempts
        self.input_tokens += result.usage.input_tokens
        self.output_tokens += result.usage.output_tokens
        self.simulated += result.simulated
        if result.cost_usd is not None:
            self.cost_usd += result.cost_usd
        elif result.attempts:
            self.cost_unknown += 1

    def add_invalid(self) -> None:
        """Count a row that could not be asked."""
        self.errors[INVALID_ROW] += 1

    @property
    def failed(self) -> int:
        """Rows without an answer."""
        return self.errors.total()

    @property
    def ended(self) -> int:
        """Rows that ended in this run, with or without an answer."""
        return self.succeeded + self.failed

    @property
    def done(self) -> int:
        """Rows that need no more work."""
        return self.skipped + self.ended

    def projected_cost_usd(self) -> Decimal | None:
        """What this run will have cost at its end, by the rows so far; None while none is known."""
        known = self.ended - self.errors[INVALID_ROW] - self.cost_unknown
        if known <= 0:
            return None
        return self.cost_usd / known * (self.rows - self.skipped)

    def summary(self, *, elapsed_s: float) -> dict[str, Any]:
        """The run as JSON: the stable shape of `--json`. `cost_usd` leaves out unknown costs."""
        return {
            "rows": self.rows,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "skipped": self.skipped,
            "errors": dict(self.errors),
            "calls": self.calls,
            "tokens": {"input": self.input_tokens, "output": self.output_tokens},
            "cost_usd": float(self.cost_usd),
            "cost_unknown_rows": self.cost_unknown,
            "elapsed_s": round(elapsed_s, 3),
            "rows_per_s": round(self.ended / elapsed_s, 1) if elapsed_s > 0 else 0.0,
            "simulated_rows": self.simulated,
        }
