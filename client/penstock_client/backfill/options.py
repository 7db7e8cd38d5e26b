"""How a backfill is run, beside what it asks: its window and its ceilings. Changes no answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_schemas.jobs import invalid_job
from penstock_schemas.webhooks import WebhookUrl

#: Rows under way unless somebody says otherwise: enough for providers to stay busy.
WINDOW: Final = 2000
#: Rows of a dry run unless somebody says otherwise.
SAMPLE: Final = 100


class BackfillOptions(BaseModel):
    """How a backfill is run.

    At most `window` rows are under way. `max_cost_usd` is a hard ceiling: what is spent and the
    most that calls under way may cost never exceed it. Above `max_error_rate` of the last 300 rows
    it is paused. `sample` makes it a dry run of that many rows. With `dedupe` rows that ask the
    same share one call. `webhook` is told of its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    window: Annotated[int, Field(ge=1, le=100_000)] = WINDOW
    max_cost_usd: Annotated[Decimal | None, Field(gt=0, le=10**9)] = None
    max_error_rate: Annotated[float | None, Field(ge=0, le=1)] = None
    sample: Annotated[int | None, Field(ge=1, le=100_000)] = None
    dedupe: bool = True
    webhook: WebhookUrl | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Check options; raises InvalidJob that names the field."""
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            raise invalid_job(error) from None
