"""What a benchmark reports: a figure with its goal, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. `goal` None is a figure that explains others; `within` is its side.

    `value` None means that this platform does not tell it.
    """

    bench: str
    name: str
    value: float | None
    unit: str
    goal: float | None = None
    within: Literal["at most", "at least"] = "at most"

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None when there is no goal or no value."""
        if self.goal is None or self.value is None:
            return None
        return self.value <= self.goal if self.within == "at most" else self.value >= self.goal

    def as_json(self) -> dict[str, Any]:
        """Its fields, and whether it is met."""
        return {
            "bench": self.bench,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "within": self.within if self.goal is not None else None,
            "met": self.met,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(figures: Sequence[Figure]) -> str:
    """All figures as text, in columns."""
    rows = [("figure", "measured", "goal", "met")]
    rows += [(f"{f.bench}: {f.name}", _measured(f), _goal(f), _MET[f.met]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


_MET = {True: "yes", False: "NO", None: ""}


def _measured(figure: Figure) -> str:
    return "not told" if figure.value is None else f"{_number(figure.value)} {figure.unit}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "<=" if figure.within == "at most" else ">="
    return f"{sign} {_number(figure.goal)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
