"""`penstock explain`: why a job waits, where it stands, and what it has cost so far."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import (
    print_json,
    print_table,
    shown_cost,
    shown_seconds,
    shown_time,
)
from penstock_client.cli.running import connected, run
from penstock_schemas.ids import parse_job_id

if TYPE_CHECKING:
    from penstock_client.explaining import AttemptSeen, JobExplanation


def register(app: typer.Typer) -> None:
    """Adds `penstock explain`."""
    app.command("explain", epilog="Example: penstock explain 0190f0c4-7a10-7d3c-9b1a-5b0d7c2f9e11")(
        explain
    )


def explain(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's ID.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why a job waits: pause, breaker, limit or turn, its place, its start, its attempts."""
    found = run(_explain(parse_job_id(job_id)))
    if json:
        print_json(_as_json(found))
    else:
        _print(found)


async def _explain(job_id: str) -> JobExplanation:
    async with connected() as penstock:
        return await penstock.explain(job_id)


def _print(found: JobExplanation) -> None:
    typer.secho(f"{found.state.label}: {found.why}", bold=True)
    typer.echo(
        f"{found.capability} of {found.workspace}, {found.lane} lane, "
        f"at {found.provider}/{found.model}"
    )
    if found.place is not None:
        typer.echo(f"number {found.place:,} of {found.queued:,} in its queue")
    if found.credential is not None:
        typer.echo(f"with credential {found.credential}{_lease(found)}")
    if found.until is not None:
        typer.echo(f"looked at again at {shown_time(found.until)}")
    if found.estimated_start is not None:
        typer.echo(f"estimated start: {shown_time(found.estimated_start)}")
    here = f"{found.provider}/{found.model}"
    if here in found.routes and (left := found.routes[found.routes.index(here) + 1 :]):
        typer.echo(f"other routes: {', '.join(left)}")
    if found.token_budget is not None and found.tokens_used < found.token_budget:
        typer.echo(
            f"{found.workspace} has used {found.tokens_used:,} of its {found.token_budget:,} "
            "tokens this month"
        )
    for note in found.notes:
        typer.echo(note)
    if found.attempts:
        typer.echo(f"attempts so far, {shown_cost(found.cost_usd)}:")
        header = ("#", "STATE", "MODEL", "STARTED", "TOOK", "IN", "OUT", "COST", "ERROR")
        print_table(header, [_attempt_as_row(attempt) for attempt in found.attempts])


def _lease(found: JobExplanation) -> str:
    until = found.leased_until
    return f", leased until {shown_time(until)} unless that is renewed" if until else ""


def _attempt_as_row(attempt: AttemptSeen) -> tuple[str, ...]:
    took = "-" if attempt.duration_ms is None else shown_seconds(attempt.duration_ms / 1000)
    return (
        str(attempt.number),
        attempt.state,
        f"{attempt.provider}/{attempt.model}",
        shown_time(attempt.started_at),
        took,
        str(attempt.input_tokens),
        str(attempt.output_tokens),
        "-" if attempt.state in {"open", "returned"} else shown_cost(attempt.cost_usd),
        attempt.error or "-",
    )


def _as_json(found: JobExplanation) -> dict[str, object]:
    fields = asdict(found)
    cost = fields.pop("cost_usd")
    attempts = [
        {**attempt, "cost_usd": _decimal(attempt["cost_usd"])} for attempt in fields.pop("attempts")
    ]
    return {
        **fields,
        "state": found.state.label,
        "attempts": attempts,
        "cost_usd": _decimal(cost),
    }


def _decimal(amount: object) -> str | None:
    return None if amount is None else f"{amount:f}"
