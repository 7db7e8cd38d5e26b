"""`penstock backfill attach|status|…`: look at backfills and steer them, from any terminal."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.backfill.reparsing import Fitting
    from penstock_client.backfill.writing import Written
    from penstock_client.cli.backfill_output import Output
    from penstock_client.cli.backfill_shown import Since
    from penstock_schemas.backfills import BackfillStatus

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Id = Annotated[str, typer.Argument(metavar="BACKFILL", help="The ID that start printed.")]
_OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="JSON lines, or CSV, TSV or Parquet by its suffix."),
]
_Table = Annotated[str | None, typer.Option(help="Instead of --output: a table, made or emptied.")]
_Url = Annotated[
    str | None, typer.Option(envvar="PENSTOCK_SQL_URL", help="The database of --to-table.")
]


class StateLabel(StrEnum):
    """The public names of the states of backfills."""

    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


def register(sub: typer.Typer) -> None:
    """Adds the commands that take a backfill's ID, and `list`."""
    known = "019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11"
    for name, command, more in (
        ("attach", attach, known),
        ("list", list_backfills, "acme --state running"),
        ("status", status, f"{known} --json"),
        ("pause", pause, known),
        ("resume", resume, f"{known} --max-cost-usd 50"),
        ("cancel", cancel, known),
        ("retry-failed", retry_failed, known),
        ("export", export, f"{known} -o answers.parquet"),
        ("reparse", reparse, f"{known} --schema-file ticket-2.json -o answers-2.jsonl"),
    ):
        sub.command(name, epilog=f"Example: penstock backfill {name} {more}")(command)


def attach(backfill_id: _Id, json: _Json = False) -> None:
    """Show how a backfill goes until it ends or is paused. Exits with 1 where rows failed."""
    from penstock_client.cli.backfill_shown import Since, paused_lines, summary, summary_lines
    from penstock_schemas.backfills import BackfillState

    began = time.monotonic()
    found, since = run(_attach(backfill_id), go_on=lambda: "the backfill goes on; attach again")
    elapsed_s = time.monotonic() - began
    if since is None:
        since, elapsed_s = Since.nothing(), _took_s(found)
    if json:
        print_json(summary(found, since, elapsed_s=elapsed_s))
    else:
        paused = found.status is BackfillState.PAUSED
        shown = paused_lines(found) if paused else summary_lines(found, since, elapsed_s)
        typer.echo("\n".join(shown))
    if found.status is not BackfillState.PAUSED and found.without_answer:
        raise typer.Exit(1)


def list_backfills(
    workspace: Annotated[str, typer.Argument(help="The workspace.")],
    state: Annotated[StateLabel | None, typer.Option(help="Only these.")] = None,
    before: Annotated[str | None, typer.Option(help="Older than this: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: _Json = False,
) -> None:
    """List a workspace's backfills, newest first."""
    rows = run(_list(workspace, state, before=before, limit=limit))
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (
            row.backfill_id,
            row.status.label,
            row.type,
            f"{row.done:,}/{row.rows:,}",
            f"{row.without_answer:,}",
            f"${row.cost_usd:.4f}",
            shown_time(row.created_at),
            row.name or row.origin,
        )
        for row in rows
    ]
    header = ("BACKFILL", "STATE", "ASKS", "DONE", "FAILED", "COST", "CREATED (UTC)", "ROWS OF")
    print_table(header, cells)


def status(backfill_id: _Id, json: _Json = False) -> None:
    """Show how a backfill stands: rows, rate, limit, cost so far and projected, errors."""
    _print(run(_get(backfill_id)), json=json)


def pause(
    backfill_id: _Id,
    reason: Annotated[str, typer.Option(help="Why; people will see it.")] = "",
    json: _Json = False,
) -> None:
    """Start no more rows; what is under way goes on."""
    _print(run(_steer("pause", backfill_id, reason=reason)), json=json)


def resume(
    backfill_id: _Id,
    window: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Rows unfinished at most.")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(min=0.000001, help="Another ceiling on money.")
    ] = None,
    max_error_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Another ceiling on errors.")
    ] = None,
    json: _Json = False,
) -> None:
    """Let a paused backfill go on, also after a dry run or at a ceiling."""
    given = {
        "window": window,
        "max_cost_usd": None if max_cost_usd is None else str(max_cost_usd),
        "max_error_rate": max_error_rate,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    _print(run(_steer("resume", backfill_id, changes=changes)), json=json)


def cancel(backfill_id: _Id, json: _Json = False) -> None:
    """End a backfill with its calls under way; what was answered stays."""
    _print(run(_steer("cancel", backfill_id)), json=json)


def retry_failed(backfill_id: _Id, json: _Json = False) -> None:
    """Ask the failed rows again."""
    rows = run(_retry(backfill_id))
    if json:
        print_json({"backfill_id": backfill_id, "rows": rows})
    else:
        typer.echo(f"{rows:,} rows are asked again")


def export(  # noqa: PLR0917 - options of a command
    backfill_id: _Id,
    output: _OutputFile = None,
    to_table: _Table = None,
    sql_url: _Url = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="Read the answers again under this JSON Schema.")
    ] = None,
    json: _Json = False,
) -> None:
    """Write the answers of all rows that have ended, in the order of the input.

    Rows that have not ended are left out, and counted.
    """
    from penstock_client.cli.backfill_output import Output

    target = Output.of(output, to_table, sql_url)
    written, fitting, unended = run(_export(backfill_id, target, schema_file))
    if json:
        counted = {"rows": written.rows, "failed": written.failed, "not_ended": unended}
        print_json(counted if fitting is None else {**counted, **_fitted(fitting)})
        return
    told = f"{written.rows:,} rows, {written.failed:,} without an answer, to {target.name}"
    typer.echo(told)
    if unended:
        typer.echo(f"{unended:,} rows have not ended yet and were left out", err=True)
    if fitting is not None:
        _print_fitting(fitting)


def reparse(
    backfill_id: _Id,
    schema_file: Annotated[Path, typer.Option(help="The new JSON Schema.")],
    output: _OutputFile = None,
    json: _Json = False,
) -> None:
    """Read the kept answers again under a new schema, without a call; count what fits."""
    from penstock_client.cli.backfill_output import Output

    target = Output.of(output, None, None) if output else None
    _, fitting, _ = run(_export(backfill_id, target, schema_file))
    if fitting is None:
        return
    if json:
        print_json(_fitted(fitting))
    else:
        _print_fitting(fitting)


def _fitted(fitting: Fitting) -> dict[str, Any]:
    return {
        "fit": fitting.fit,
        "misfit": fitting.misfit,
        "without_answer": fitting.without_answer,
        "problems": dict(fitting.problems.most_common(20)),
    }


def _print_fitting(fitting: Fitting) -> None:
    lines = [f"{fitting.fit:,} answers fit the schema, {fitting.misfit:,} do not"]
    lines += [f"  {problem}: {count:,}" for problem, count in fitting.problems.most_common(5)]
    if fitting.without_answer:
        lines.append(f"{fitting.without_answer:,} rows have no answer")
    typer.echo("\n".join(lines))


def _print(found: BackfillStatus, *, json: bool) -> None:
    from penstock_client.cli.backfill_shown import status_lines

    if json:
        print_json(found.model_dump(mode="json"))
    else:
        typer.echo("\n".join(status_lines(found)))


async def _attach(backfill_id: str) -> tuple[BackfillStatus, Since | None]:
    """How it ended, and how it stood before; None where it had ended already."""
    from penstock_client.cli.backfill_shown import Since
    from penstock_client.cli.progress import new_progress

    async with connected() as penstock:
        stood = await penstock.backfills.get(backfill_id)
        since = None if stood.status.is_terminal else Since.of(stood)
        with new_progress() as progress:
            found = await penstock.backfills.wait(backfill_id, progress=progress.update)
        return found, since


def _took_s(ended: BackfillStatus) -> float:
    if ended.started_at is None or ended.finished_at is None:
        return 0.0
    return (ended.finished_at - ended.started_at).total_seconds()


async def _get(backfill_id: str) -> BackfillStatus:
    async with connected() as penstock:
        return await penstock.backfills.get(backfill_id, share=True)


async def _steer(what: str, backfill_id: str, **options: Any) -> BackfillStatus:
    async with connected() as penstock:
        return await getattr(penstock.backfills, what)(backfill_id, **options)


async def _retry(backfill_id: str) -> int:
    async with connected() as penstock:
        return await penstock.backfills.retry_failed(backfill_id)


async def _list(
    workspace: str, state: StateLabel | None, *, before: str | None, limit: int
) -> list[BackfillStatus]:
    from penstock_schemas.backfills import BackfillState

    wanted = None if state is None else BackfillState.parse(state.value)
    async with connected() as penstock:
        return await penstock.backfills.list(workspace, state=wanted, before=before, limit=limit)


async def _export(
    backfill_id: str, target: Output | None, schema_file: Path | None
) -> tuple[Written, Fitting | None, int]:
    """What was written, what came of a new schema, and how many rows had not ended."""
    from penstock_client.backfill import load_schema
    from penstock_client.backfill.reparsing import Reparser
    from penstock_client.backfill.writing import Written

    reparser = Reparser(load_schema(schema_file)) if schema_file else None
    async with connected() as penstock:
        plan = await penstock.backfills.plan(backfill_id)
        status = await penstock.backfills.get(backfill_id)
        rows = penstock.backfills.export(backfill_id)
        if reparser is not None:
            rows = reparser.rows(rows)
        if target is None:
            count = failed = 0
            async for row in rows:
                count, failed = count + 1, failed + (not row.ok)
            written = Written(count, failed)
        else:
            as_text = plan.as_text and reparser is None
            written = await target.write(rows, as_text=as_text)
    return written, None if reparser is None else reparser.fitting, status.rows - status.done
