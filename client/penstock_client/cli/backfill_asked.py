"""What the options of `penstock backfill` ask for, as plan, source and options of a backfill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_client.backfill import BackfillOptions, Plan, RowSource
    from penstock_client.backfill.plan import Kind


@dataclass(frozen=True, kw_only=True)
class Given:
    """The options of `run` and `start`."""

    input: Path | None
    sql: str | None
    sql_url: str | None
    workspace: str
    kind: Kind
    text_field: str
    id_field: str
    labels_file: Path | None
    schema_file: Path | None
    prompt_file: Path | None
    examples: Path | None
    examples_per_prompt: int
    rows_per_call: int
    model: str | None
    configuration: str | None
    max_tokens: int | None
    run_name: str
    window: int
    max_cost_usd: float | None
    max_error_rate: float | None
    no_dedupe: bool
    dry_run: int | None
    webhook: str | None

    def plan(self) -> Plan:
        """What is asked of each row; raises InvalidJob that names the option."""
        from penstock_client.backfill import (
            Plan,
            load_examples,
            load_labels,
            load_schema,
            load_template,
        )

        return Plan(
            workspace=self.workspace,
            kind=self.kind,
            text_field=self.text_field,
            labels=load_labels(self.labels_file) if self.labels_file else (),
            schema=load_schema(self.schema_file) if self.schema_file else None,
            template=load_template(self.prompt_file) if self.prompt_file else None,
            model=self.model,
            configuration=self.configuration,
            max_tokens=self.max_tokens,
            examples=load_examples(
                self.examples,
                text_field=self.text_field,
                label_field="label",
                count=self.examples_per_prompt,
            )
            if self.examples
            else (),
            rows_per_call=self.rows_per_call,
            run=self.run_name,
        )

    def source(self) -> RowSource:
        """Where the rows come from; raises InvalidJob."""
        from penstock_client.backfill import SqlSource, file_source
        from penstock_schemas.errors import InvalidJob

        if (self.input is None) == (self.sql is None):
            raise InvalidJob("input: give a file or --sql, one of them", field="input")
        if self.input is not None:
            return file_source(self.input, self.plan(), id_field=self.id_field)
        if self.sql_url is None or self.sql is None:
            told = "sql-url: --sql needs the database's URL (or PENSTOCK_SQL_URL)"
            raise InvalidJob(told, field="sql-url")
        return SqlSource(self.sql_url, self.sql, self.id_field)

    def options(self) -> BackfillOptions:
        """How it is run; raises InvalidJob."""
        from penstock_client.backfill import BackfillOptions

        return BackfillOptions.of(
            {
                "window": self.window,
                "max_cost_usd": None if self.max_cost_usd is None else str(self.max_cost_usd),
                "max_error_rate": self.max_error_rate,
                "sample": self.dry_run,
                "dedupe": not self.no_dedupe,
                "webhook": self.webhook,
            }
        )

    def ceilings(self) -> dict[str, object]:
        """What a backfill that is resumed gets of these options."""
        given = {
            "window": self.window,
            "max_cost_usd": None if self.max_cost_usd is None else str(self.max_cost_usd),
            "max_error_rate": self.max_error_rate,
        }
        return {name: value for name, value in given.items() if value is not None}
