"""One answer of a backfill: a row's ID with what was answered, what it took, or why there is none.

Pure. Every answer has the same keys, so that any tool can read a file of them by column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from penstock_schemas.backfills import INVALID_ROW, RowState

_NOT_KEPT = "is no longer kept"


def answer_of(row: Any, *, as_text: bool) -> dict[str, Any] | None:
    """The answer of a row of `backfill_export`; None for a row that has not ended.

    `as_text` gives `text` instead of `output`. A row that shares another's call has its answer at
    no cost.
    """
    state = row["state"]
    if state not in {RowState.SUCCEEDED, RowState.FAILED, RowState.INVALID}:
        return None
    said = "text" if as_text else "output"
    result: dict[str, Any] = orjson.loads(row["body"]) if row["body"] is not None else {}
    error = None if state == RowState.SUCCEEDED else _error(row, result)
    paid = not row["shared"] and state != RowState.INVALID
    cost = row["cost_usd"] if paid else 0
    return {
        "id": None if row["row_id"] is None else orjson.loads(row["row_id"]),
        said: None if error else _said(row, result, said),
        "model": result.get("model"),
        "provider": result.get("provider"),
        "tokens": {
            "input": row["input_tokens"] if paid else 0,
            "output": row["output_tokens"] if paid else 0,
        },
        "cost_usd": None if cost is None else float(cost),
        "attempts": row["attempts"] if paid else 0,
        "job_id": None if row["job_id"] is None else str(row["job_id"]),
        "error": error,
        "simulated": bool(result.get("simulated")),
    }


def encoded(answer: Mapping[str, Any]) -> bytes:
    """An answer as a line of JSON."""
    return orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE)


def _said(row: Any, result: Mapping[str, Any], said: str) -> Any:
    if row["answer"] is not None:  # its part of an answer to several rows
        return orjson.loads(row["answer"])
    return result.get(said)


def _error(row: Any, result: Mapping[str, Any]) -> dict[str, Any]:
    if row["state"] == RowState.INVALID:
        return {"kind": INVALID_ROW, "message": row["error"] or f"why {_NOT_KEPT}"}
    found = result.get("error")
    if isinstance(found, dict) and found:
        return cast("dict[str, Any]", found)
    kind = row["error"] or result.get("status") or "failed"
    return {"kind": kind, "message": f"job {kind}" if row["body"] else f"why {_NOT_KEPT}"}
