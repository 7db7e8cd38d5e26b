"""Backfills: their states, and how one stands as everybody sees it.

States are stored as small integers in Postgres; the numbers are part of the schema. Where a state
means the same as a job's, it has the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, NewType
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict

from penstock_schemas.errors import InvalidId
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.state_names import BY_NAME
from penstock_schemas.status import State

BackfillId = NewType("BackfillId", str)
#: The `error.kind` of a row that could not be asked.
INVALID_ROW = "invalid_row"
#: The `error.kind` of a row that had no part in the answer to several rows, and none alone.
NO_ANSWER = "no_answer"


class BackfillState(State):
    """Where a backfill stands. One that failed has rows without an answer, which may be retried."""

    LOADING = 1
    RUNNING = 4
    PAUSED = 5
    SUCCEEDED = 10
    FAILED = 11
    CANCELLED = 12


class RowState(IntEnum):
    """Where a row stands: it waits until its call has ended.

    One that is asked out of its turn is marked as such, so that its turn passes over it.
    """

    WAITING = 1
    ASKED = 4
    SUCCEEDED = 10
    FAILED = 11
    INVALID = 13


#: A backfill's state, written by its public name.
BackfillStateName = Annotated[BackfillState, BeforeValidator(BackfillState.read), BY_NAME]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(_Frozen):
    """What a whole backfill will take, by the rows that were asked so far.

    Intervals of 95 % for `cost_usd`; `seconds_low` if all of the window ran at once, and
    `seconds_high` at the rate of the rows asked so far.
    """

    rows: int
    cost_usd: float
    cost_low_usd: float
    cost_high_usd: float
    seconds_low: float
    seconds_high: float


class BackfillStatus(_Frozen):
    """How a backfill stands, or ended.

    `rows` are those loaded so far; of them `succeeded`, `failed`, `invalid` (which could not be
    asked) and `adopted` (answered by an earlier backfill of the same settings) need no more work.
    `duplicates` share the answer of an earlier row and are counted with it. `cost_usd` leaves out
    `cost_unknown_rows`; `held_usd` is the most that calls under way may cost. `errors` counts rows
    without an answer by kind. `rows_per_s` is that of the last minute.
    """

    backfill_id: BackfillId
    workspace: WorkspaceId
    name: str
    status: BackfillStateName
    reason: str | None
    origin: str
    type: str
    model: str | None
    rows: int
    under_way: int
    succeeded: int
    failed: int
    invalid: int
    duplicates: int
    adopted: int
    errors: Mapping[str, int]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    cost_unknown_rows: int
    projected_cost_usd: Decimal | None
    held_usd: Decimal
    simulated_rows: int
    window: int
    rows_per_call: int
    max_cost_usd: Decimal | None
    max_error_rate: float | None
    sample: int | None
    estimate: Estimate | None
    rows_per_s: float
    left_s: float | None
    limit_share: float | None = None
    webhook: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    kept: bool
    version: int

    @property
    def done(self) -> int:
        """Rows that need no more work."""
        return self.succeeded + self.failed + self.invalid + self.adopted

    @property
    def without_answer(self) -> int:
        """Rows that failed or could not be asked."""
        return self.failed + self.invalid


def parse_backfill_id(text: str) -> BackfillId:
    """Return `text` as a canonical backfill ID; raises InvalidId when it is not a UUID."""
    try:
        return BackfillId(str(UUID(text)))
    except ValueError:
        raise InvalidId(text, "backfill") from None
