"""Pure: rows of the ledger -> how a backfill stands."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic_core import from_json

from penstock_client.backfill.figures import Fit, Recent, estimate
from penstock_schemas.backfills import (
    INVALID_ROW,
    BackfillId,
    BackfillState,
    BackfillStatus,
    Estimate,
)
from penstock_schemas.ids import WorkspaceId


def status_of(row: Any, *, limit_share: float | None = None) -> BackfillStatus:
    """How the backfill of a row stands."""
    state, plan = BackfillState(row["state"]), from_json(row["plan"])
    recent = Recent.of(from_json(row["recent"]))
    rate = recent.rows_per_s(_now_s(state, recent))
    guess = _estimate(row, rate, recent)
    done: int = row["succeeded"] + row["failed"] + row["invalid"] + row["adopted"]
    left_s = None
    if state is BackfillState.RUNNING and rate > 0:
        left_s = max(row["loaded"] - done, 0) / rate
    return BackfillStatus(
        backfill_id=BackfillId(str(row["id"])),
        workspace=WorkspaceId(row["workspace"]),
        name=row["name"],
        status=state,
        reason=row["reason"],
        origin=row["origin"],
        type=plan["type"],
        model=plan["model"],
        rows=row["loaded"],
        under_way=row["under_way"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        invalid=row["invalid"],
        duplicates=row["duplicates"],
        adopted=row["adopted"],
        errors=_errors(row),
        calls=row["calls"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=row["cost_usd"],
        cost_unknown_rows=row["cost_unknown"],
        projected_cost_usd=None if guess is None else _usd(guess.cost_usd),
        held_usd=row["held_usd"],
        simulated_rows=row["simulated"],
        window=row["row_window"],
        rows_per_call=row["rows_per_call"],
        max_cost_usd=row["max_cost_usd"],
        max_error_rate=_rounded(row["max_error_rate"]),
        sample=row["sample"],
        estimate=guess,
        rows_per_s=round(rate, 1),
        left_s=left_s,
        limit_share=limit_share,
        webhook=row["webhook"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        kept=row["kept"],
        version=row["version"],
    )


def _errors(row: Any) -> dict[str, int]:
    """Rows without an answer by kind, the most frequent first."""
    found: dict[str, int] = dict(from_json(row["errors"]))
    if row["invalid"]:
        found[INVALID_ROW] = row["invalid"]
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _now_s(state: BackfillState, recent: Recent) -> float:
    """The moment of which the rate is told: where nothing runs, that of the last end."""
    if state is BackfillState.RUNNING or not recent.marks:
        return datetime.now(UTC).timestamp()
    return recent.marks[-1][0]


def _estimate(row: Any, rate: float, recent: Recent) -> Estimate | None:
    fit = Fit.of(from_json(row["fit"]))
    calls: int = row["calls"]
    begun: datetime | None = row["started_at"]
    until = recent.marks[-1][0] if recent.marks else 0.0
    return estimate(
        fit,
        to_ask=row["to_ask"],
        asked_bytes=row["asked_bytes"],
        spent_usd=float(row["cost_usd"]),
        seconds_per_call=row["call_ms"] / calls / 1000 if calls else 0.0,
        rows_per_call=row["rows_per_call"],
        window=row["row_window"],
        rows_per_s=rate,
        spent_s=max(until - begun.timestamp(), 0.0) if begun else 0.0,
    )


def _usd(dollars: float) -> Decimal:
    return round(Decimal(dollars), 9)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
