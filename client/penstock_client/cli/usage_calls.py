"""`penstock usage calls` and `penstock usage export`: single calls, and files of usage."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from penstock_client.cli.printing import print_json, print_table, shown_cost, shown_time
from penstock_client.cli.running import connected, run
from penstock_client.cli.usage_options import (
    SIMULATED,
    Json,
    Model,
    Since,
    Until,
    Values,
    Workspace,
    chosen,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from penstock_client.usage_rows import CallPage, CallRow


class FormName(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    JSONL = "jsonl"


Status = Annotated[
    list[str] | None,
    typer.Option(help="Only success, error, timeout, retry or abandoned; may be repeated."),
]
Form = Annotated[FormName, typer.Option("--format", help="What to write.")]
OutputFile = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is stdout.")
]
Calls = Annotated[bool, typer.Option("--calls", help="Single calls instead of sums.")]

_HEADER = ("BEGAN (UTC)", "STATUS", "MODEL", "SKILL", "IN", "CACHED", "OUT", "COST", "TOOK")
_HEADER_REST = ("ERROR", "JOB", "NOTE")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to export; `by` None is single calls."""

    workspace: str
    times: tuple[datetime, datetime | None]
    where: dict[str, list[str]]
    by: Sequence[str] | None
    form: FormName


def calls(  # noqa: PLR0917 - options of a command
    workspace: Workspace,
    since: Since = "30d",
    until: Until = None,
    status: Status = None,
    skill: Values = None,
    capability: Values = None,
    agent: Values = None,
    task_type: Values = None,
    session: Values = None,
    model: Model = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    before: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The next page, as the last one said.")
    ] = None,
    json: Json = False,
) -> None:
    """List a workspace's calls that have ended, the newest first.

    A call is an abandoned one when its answer was lost (it may have been paid), a retry when it
    failed and its job went on. Tags, tokens and messages in full are in --json.
    """
    where = chosen(
        status=status,
        skill=skill,
        capability=capability,
        agent=agent,
        task_type=task_type,
        session=session,
        model=model,
    )
    page = run(_page(workspace, span(since, until), where, before=before, limit=limit))
    if json:
        from penstock_client.usage_export import plain_data

        rows = [plain_data(call.as_data()) for call in page.calls]
        print_json({"calls": rows, "next": page.next})
        return
    print_table((*_HEADER, *_HEADER_REST), [_as_row(call) for call in page.calls])
    if any(call.simulated for call in page.calls):
        typer.echo(SIMULATED)
    if page.next:
        typer.echo(f"more with --before {page.next}", err=True)


def export(  # noqa: PLR0917 - options of a command
    workspace: Workspace,
    output: OutputFile = "-",
    form: Form = FormName.CSV,
    by: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="What sums tell apart, as in `usage show`.")
    ] = "day,skill,provider,model",
    single: Calls = False,
    since: Since = "30d",
    until: Until = None,
    skill: Values = None,
    capability: Values = None,
    model: Model = None,
) -> None:
    """Write usage to a file, oldest first: sums, or with --calls one row for each call.

    Times are UTC. In CSV, tags that a spreadsheet would run as a formula begin with an apostrophe.
    """
    columns = [name.strip() for name in by.split(",") if name.strip()]
    where = chosen(skill=skill, capability=capability, model=model)
    times = span(since, until)
    wanted = _Wanted(workspace, times, where, None if single else columns, form)
    lines = run(_export(wanted, output))
    if output != "-":
        typer.echo(f"{lines:,} rows in {output}", err=True)


async def _page(
    workspace: str,
    times: tuple[datetime, datetime | None],
    where: dict[str, list[str]],
    *,
    before: str | None,
    limit: int,
) -> CallPage:
    async with connected() as penstock:
        return await penstock.usage.attempts(
            workspace, *times, where=where, before=before, limit=limit
        )


async def _export(wanted: _Wanted, output: str) -> int:
    """Write everything; returns the number of rows. A file appears once it is whole."""
    from penstock_client.usage_export import call_columns, exported, summary_columns

    asked = (wanted.workspace, *wanted.times)
    async with connected() as penstock:
        if wanted.by is None:
            rows: Any = penstock.usage.export_calls(*asked, where=wanted.where)
            columns = call_columns()
        else:
            rows = penstock.usage.export_summary(*asked, by=wanted.by, where=wanted.where)
            columns = summary_columns(wanted.by)
        lines = exported(rows, columns=columns, form=wanted.form.value)
        written = await _write(lines, output)
    return written - (wanted.form is FormName.CSV)


async def _write(lines: Any, output: str) -> int:
    if output == "-":
        return await _write_into(lines, sys.stdout.buffer)
    from penstock_schemas.errors import InvalidJob

    target = Path(output)
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            count = await _write_into(lines, file)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InvalidJob(f"--output: {output} cannot be written: {error.strerror}") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return count


async def _write_into(lines: Any, file: BinaryIO) -> int:
    count = 0
    async for line in lines:
        file.write(line)
        count += 1
    file.flush()
    return count


def _as_row(call: CallRow) -> tuple[str, ...]:
    return (
        shown_time(call.started_at),
        call.status,
        f"{call.provider}/{call.model}",
        call.skill or "-",
        f"{call.input_tokens:,}",
        f"{call.cache_read_tokens:,}",
        f"{call.output_tokens:,}",
        shown_cost(call.cost_usd),
        f"{call.duration_ms / 1000:.2f}s" if call.duration_ms is not None else "-",
        call.error or "-",
        f"{call.job_id} #{call.number}",
        _note(call),
    )


def _note(call: CallRow) -> str:
    found = [word for word in ("estimated", "simulated") if getattr(call, word)]
    return ", ".join(found) or "-"
