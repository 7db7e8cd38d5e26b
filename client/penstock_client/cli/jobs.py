"""`penstock jobs`: a workspace's jobs, newest first; requeueing and cancelling them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_seconds, shown_time
from penstock_client.cli.running import connected, run
from penstock_schemas.ids import parse_job_id

if TYPE_CHECKING:
    from penstock_client.client import Handle
    from penstock_client.ledger import JobRow
    from penstock_schemas.ids import JobId
    from penstock_schemas.status import JobState

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


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


class LiveName(StrEnum):
    """The states in which a job has not ended."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    BLOCKED = "blocked"
    RUNNING = "running"


class EndName(StrEnum):
    """The states from which a job may start again."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


Workspace = Annotated[str | None, typer.Option("--workspace", "-w", help="Whose jobs.")]
State = Annotated[StateName | None, typer.Option(help="Only jobs in this state.")]
Capability = Annotated[str | None, typer.Option(help="Only jobs of this capability.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
Before = Annotated[
    str | None, typer.Option(metavar="JOB_ID", help="Older than this job: the next page.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]


def register(app: typer.Typer) -> None:
    """Adds `penstock jobs` with its `list`, `requeue` and `cancel`."""
    group = typer.Typer(
        invoke_without_command=True,
        rich_markup_mode=None,
        epilog="Example: penstock jobs --workspace acme --state failed",
    )
    group.callback()(jobs)
    group.command("list", epilog="Example: penstock jobs list --workspace acme --state failed")(
        list_jobs
    )
    group.command(
        "requeue",
        epilog="Example: penstock jobs requeue --workspace acme --error poison --since 1h --yes",
    )(requeue)
    group.command(
        "cancel",
        epilog="Example: penstock jobs cancel --workspace acme --skill nightly-scan --yes",
    )(cancel)
    app.add_typer(group, name="jobs")


def jobs(  # noqa: PLR0917 - options of a command
    context: typer.Context,
    workspace: Workspace = None,
    state: State = None,
    capability: Capability = None,
    limit: Limit = 20,
    before: Before = None,
    json: Json = False,
) -> None:
    """List a workspace's jobs, newest first; requeue what failed, cancel what is not wanted."""
    if context.invoked_subcommand is None:
        list_jobs(workspace, state, capability, limit, before, json)


def list_jobs(  # noqa: PLR0917 - options of a command
    workspace: Workspace = None,
    state: State = None,
    capability: Capability = None,
    limit: Limit = 20,
    before: Before = None,
    json: Json = False,
) -> None:
    """List a workspace's jobs, newest first."""
    if workspace is None:
        raise typer.BadParameter("is required", param_hint="--workspace")
    last = parse_job_id(before) if before else None
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


def requeue(  # noqa: PLR0917 - options of a command
    job: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Job IDs.")] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", help="Instead of IDs: whose jobs.")
    ] = None,
    state: Annotated[EndName, typer.Option(help="Jobs in this state.")] = EndName.FAILED,
    error: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only those with this kind of error."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those of the last 90s, 30m, 1h or 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1000,
    yes: Annotated[bool, typer.Option("--yes", help="Requeue more than one of them.")] = False,
    json: Json = False,
) -> None:
    """Start jobs that failed, expired or were cancelled again.

    Each is the same job: its ID, its earlier attempts and what they cost stay with it, and its
    result will be the new one. What succeeded is refused.
    """
    if bool(job) is (workspace is not None):
        raise typer.BadParameter("name jobs, or a workspace", param_hint="JOB or --workspace")
    if workspace is None:
        handles = run(_requeue([parse_job_id(each) for each in job or ()]))
    else:
        after = _since(since) if since else None
        handles = run(_requeue_all(workspace, state, error, since=after, limit=limit, yes=yes))
    for handle in handles:
        if json:
            print_json({"job_id": handle.job_id, "workspace": handle.workspace, "state": "queued"})
        else:
            typer.echo(handle.job_id)
    if not json:
        typer.echo(f"{len(handles)} requeued", err=True)


def cancel(  # noqa: PLR0917 - options of a command
    job: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Job IDs.")] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", help="Instead of IDs: whose jobs.")
    ] = None,
    state: Annotated[LiveName | None, typer.Option(help="Only those in this state.")] = None,
    capability: Capability = None,
    skill: Annotated[str | None, typer.Option(help="Only those of this skill.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only those placed there.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1000,
    yes: Annotated[bool, typer.Option("--yes", help="Cancel more than one of them.")] = False,
    json: Json = False,
) -> None:
    """End jobs now, whether they wait or run.

    Whoever awaits them is told at once. A call under way is stopped and counts as what it may have
    cost. What has ended already stays as it is, and its state is printed. With an unknown ID
    nothing is cancelled.
    """
    if bool(job) is (workspace is not None):
        raise typer.BadParameter("name jobs, or a workspace", param_hint="JOB or --workspace")
    if workspace is None:
        states = run(_cancel([parse_job_id(each) for each in job or ()]))
    else:
        chosen = {"capability": capability, "skill": skill, "provider": provider}
        states = run(_cancel_all(workspace, state, chosen, limit=limit, yes=yes))
    for job_id, ended in states.items():
        if json:
            print_json({"job_id": job_id, "state": ended.label})
        else:
            typer.echo(f"{job_id}  {ended.label}")


def _since(text: str) -> datetime:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a time such as 30m or 1h", param_hint="--since")
    return datetime.now(UTC) - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


async def _cancel(job_ids: list[str]) -> dict[JobId, JobState]:
    async with connected() as penstock:
        return await penstock.cancel_many(job_ids)


async def _cancel_all(
    workspace: str,
    state: LiveName | None,
    chosen: dict[str, str | None],
    *,
    limit: int,
    yes: bool,
) -> dict[JobId, JobState]:
    from penstock_client.cancelling import LiveJobs, find_live
    from penstock_schemas.status import JobState

    async with connected() as penstock:
        await penstock.workspaces.get(workspace)
        which = LiveJobs(
            workspace=workspace,
            state=None if state is None else JobState.parse(state.value),
            limit=limit,
            **chosen,
        )
        found = await find_live(penstock.ledger, which)
        if len(found) > 1 and not yes:
            raise typer.BadParameter(
                f"{len(found)} jobs would be cancelled; add it to cancel them", param_hint="--yes"
            )
        return await penstock.cancel_many(found)


async def _requeue(job_ids: list[str]) -> list[Handle]:
    async with connected() as penstock:
        return await penstock.requeue(job_ids)


async def _requeue_all(
    workspace: str,
    state: EndName,
    error: str | None,
    *,
    since: datetime | None,
    limit: int,
    yes: bool,
) -> list[Handle]:
    from penstock_client.requeueing import EndedJobs
    from penstock_schemas.status import ErrorKind, JobState

    kinds = [kind.value for kind in ErrorKind]
    if error is not None and error not in kinds:
        raise typer.BadParameter(f"must be one of {', '.join(kinds)}", param_hint="--error")
    async with connected() as penstock:
        which = EndedJobs(
            workspace=workspace,
            state=JobState.parse(state.value),
            error=ErrorKind(error) if error is not None else None,
            since=since,
            limit=limit,
        )
        found = await penstock.ended_jobs(which)
        if len(found) > 1 and not yes:
            raise typer.BadParameter(
                f"{len(found)} jobs would start again; add it to start them", param_hint="--yes"
            )
        return await penstock.requeue(found, skip_others=True)


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
