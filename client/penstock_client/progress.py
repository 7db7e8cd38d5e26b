"""How far a piece of bulk work is: what progress callbacks are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from penstock_schemas.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts of jobs so far, and what those that ended have cost.

    `cost_usd` leaves out the `unpriced`: ended jobs whose cost is not known, which does not mean
    free.
    """

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def ended(self) -> int:
        """Jobs that have a result, whatever it is."""
        return self.succeeded + self.failed

    @property
    def under_way(self) -> int:
        """Jobs that were submitted and have not ended."""
        return self.submitted - self.ended


#: Called from the event loop after each change; should return quickly. What it raises ends the
#: work that it is told of.
OnProgress = Callable[[Progress], object]


class Counting:
    """Counts, and tells each change."""

    def __init__(self, tell: OnProgress | None) -> None:
        self._tell = tell
        self._submitted = self._succeeded = self._failed = self._unpriced = 0
        self._cost_usd = Decimal(0)

    def submitted(self, jobs: int) -> None:
        """So many more jobs were submitted."""
        self._submitted += jobs
        self._told()

    def ended(self, result: Result) -> None:
        """One more job has ended."""
        if result.ok:
            self._succeeded += 1
        else:
            self._failed += 1
        if result.cost_usd is not None:
            self._cost_usd += result.cost_usd
        elif result.attempts:
            self._unpriced += 1
        self._told()

    def _told(self) -> None:
        if self._tell is not None:
            self._tell(
                Progress(
                    submitted=self._submitted,
                    succeeded=self._succeeded,
                    failed=self._failed,
                    cost_usd=self._cost_usd,
                    unpriced=self._unpriced,
                )
            )
