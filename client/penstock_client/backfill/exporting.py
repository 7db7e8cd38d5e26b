"""Reading what a backfill gave, row by row in the order of its input, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import from_json

from penstock_client.backfill.answers import answer_of
from penstock_schemas.errors import UnknownBackfill

if TYPE_CHECKING:
    from penstock_client.client import Penstock

#: Rows of one page: few enough for long answers.
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Exported:
    """One row that has ended: its number and line in the input, and its answer (`answers`)."""

    number: int
    line: int
    answer: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it has an answer."""
        return self.answer["error"] is None


async def exported_rows(
    penstock: Penstock, backfill: UUID, *, after: int, every_row: bool
) -> AsyncIterator[Exported]:
    """The rows after number `after` that have ended; raises UnknownBackfill, Unavailable."""
    fetch = penstock.ledger.fetch_safely
    found = await fetch("backfill_get", [backfill])
    if not found:
        raise UnknownBackfill(str(backfill))
    plan: dict[str, Any] = from_json(found[0]["plan"])
    as_text = plan["type"] == "generate" and plan["schema"] is None
    number = after
    while rows := await fetch("backfill_export", backfill, number, _PAGE, every_row):
        for row in rows:
            answer = answer_of(row, as_text=as_text)
            if answer is not None:
                yield Exported(row["number"], row["line"], answer)
        number = rows[-1]["number"]
