"""One line of a backfill's output: a row's ID with its answer, what it took, or why there is none.

Pure. Every line has the same keys, so that any tool can read the file by column.
"""

from __future__ import annotations

from typing import Any

import orjson

from penstock_client.backfill.source import RowId
from penstock_schemas.results import Result

#: The `error.kind` of a row that could not be asked.
INVALID_ROW = "invalid_row"


def answer_line(row_id: RowId, result: Result, *, as_text: bool) -> bytes:
    """The line of a row whose job has ended; `as_text` gives `text` instead of `output`."""
    error = None
    if not result.ok:
        error = (
            result.error.model_dump(mode="json", exclude_none=True)
            if result.error
            else {"kind": result.status.label, "message": f"job {result.status.label}"}
        )
    return _line(
        {
            "id": row_id,
            **({"text": result.text} if as_text else {"output": result.output}),
            "model": result.model,
            "provider": result.provider,
            "tokens": {"input": result.usage.input_tokens, "output": result.usage.output_tokens},
            "cost_usd": None if result.cost_usd is None else float(result.cost_usd),
            "attempts": result.attempts,
            "job_id": result.job_id,
            "error": error,
            "simulated": result.simulated,
        }
    )


def invalid_line(row_id: RowId, message: str, *, as_text: bool) -> bytes:
    """The line of a row that could not be asked; `message` names file and line."""
    return _line(
        {
            "id": row_id,
            "text" if as_text else "output": None,
            "model": None,
            "provider": None,
            "tokens": {"input": 0, "output": 0},
            "cost_usd": 0.0,
            "attempts": 0,
            "job_id": None,
            "error": {"kind": INVALID_ROW, "message": message},
            "simulated": False,
        }
    )


def read_line(line: bytes) -> tuple[RowId, bool] | None:
    """The ID of a line and whether it is an answer; None if it is no line of a backfill."""
    try:
        found: Any = orjson.loads(line)
        row_id, error = found["id"], found["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return (row_id, error is None) if isinstance(row_id, (str, int)) else None


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
