"""`penstock backfill`: one question for each row; see `penstock_client.backfill`.

Without the name of a command, what follows is that of `run`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from penstock_client.cli import backfill_control
from penstock_client.cli.backfill_asked import Given
from penstock_client.cli.printing import print_json
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_schemas.backfills import BackfillStatus


class Kind(StrEnum):
    """What a backfill can ask."""

    CLASSIFY = "classify"
    EXTRACT = "extract"
    GENERATE = "generate"


class _OneShot(TyperGroup):
    """A group whose first word may be an input: then it is `run` that is meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before arguments that begin with no command, but for one that is mistyped."""
        if args and args[0] not in {*self.commands, "--help"} and not self._is_mistyped(args[0]):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def _is_mistyped(self, word: str) -> bool:
        """Whether this is meant as a command rather than as a file or an option."""
        return re.fullmatch(r"[a-z-]+", word) is not None and not (
            word.startswith("-") or Path(word).exists()
        )


_Input = Annotated[
    Path | None,
    typer.Argument(metavar="INPUT", help="JSON lines, or CSV, TSV or Parquet by its suffix."),
]
_Workspace = Annotated[str, typer.Option("--workspace", "-w", help="Whose jobs they are.")]
_Capability = Annotated[Kind, typer.Option("--capability", "-c", help="What to ask of a row.")]
_Sql = Annotated[
    str | None, typer.Option(help="Instead of INPUT: a query on Postgres whose rows are asked.")
]
_SqlUrl = Annotated[
    str | None,
    typer.Option(envvar="PENSTOCK_SQL_URL", help="The database of --sql and --to-table."),
]
_TextField = Annotated[str, typer.Option(help="The field with the text.")]
_IdField = Annotated[str, typer.Option(help="The field with the row's unique ID.")]
_Labels = Annotated[
    Path | None, typer.Option(help="For classify: a JSON array, or one label a line.")
]
_Schema = Annotated[Path | None, typer.Option(help="For extract: the JSON Schema to fill.")]
_Prompt = Annotated[
    Path | None,
    typer.Option(help="A template with {field} placeholders: instructions, or the prompt."),
]
_Examples = Annotated[
    Path | None, typer.Option(help="For classify: a file of texts with their `label`.")
]
_ExamplesPerPrompt = Annotated[
    int, typer.Option(min=1, max=200, help="How many of the examples are shown.")
]
_RowsPerCall = Annotated[
    int, typer.Option(min=1, max=100, help="Rows asked in one prompt: cheaper, less exact.")
]
_Model = Annotated[str | None, typer.Option(metavar="PROVIDER/MODEL", help="Pin this model.")]
_Configuration = Annotated[
    str | None, typer.Option(help="The workspace's configuration; default: its default one.")
]
_MaxTokens = Annotated[int | None, typer.Option(min=1, help="Answer tokens at most.")]
_Window = Annotated[int, typer.Option(min=1, max=100_000, help="Rows unfinished at most.")]
_MaxCost = Annotated[
    float | None, typer.Option(min=0.000001, help="Never spend more; pause before.")
]
_MaxErrors = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Pause when more of the last 300 rows fail, e.g. 0.2."),
]
_NoDedupe = Annotated[
    bool, typer.Option("--no-dedupe", help="Ask rows of the same content each for itself.")
]
_DryRun = Annotated[
    int | None,
    typer.Option(
        min=1, max=100_000, help="Ask so many rows only, e.g. 100, and tell what all will cost."
    ),
]
_RunName = Annotated[str, typer.Option("--run", help="A name; another name asks every row anew.")]
_Webhook = Annotated[str | None, typer.Option(help="An https:// address, told of its end.")]


def register(app: typer.Typer) -> None:
    """Adds `penstock backfill` with its commands."""
    sub = typer.Typer(
        cls=_OneShot,
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock backfill tickets.csv --workspace acme --capability classify "
        "--text-field body --labels-file labels.txt --output answers.jsonl",
    )
    sub.command(
        "run",
        epilog="Example: penstock backfill tickets.parquet -w acme -c extract "
        "--schema-file ticket.json --max-cost-usd 20 -o answers.parquet",
    )(one_shot)
    sub.command(
        "start",
        epilog="Example: penstock backfill start tickets.jsonl -w acme -c classify "
        "--labels-file labels.txt --dry-run 100",
    )(start)
    backfill_control.register(sub)
    app.add_typer(sub, name="backfill", help="Ask the same of every row of a file or query.")


def one_shot(  # noqa: PLR0917 - options of a command
    workspace: _Workspace,
    capability: _Capability,
    input_: _Input = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="One line for each row with an ID, by its suffix."),
    ] = None,
    to_table: Annotated[
        str | None, typer.Option(help="Instead of --output: a table, made or emptied.")
    ] = None,
    sql: _Sql = None,
    sql_url: _SqlUrl = None,
    text_field: _TextField = "text",
    id_field: _IdField = "id",
    labels_file: _Labels = None,
    schema_file: _Schema = None,
    prompt_file: _Prompt = None,
    examples: _Examples = None,
    examples_per_prompt: _ExamplesPerPrompt = 10,
    rows_per_call: _RowsPerCall = 1,
    model: _Model = None,
    configuration: _Configuration = None,
    max_tokens: _MaxTokens = None,
    window: _Window = 2000,
    max_cost_usd: _MaxCost = None,
    max_error_rate: _MaxErrors = None,
    no_dedupe: _NoDedupe = False,
    dry_run: _DryRun = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go on after the dry run.")] = False,
    run_name: _RunName = "",
    webhook: _Webhook = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Ask the same of every row, show how it goes, write the answers in the rows' order.

    Safe to interrupt and run again: it attaches to what goes on, asks failed rows again, and pays
    for no answer twice. Exits with 1 where rows have no answer.
    """
    from penstock_client.cli.backfill_following import follow_to_end
    from penstock_client.cli.backfill_output import Output

    given = Given(
        input=input_, sql=sql, sql_url=sql_url, workspace=workspace, kind=capability.value,
        text_field=text_field, id_field=id_field, labels_file=labels_file,
        schema_file=schema_file, prompt_file=prompt_file, examples=examples,
        examples_per_prompt=examples_per_prompt, rows_per_call=rows_per_call, model=model,
        configuration=configuration, max_tokens=max_tokens, run_name=run_name,
        window=window, max_cost_usd=max_cost_usd, max_error_rate=max_error_rate,
        no_dedupe=no_dedupe, dry_run=dry_run, webhook=webhook,
    )  # fmt: skip
    target = Output.of(output, to_table, sql_url, source=input_)
    _settle_garbage_collector()
    failed = follow_to_end(given, target, yes=yes, json=json)
    if failed:
        raise typer.Exit(1)


def start(  # noqa: PLR0917 - options of a command
    workspace: _Workspace,
    capability: _Capability,
    input_: _Input = None,
    sql: _Sql = None,
    sql_url: _SqlUrl = None,
    text_field: _TextField = "text",
    id_field: _IdField = "id",
    labels_file: _Labels = None,
    schema_file: _Schema = None,
    prompt_file: _Prompt = None,
    examples: _Examples = None,
    examples_per_prompt: _ExamplesPerPrompt = 10,
    rows_per_call: _RowsPerCall = 1,
    model: _Model = None,
    configuration: _Configuration = None,
    max_tokens: _MaxTokens = None,
    window: _Window = 2000,
    max_cost_usd: _MaxCost = None,
    max_error_rate: _MaxErrors = None,
    no_dedupe: _NoDedupe = False,
    dry_run: _DryRun = None,
    run_name: _RunName = "",
    webhook: _Webhook = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load the rows, start asking them, and print the backfill's ID.

    It goes on whatever becomes of this process. The same rows and settings give the same backfill.
    """
    given = Given(
        input=input_, sql=sql, sql_url=sql_url, workspace=workspace, kind=capability.value,
        text_field=text_field, id_field=id_field, labels_file=labels_file,
        schema_file=schema_file, prompt_file=prompt_file, examples=examples,
        examples_per_prompt=examples_per_prompt, rows_per_call=rows_per_call, model=model,
        configuration=configuration, max_tokens=max_tokens, run_name=run_name,
        window=window, max_cost_usd=max_cost_usd, max_error_rate=max_error_rate,
        no_dedupe=no_dedupe, dry_run=dry_run, webhook=webhook,
    )  # fmt: skip
    _settle_garbage_collector()
    status = run(_start(given), go_on=lambda: "run the same command again to go on")
    if json:
        print_json(status.model_dump(mode="json"))
    else:
        typer.echo(status.backfill_id)


async def _start(given: Given) -> BackfillStatus:
    from penstock_client.cli.progress import new_progress

    plan, source = given.plan(), given.source()
    async with connected() as penstock:
        with new_progress() as progress:
            return await penstock.backfills.start(
                plan,
                source,
                options=given.options(),
                on_loaded=progress.loaded,
                on_wait=progress.say,
            )


def _settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect less often."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
