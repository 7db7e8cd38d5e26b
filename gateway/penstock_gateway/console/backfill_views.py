"""Pure: how a backfill stands -> what its page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock_schemas.backfills import INVALID_ROW, NO_ANSWER, BackfillState, BackfillStatus

_WORDS: Final[Mapping[str, str]] = {
    INVALID_ROW: "the row could not be asked",
    NO_ANSWER: "no part of the answer was for it",
}


@dataclass(frozen=True, slots=True)
class ErrorShown:
    """Rows without an answer of one kind; `width` is their share of all such rows, in per cent."""

    kind: str
    rows: int
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillShown:
    """A backfill. The widths are of a bar of 100: rows with an answer, without one, under way."""

    status: BackfillStatus
    answered_width: float
    failed_width: float
    under_way_width: float
    errors: tuple[ErrorShown, ...]

    @property
    def title(self) -> str:
        """What people call it: its name, that of its file, or its query."""
        origin = self.status.origin
        given = origin if origin.startswith("sql: ") else origin.rpartition("/")[2]
        return self.status.name or given or self.status.backfill_id

    @property
    def state(self) -> str:
        """Its state's public name."""
        return self.status.status.label

    @property
    def answered(self) -> int:
        """Rows that have an answer."""
        return self.status.succeeded + self.status.adopted

    @property
    def share(self) -> float | None:
        """The share of rows that need no more work; None without rows."""
        return self.status.done / self.status.rows if self.status.rows else None

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status.status.is_terminal

    @property
    def after_sample(self) -> bool:
        """Whether its dry run is done, and the rest waits for somebody to let it go on."""
        status = self.status
        return status.status is BackfillState.PAUSED and status.sample is not None

    @property
    def can_pause(self) -> bool:
        """Whether there is something to pause."""
        return self.status.status is BackfillState.RUNNING

    @property
    def can_resume(self) -> bool:
        """Whether there is something to resume."""
        return self.status.status is BackfillState.PAUSED

    @property
    def can_retry(self) -> bool:
        """Whether there are failed rows that may be asked again."""
        retried = {BackfillState.LOADING, BackfillState.CANCELLED}
        return bool(self.status.failed and self.status.kept and self.status.status not in retried)

    @property
    def can_export(self) -> bool:
        """Whether there is anything to export."""
        return self.status.kept and self.status.done > 0

    @property
    def cost_width(self) -> float:
        """The share of its ceiling that is spent, in per cent; 0 without one."""
        most = self.status.max_cost_usd
        return min(100.0, round(float(self.status.cost_usd / most) * 100, 1)) if most else 0.0

    @property
    def held_width(self) -> float:
        """The share of its ceiling that calls under way may cost, in per cent."""
        most = self.status.max_cost_usd
        held = round(float(self.status.held_usd / most) * 100, 1) if most else 0.0
        return min(100.0 - self.cost_width, held)

    @property
    def took_s(self) -> float | None:
        """From its start to its end, in seconds; None while it has not ended."""
        begun, ended = self.status.started_at, self.status.finished_at
        return (ended - begun).total_seconds() if begun and ended else None

    @property
    def simulated(self) -> str | None:
        """How much of it was simulated, None: nothing."""
        rows = self.status.simulated_rows
        if not rows:
            return None
        return "simulated" if rows >= self.answered else f"{rows:,} simulated"


@dataclass(frozen=True, slots=True)
class BackfillPage:
    """Some backfills, and the last ID to page on with; None: no more."""

    rows: tuple[BackfillShown, ...]
    following: str | None


def backfill_shown(status: BackfillStatus) -> BackfillShown:
    """What is shown of a backfill."""
    answered = _width(status.succeeded + status.adopted, status.rows)
    failed = _width(status.without_answer, status.rows)
    lost = sum(status.errors.values())
    return BackfillShown(
        status=status,
        answered_width=answered,
        failed_width=failed,
        under_way_width=max(
            0.0, min(_width(status.under_way, status.rows), 100 - answered - failed)
        ),
        errors=tuple(
            ErrorShown(_WORDS.get(kind, kind), rows, _width(rows, lost))
            for kind, rows in status.errors.items()
        ),
    )


def _width(rows: int, of: int) -> float:
    """A share as per cent, rounded so that what is there can be seen."""
    if not rows or not of:
        return 0.0
    return max(0.4, round(rows / of * 100, 2))
