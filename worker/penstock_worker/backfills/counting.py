"""Pure: jobs of a backfill that have ended -> what is noted of their rows, and the counts.

A job may end more than once, for anybody may requeue one that failed: what was counted of it is
taken back then. Who counts has the backfill's lock, so every end counts exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import orjson

from penstock_client.backfill.several import parts
from penstock_schemas.backfills import NO_ANSWER, BackfillState, RowState
from penstock_schemas.status import JobState
from penstock_worker.backfills.standing import Standing

_WAITING: Final = (RowState.WAITING, RowState.ASKED)


@dataclass(slots=True)
class Noted:
    """What is written of the ends of jobs; `rows` as `backfill_note_rows` takes them."""

    rows: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    closed: list[UUID] = field(default_factory=list[UUID])
    kept: list[UUID] = field(default_factory=list[UUID])
    alone: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class _End:
    """How one job ended, and each row's share of what its calls came to."""

    row: Any
    answers: Sequence[Any]

    @property
    def succeeded(self) -> bool:
        return self.row["state"] == JobState.SUCCEEDED

    @property
    def size(self) -> int:
        return self.row["size"]

    @property
    def cost_usd(self) -> Decimal | None:
        cost: Decimal | None = self.row["cost_usd"]
        return cost if cost is None or self.size == 1 else cost / self.size

    def share(self, name: str, place: int) -> int:
        """A row's share of a count: the first row takes what is left over."""
        each, over = divmod(self.row[name], self.size)
        return each + over if place == 1 else each


def count(standing: Standing, rows: Iterable[Any], *, now_s: float) -> Noted:
    """Count the rows of `backfill_ends`, which come job by job; changes `standing`."""
    noted = Noted()
    ended = failed = 0
    for _, of_job in groupby(rows, key=lambda row: row["job_id"]):
        group = list(of_job)
        end = _End(group[0], _answers(group[0]))
        _count_job(standing, end)
        (noted.closed if end.succeeded else noted.kept).append(group[0]["job_id"])
        for row in group:
            outcome = _outcome(standing, end, row)
            if outcome is None:
                continue
            if outcome == NO_ANSWER and end.size > 1:
                noted.alone.append(row["number"])
                standing.fed_all = False
                continue
            noted.rows.append(_note(standing, end, row, outcome))
            ended += row["copies"]
            failed += row["copies"] if outcome else 0
    standing.recent = standing.recent.plus(now_s, ended=ended, failed=failed)
    return noted


def _answers(row: Any) -> Sequence[Any]:
    if row["size"] == 1 or row["state"] != JobState.SUCCEEDED:
        return ()
    output = orjson.loads(row["body"]).get("output") if row["body"] else None
    return parts(output, row["size"])


def _count_job(standing: Standing, end: _End) -> None:
    """Count what a job's calls came to, less what was counted of it before."""
    row = end.row
    if row["open"]:
        standing.under_way -= end.size
        standing.held_usd -= row["held_usd"]
    standing.calls += row["calls"]
    standing.input_tokens += row["input_tokens"]
    standing.output_tokens += row["output_tokens"]
    standing.call_ms += row["call_ms"]
    if row["cost_usd"] is None:
        standing.cost_unknown += end.size
    else:
        standing.cost_usd += row["cost_usd"]


def _outcome(standing: Standing, end: _End, row: Any) -> str | None:
    """What became of a row: the kind of its failure, "" for an answer; None where it stays.

    A row stays as it is that has an answer already, or that waits on in a cancelled backfill.
    """
    if row["row_state"] == RowState.SUCCEEDED:
        return None
    if end.succeeded:
        has_answer = end.size == 1 or end.answers[row["place"] - 1] is not None
        return "" if has_answer else NO_ANSWER
    if end.row["state"] == JobState.CANCELLED and standing.state is BackfillState.CANCELLED:
        return None
    return end.row["last_error"] or JobState(end.row["state"]).label


def _note(standing: Standing, end: _End, row: Any, outcome: str) -> tuple[Any, ...]:
    """Count one row, and what is written of it."""
    copies: int = row["copies"]
    if row["row_state"] == RowState.FAILED:
        _take_back(standing, row)
    elif row["open"]:
        cost = None if end.cost_usd is None else float(end.cost_usd)
        standing.fit = standing.fit.plus(row["bytes"] or 0, cost)
    if outcome:
        standing.failed += copies
        standing.errors[outcome] += copies
    else:
        standing.succeeded += copies
        standing.simulated += copies if end.row["simulated"] else 0
    answer = None
    if end.size > 1 and not outcome:
        answer = orjson.dumps(end.answers[row["place"] - 1])
    return (
        row["number"],
        int(RowState.FAILED if outcome else RowState.SUCCEEDED),
        row["job_id"],
        answer,
        outcome or None,
        end.share("calls", row["place"]),
        end.share("input_tokens", row["place"]),
        end.share("output_tokens", row["place"]),
        end.cost_usd,
    )


def _take_back(standing: Standing, row: Any) -> None:
    """What was counted of a row whose job had ended before."""
    standing.failed -= row["copies"]
    standing.errors[row["row_error"]] -= row["copies"]
    standing.calls -= row["row_attempts"]
    standing.input_tokens -= row["row_input_tokens"]
    standing.output_tokens -= row["row_output_tokens"]
    if row["row_cost_usd"] is None:
        standing.cost_unknown -= 1
    else:
        standing.cost_usd -= row["row_cost_usd"]
