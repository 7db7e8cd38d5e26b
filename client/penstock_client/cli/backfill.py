"""`penstock backfill`: one call for each row of a file; see `penstock_client.backfill`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, shown_seconds
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.backfill import Plan, Source, Tally
    from penstock_client.cli.progress import Progress


class Kind(StrEnum):
    """What a backfill can ask."""

    CLASSIFY = "classify"
    EXTRACT = "extract"
    GENERATE = "generate"


def register(app: typer.Typer) -> None:
    """Adds `penstock backfill`."""
    app.command(
        "backfill",
        epilog="Example: penstock backfill tickets.csv --workspace acme --capability classify "
        "--text-field body --labels-file labels.txt --output answers.jsonl",
    )(backfill)


def backfill(  # noqa: PLR0917 - options of a command
    input_: Annotated[
        Path, typer.Argument(metavar="INPUT", help="JSON lines, or CSV/TSV by its suffix.")
    ],
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose jobs they are.")],
    capability: Annotated[Kind, typer.Option("--capability", "-c", help="What to ask of a row.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="JSON lines, one for each row with an ID.")
    ],
    text_field: Annotated[str, typer.Option(help="The field with the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="The field with the row's unique ID.")] = "id",
    labels_file: Annotated[
        Path | None, typer.Option(help="For classify: a JSON array, or one label a line.")
    ] = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="For extract: the JSON Schema to fill.")
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(help="A template with {field} placeholders: instructions, or the prompt."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER/MODEL", help="Pin this model.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Answer tokens at most.")] = None,
    window: Annotated[
        int, typer.Option(min=1, max=100_000, help="Rows unfinished at most.")
    ] = 1000,
    run_name: Annotated[
        str, typer.Option("--run", help="A name; another name asks every row anew.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Ask the same of every row of a file; safe to interrupt and run again.

    A second run keeps the answers in OUTPUT, awaits what was submitted, and asks failed rows again.
    """
    from penstock_client.backfill import Plan, Source, load_labels, load_schema, load_template
    from penstock_client.cli.progress import new_progress

    plan = Plan(
        workspace=workspace,
        kind=capability.value,
        text_field=text_field,
        labels=load_labels(labels_file) if labels_file else (),
        schema=load_schema(schema_file) if schema_file else None,
        template=load_template(prompt_file) if prompt_file else None,
        model=model,
        max_tokens=max_tokens,
        run=run_name,
    )
    _settle_garbage_collector()
    began = time.monotonic()
    with new_progress() as progress:
        tally = run(
            _backfill(Source(input_, id_field), plan, output, window, progress),
            go_on=lambda: "run the same command again to go on; finished rows are kept",
        )
    elapsed_s = time.monotonic() - began
    if json:
        print_json(tally.summary(elapsed_s=elapsed_s))
    else:
        for line in summary_lines(tally, elapsed_s):
            typer.echo(line)
    if tally.failed:
        raise typer.Exit(1)


def _settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect less often."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _backfill(
    source: Source, plan: Plan, output: Path, window: int, progress: Progress
) -> Tally:
    from penstock_client.backfill import run_backfill

    async with connected() as penstock:
        return await run_backfill(
            penstock, source=source, plan=plan, output=output, window=window, watcher=progress
        )


def summary_lines(tally: Tally, elapsed_s: float) -> list[str]:
    """A run for people: what became of its rows, and what it took."""
    ended = f"{tally.succeeded:,} succeeded, {tally.failed:,} failed"
    lines = [f"{tally.rows:,} rows: {ended}, {tally.skipped:,} done before"]
    lines += [f"  failed: {kind} {count:,}" for kind, count in tally.errors.most_common()]
    cost = f"${tally.cost_usd:.4f}"
    if tally.cost_unknown:
        cost += f" (unknown for {tally.cost_unknown:,} rows)"
    lines.append(
        f"{tally.calls:,} calls, {tally.input_tokens:,} + {tally.output_tokens:,} tokens, {cost}"
    )
    rate = tally.ended / elapsed_s if elapsed_s > 0 else 0.0
    lines.append(f"{shown_seconds(elapsed_s)}, {rate:,.0f} rows/s")
    if tally.simulated:
        lines.append(f"{tally.simulated:,} answers are simulated: no provider was called")
    return lines
