"""`penstock jobs`: a workspace's jobs, newest first."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_seconds, shown_time
from penstock_client.cli.running import connected, known_id, run

if TYPE_CHECKING:
    from penstock_client.ledger import JobRow


class StateName(StrEnum):
    """The public names of a job's states."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    BLOCKED = "blocked"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


def register(app: typer.Typer) -> None:
    """Adds `penstock jobs`."""
    app.command("jobs", epilog="Example: penstock jobs --workspace acme --state failed")(jobs)


def jobs(  # noqa: PLR0917 - options of a command
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose jobs.")],
    state: Annotated[StateName | None, typer.Option(help="Only jobs in this state.")] = None,
    capability: Annotated[str | None, typer.Option(help="Only jobs of this capability.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    before: Annotated[
        str | None, typer.Option(metavar="JOB_ID", help="Older than this job: the next page.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List a workspace's jobs, newest first."""
    last = known_id(before) if before else None
    found = run(_jobs(workspace, state=state, capability=capability, limit=limit, before=last))
    if json:
        for row in found:
            print_json(_as_json(row))
        return
    rows = [
        (
            row.job_id,
            row.state.label,
            row.capability,
            f"{row.provider}/{row.model}",
            str(row.attempts),
            row.last_error or "-",
            shown_time(row.created_at),
            _duration(row),
        )
        for row in found
    ]
    header = ("JOB", "STATE", "CAPABILITY", "MODEL", "CALLS", "LAST ERROR", "CREATED (UTC)", "TOOK")
    print_table(header, rows)
    if len(found) == limit:
        typer.echo(f"more with --before {found[-1].job_id}", err=True)


def _duration(row: JobRow) -> str:
    if row.finished_at is None:
        return "-"
    return shown_seconds((row.finished_at - row.created_at).total_seconds())


def _as_json(row: JobRow) -> dict[str, object]:
    from penstock_schemas.status import Lane

    return {
        "job_id": row.job_id,
        "workspace": row.workspace,
        "type": row.type,
        "capability": row.capability,
        "provider": row.provider,
        "model": row.model,
        "state": row.state.label,
        "lane": Lane(row.lane).label,
        "attempts": row.attempts,
        "last_error": row.last_error,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "skill": row.skill,
        "step": row.step,
    }


async def _jobs(
    workspace: str,
    *,
    state: StateName | None,
    capability: str | None,
    limit: int,
    before: str | None,
) -> list[JobRow]:
    from penstock_schemas.status import JobState

    async with connected() as penstock:
        return await penstock.jobs(
            workspace,
            state=JobState.parse(state.value) if state else None,
            capability=capability,
            limit=limit,
            before=before,
        )
