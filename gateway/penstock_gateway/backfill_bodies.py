"""What the API takes and shows of backfills; one is `schemas.backfills.BackfillStatus`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from penstock_client.backfill import BackfillOptions, Plan
from penstock_client.backfill.loading import LoadedRow, loaded_row
from penstock_client.backfill.source import row_of
from penstock_client.json_schemas import schema_problem
from penstock_gateway.run_bodies import WorkspaceName
from penstock_gateway.views import View
from penstock_schemas.backfills import BackfillStatus
from penstock_schemas.errors import InvalidJob
from penstock_schemas.webhooks import WebhookUrl

#: Rows of one request.
MOST_ROWS: Final = 1000
BackfillLabel = Literal["loading", "running", "paused", "succeeded", "failed", "cancelled"]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Row = dict[str, JsonValue]
Rows = Annotated[list[Row], Field(max_length=MOST_ROWS)]

BACKFILL_EXAMPLE: Final[dict[str, Any]] = {
    "workspace": "acme",
    "type": "classify",
    "labels": ["refund", "praise"],
    "max_cost_usd": "5",
    "rows": [{"id": 1, "text": "I want a refund"}, {"id": 2, "text": "Well done"}],
}
ROWS_EXAMPLE: Final[dict[str, Any]] = {
    "at": 0,
    "rows": [{"id": 1, "text": "I want a refund"}, {"id": 2, "text": "Well done"}],
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class LabelledText(_Body):
    """An example: a text with its label."""

    text: _Text
    label: _Name


class BackfillBody(_Body):
    """A backfill to start.

    With `rows` it starts at once; without, it waits for them (`/rows`) and for `/start`.
    """

    type: Literal["classify", "extract", "generate"]
    workspace: WorkspaceName | None = None
    text_field: _Name = "text"
    id_field: _Name = "id"
    labels: Annotated[list[_Name], Field(max_length=1000)] = []
    output_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    prompt: _Text | None = None
    model: _Name | None = None
    configuration: _Name | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    examples: Annotated[list[LabelledText], Field(max_length=200)] = []
    rows_per_call: Annotated[int, Field(ge=1, le=100)] = 1
    name: _Name | None = None
    window: Annotated[int, Field(ge=1, le=100_000)] = 2000
    max_cost_usd: Annotated[Decimal, Field(gt=0, le=10**9)] | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    sample: Annotated[int, Field(ge=1, le=100_000)] | None = None
    dedupe: bool = True
    webhook: WebhookUrl | None = None
    rows: Rows | None = None

    def plan(self, workspace: str) -> Plan:
        """What is asked of each row; raises InvalidJob."""
        problem = None if self.output_schema is None else schema_problem(self.output_schema)
        if problem is not None:
            raise InvalidJob(f"schema: is not a JSON Schema{problem}", field="schema")
        return Plan.of(
            workspace,
            {
                "type": self.type,
                "text_field": self.text_field,
                "labels": self.labels,
                "schema": self.output_schema,
                "prompt": self.prompt,
                "model": self.model,
                "configuration": self.configuration,
                "max_tokens": self.max_tokens,
                "examples": [(example.text, example.label) for example in self.examples],
                "rows_per_call": self.rows_per_call,
                "run": self.name,
            },
        )

    def options(self) -> BackfillOptions:
        """How it is run; raises InvalidJob."""
        names = set(BackfillOptions.model_fields)
        return BackfillOptions.of(self.model_dump(include=names))


class BackfillRowsBody(_Body):
    """Rows of a backfill that is being loaded; the first of them is row number `at`, from 0."""

    at: Annotated[int, Field(ge=0, le=10**12)]
    id_field: _Name = "id"
    rows: Rows


class BackfillStartBody(_Body):
    """How a loaded backfill starts: `sample` makes it a dry run."""

    sample: Annotated[int, Field(ge=1, le=100_000)] | None = None


class BackfillChanges(_Body):
    """What a backfill that goes on gets; what is not named stays."""

    window: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_cost_usd: Annotated[Decimal, Field(gt=0, le=10**9)] | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None


class BackfillPage(View):
    """Some backfills, and what to give as `before` for the next ones; null: no more."""

    backfills: list[BackfillStatus]
    next: str | None


class BackfillPlan(View):
    """What a backfill asks of each row; its labels, schema, prompt and examples with it."""

    backfill_id: str
    workspace: str
    plan: dict[str, JsonValue]


class RowsLoaded(View):
    """How many rows are there now."""

    backfill_id: str
    rows: int


class RowsRetried(View):
    """How many rows are asked again."""

    backfill_id: str
    rows: int


def loaded_rows(plan: Plan, rows: Sequence[Row], *, at: int, id_field: str) -> list[LoadedRow]:
    """Rows as they are kept; those that cannot be asked say why, by their number from 1."""
    return [
        loaded_row(plan, row_of(at + place, dict(row), id_field), f"row {at + place}")
        for place, row in enumerate(rows, 1)
    ]
