"""Pure: rows of an input -> rows of the ledger, with what is asked of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import orjson

from penstock_client.backfill.plan import Plan
from penstock_client.backfill.source import Malformed, Row
from penstock_schemas.backfills import RowState
from penstock_schemas.errors import InvalidJob

#: What COPY fills, in the order of `LoadedRow.record`.
COLUMNS: Final = (
    "backfill", "number", "line", "row_id", "key", "digest", "input", "state", "error",
)  # fmt: skip
_NO_DIGEST = b"\x00" * 16


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """One row as it is kept; `error` says why it cannot be asked."""

    line: int
    row_id: str | None
    key: bytes
    digest: bytes
    input: bytes | None
    error: str | None

    def record(self, backfill: UUID, number: int) -> tuple[Any, ...]:
        """As COPY takes it."""
        state = RowState.WAITING if self.error is None else RowState.INVALID
        return (
            backfill, number, self.line, self.row_id, self.key, self.digest, self.input,
            int(state), self.error,
        )  # fmt: skip


def loaded_row(plan: Plan, row: Row | Malformed, where: str) -> LoadedRow:
    """A row as it is kept; `where` is its place, which goes before what is wrong with it."""
    if isinstance(row, Malformed):
        key = blake2b(where.encode(), digest_size=16).digest()
        return LoadedRow(row.line, None, key, _NO_DIGEST, None, _said(where, row.message))
    row_id = orjson.dumps(row.row_id).decode()
    try:
        asked = plan.asked(row)
    except InvalidJob as error:
        said = _said(where, str(error))
        return LoadedRow(row.line, row_id, row.key, _NO_DIGEST, None, said)
    return LoadedRow(row.line, row_id, row.key, plan.digest(asked), asked.encode(), None)


def refused(rows: Sequence[LoadedRow]) -> int:
    """How many of these cannot be asked."""
    return sum(row.error is not None for row in rows)


def _said(where: str, message: str) -> str:
    return f"{where}: {message}".replace("\x00", "\ufffd")
