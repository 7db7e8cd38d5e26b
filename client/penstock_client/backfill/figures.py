"""Pure: what is known of rows that have ended -> rates, and what the rest will cost and take.

Both are kept with their backfill as a few numbers: no row is ever looked at twice for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from penstock_schemas.backfills import Estimate

#: Rates are those of the last so many seconds.
RATE_S: Final = 60.0
#: The error rate is that of the last so many rows, once there are enough.
ERROR_ROWS, ENOUGH_ROWS = 300, 20
_MARKS: Final = 400
_BUCKET_S: Final = 1.0
#: Below so many rows the cost is not taken to follow their length.
_FIT_ROWS: Final = 10
#: Two standard errors: 95 of 100 intervals hold what they estimate.
_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Recent:
    """When rows ended lately: (second, ended, failed), the first being where counting began."""

    marks: tuple[tuple[float, int, int], ...] = ()

    @classmethod
    def of(cls, marks: Iterable[Sequence[float]]) -> Recent:
        """From how it is kept."""
        return cls(tuple((at, int(ended), int(failed)) for at, ended, failed in marks))

    def plus(self, at_s: float, *, ended: int, failed: int) -> Recent:
        """With rows that ended now; those without an end only say that counting begins."""
        if not self.marks:
            return Recent(((at_s, 0, 0),)).plus(at_s, ended=ended, failed=failed)
        if not ended:
            return self
        last_s, last_ended, last_failed = self.marks[-1]
        marks = self.marks
        if len(marks) > 1 and at_s - marks[-2][0] < _BUCKET_S:
            marks = (*marks[:-1], (at_s, last_ended + ended, last_failed + failed))
        else:
            marks = (*marks, (max(at_s, last_s), ended, failed))
        return Recent(_trimmed(marks))

    def rows_per_s(self, now_s: float) -> float:
        """How many rows end in a second."""
        if len(self.marks) < 2:
            return 0.0
        late = [mark for mark in self.marks if mark[0] > now_s - RATE_S]
        before = self.marks[: len(self.marks) - len(late)]
        begin_s = before[-1][0] if before else late[0][0]
        counted = late if before else late[1:]
        seconds = max(now_s - max(begin_s, now_s - RATE_S), 0.05)
        return sum(ended for _, ended, _ in counted) / seconds

    def failed_share(self) -> float | None:
        """The share of the last rows that failed; None while there are too few."""
        ended = failed = 0
        for _, more, of_them in reversed(self.marks):
            ended, failed = ended + more, failed + of_them
            if ended >= ERROR_ROWS:
                break
        return failed / ended if ended >= ENOUGH_ROWS else None


def _trimmed(marks: tuple[tuple[float, int, int], ...]) -> tuple[tuple[float, int, int], ...]:
    """Without what neither the rate nor the error rate needs."""
    last_s, rows, keep = marks[-1][0], 0, 0
    for at_s, ended, _ in reversed(marks):
        if keep >= _MARKS or (rows >= ERROR_ROWS and at_s < last_s - RATE_S):
            break
        rows, keep = rows + ended, keep + 1
    return marks[max(0, len(marks) - keep - 1) :]


@dataclass(frozen=True, slots=True)
class Fit:
    """Sums over the rows asked so far: x are bytes of what was asked, y is cost in dollars."""

    rows: int = 0
    x: float = 0.0
    xx: float = 0.0
    y: float = 0.0
    xy: float = 0.0
    yy: float = 0.0
    #: Bytes of all rows that have ended, those of unknown cost included, and how many they are.
    ended: int = 0
    ended_x: float = 0.0

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Fit:
        """From how it is kept."""
        if not numbers:
            return cls()
        rows, x, xx, y, xy, yy, ended, ended_x = numbers
        return cls(int(rows), x, xx, y, xy, yy, int(ended), ended_x)

    def numbers(self) -> list[float]:
        """How it is kept."""
        sums = [self.x, self.xx, self.y, self.xy, self.yy]
        return [self.rows, *sums, self.ended, self.ended_x]

    def plus(self, size: int, cost_usd: float | None) -> Fit:
        """With a row that ended."""
        seen = replace(self, ended=self.ended + 1, ended_x=self.ended_x + size)
        if cost_usd is None:
            return seen
        return replace(
            seen,
            rows=self.rows + 1,
            x=self.x + size,
            xx=self.xx + size * size,
            y=self.y + cost_usd,
            xy=self.xy + size * cost_usd,
            yy=self.yy + cost_usd * cost_usd,
        )

    def rest(self, rows: int, size: float) -> tuple[float, float]:
        """What so many more rows of so many bytes will cost, and twice its standard error."""
        if not self.rows or rows <= 0:
            return 0.0, 0.0
        mean_x, mean_y = self.x / self.rows, self.y / self.rows
        spread_x = max(self.xx - self.x * mean_x, 0.0)
        spread_y = max(self.yy - self.y * mean_y, 0.0)
        slope = 0.0
        if self.rows >= _FIT_ROWS and spread_x > 0:
            slope = (self.xy - self.x * mean_y) / spread_x
        total = max(rows * mean_y + slope * (size - rows * mean_x), 0.0)
        left_over = max(spread_y - slope * slope * spread_x, 0.0)
        variance = left_over / max(self.rows - 2, 1)
        away = (size - rows * mean_x) ** 2 / spread_x if spread_x > 0 else 0.0
        error = math.sqrt(variance * (rows + rows * rows / self.rows + away))
        return total, _ERRORS * error


def estimate(
    fit: Fit,
    *,
    to_ask: int,
    asked_bytes: int,
    spent_usd: float,
    seconds_per_call: float,
    rows_per_call: int,
    window: int,
    rows_per_s: float,
    spent_s: float,
) -> Estimate | None:
    """What the whole backfill will take; None while no row has ended whose cost is known."""
    if not fit.rows:
        return None
    left = max(to_ask - fit.ended, 0)
    rest, error = fit.rest(left, max(asked_bytes - fit.ended_x, 0.0))
    at_once = max(window // rows_per_call, 1)
    calls = math.ceil(left / rows_per_call)
    fastest_s = math.ceil(calls / at_once) * seconds_per_call
    slowest_s = left / rows_per_s if rows_per_s > 0 else fastest_s
    return Estimate(
        rows=to_ask,
        cost_usd=spent_usd + rest,
        cost_low_usd=spent_usd + max(rest - error, 0.0),
        cost_high_usd=spent_usd + rest + error,
        seconds_low=spent_s + min(fastest_s, slowest_s),
        seconds_high=spent_s + max(fastest_s, slowest_s),
    )
