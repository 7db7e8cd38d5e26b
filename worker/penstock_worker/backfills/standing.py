"""Pure: how a backfill stands, while a steward has its lock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from penstock_client.backfill.figures import Fit, Recent
from penstock_schemas.backfills import BackfillState


@dataclass(slots=True, kw_only=True)
class Standing:
    """The counts of a backfill; see `0012_backfills.sql`. Written back as they are."""

    backfill: UUID
    workspace: str
    state: BackfillState
    reason: str | None
    plan_key: str
    plan: str
    window: int
    rows_per_call: int
    sampling: bool
    sample: int | None
    max_cost_usd: Decimal | None
    max_error_rate: float | None
    trace: str | None
    fed: int
    fed_all: bool
    under_way: int
    succeeded: int
    failed: int
    invalid: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    cost_unknown: int
    simulated: int
    call_ms: int
    held_usd: Decimal
    errors: Counter[str]
    recent: Recent
    fit: Fit

    @classmethod
    def of(cls, row: Any) -> Standing:
        """From its row."""
        return cls(
            backfill=row["id"],
            workspace=row["workspace"],
            state=BackfillState(row["state"]),
            reason=row["reason"],
            plan_key=row["plan_key"],
            plan=row["plan"],
            window=row["row_window"],
            rows_per_call=row["rows_per_call"],
            sampling=row["sampling"],
            sample=row["sample"],
            max_cost_usd=row["max_cost_usd"],
            max_error_rate=row["max_error_rate"],
            trace=row["trace"],
            fed=row["fed"],
            fed_all=row["fed_all"],
            under_way=row["under_way"],
            succeeded=row["succeeded"],
            failed=row["failed"],
            invalid=row["invalid"],
            calls=row["calls"],
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            cost_usd=row["cost_usd"],
            cost_unknown=row["cost_unknown"],
            simulated=row["simulated"],
            call_ms=row["call_ms"],
            held_usd=row["held_usd"],
            errors=Counter(orjson.loads(row["errors"])),
            recent=Recent.of(orjson.loads(row["recent"])),
            fit=Fit.of(orjson.loads(row["fit"])),
        )

    def columns(self) -> tuple[Any, ...]:
        """As `backfill_counts` takes it."""
        return (
            self.backfill, self.state, self.reason, self.fed, self.fed_all, self.under_way,
            self.succeeded, self.failed, self.invalid, self.calls, self.input_tokens,
            self.output_tokens, self.cost_usd, self.cost_unknown, self.simulated, self.call_ms,
            self.held_usd, orjson.dumps(+self.errors).decode(),
            orjson.dumps(self.recent.marks).decode(), orjson.dumps(self.fit.numbers()).decode(),
        )  # fmt: skip

    def pause(self, reason: str) -> None:
        """Start no more rows until somebody resumes it."""
        self.state, self.reason = BackfillState.PAUSED, reason

    def check_errors(self) -> None:
        """Pause where too many of the last rows failed."""
        share = self.recent.failed_share()
        if self.state is not BackfillState.RUNNING or self.max_error_rate is None or share is None:
            return
        if share > self.max_error_rate:
            kind = self.errors.most_common(1)[0][0] if +self.errors else "unknown"
            self.pause(
                f"{share:.0%} of the last rows failed, most with {kind}; "
                f"the ceiling is {self.max_error_rate:.0%}"
            )

    def check_end(self) -> None:
        """End or pause where nothing is left to be asked and nothing is under way."""
        if self.state is not BackfillState.RUNNING:
            self._correct_end()
            return
        if not self.fed_all or self.under_way:
            return
        if self.sampling:
            rows = f"{self.sample:,} rows" if self.sample != 1 else "1 row"
            self.pause(f"the dry run of {rows} is done")
            return
        self._end()

    def _correct_end(self) -> None:
        """A job that was requeued by itself may have been the last that had failed."""
        if self.state in {BackfillState.SUCCEEDED, BackfillState.FAILED}:
            self._end()

    def _end(self) -> None:
        without = self.failed + self.invalid
        self.state = BackfillState.FAILED if without else BackfillState.SUCCEEDED
        told = "1 row has" if without == 1 else f"{without:,} rows have"
        self.reason = f"{told} no answer" if without else None
