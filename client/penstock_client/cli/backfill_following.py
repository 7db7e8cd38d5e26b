"""`penstock backfill INPUT …`: start or attach, show how it goes, write the answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from penstock_client.cli.backfill_shown import (
    Since,
    estimate_lines,
    paused_lines,
    summary,
    summary_lines,
)
from penstock_client.cli.printing import print_json
from penstock_client.cli.progress import NAMED_ROWS, Progress, new_progress
from penstock_client.cli.running import connected, run
from penstock_schemas.backfills import BackfillState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock_client.cli.backfill_asked import Given
    from penstock_client.cli.backfill_output import Output
    from penstock_client.client import Penstock
    from penstock_schemas.backfills import BackfillStatus

_AGAIN = "run the same command again to go on; finished rows are kept"


def follow_to_end(given: Given, output: Output, *, yes: bool, json: bool) -> int:
    """Run the whole of it and print what came of it; gives how many rows have no answer.

    A backfill that is paused meanwhile counts as one without answers, but for a dry run.
    """
    began = time.monotonic()
    with new_progress() as progress:
        status, since = run(_run(given, output, progress, yes=yes), go_on=lambda: _AGAIN)
    elapsed_s = time.monotonic() - began
    if json:
        print_json(summary(status, since, elapsed_s=elapsed_s))
    else:
        _print(status, since, elapsed_s)
    if status.status is BackfillState.PAUSED:
        return 0 if status.sample is not None and status.estimate is not None else 1
    if status.status is BackfillState.CANCELLED:
        return 1
    return status.without_answer


async def _run(
    given: Given, output: Output, progress: Progress, *, yes: bool
) -> tuple[BackfillStatus, Since]:
    plan, source = given.plan(), given.source()
    async with connected() as penstock:
        backfills = penstock.backfills
        status = await backfills.start(
            plan,
            source,
            options=given.options(),
            on_loaded=progress.loaded,
            on_wait=progress.say,
        )
        for told in await _bad_rows(penstock, status):
            progress.bad_row(told)
        progress.more_bad_rows(status.invalid)
        since = Since.of(status)
        status = await _go_on(penstock, given, status)
        status = await _followed(penstock, status, progress)
        if status.status is BackfillState.PAUSED and status.sample is not None and yes:
            progress.say("; ".join(estimate_lines(status)))
            status = await backfills.resume(status.backfill_id)
            status = await _followed(penstock, status, progress)
        if status.status in {BackfillState.SUCCEEDED, BackfillState.FAILED}:
            rows = backfills.export(status.backfill_id)
            await output.write(rows, as_text=plan.as_text, on_rows=progress.written)
        return status, since


async def _go_on(penstock: Penstock, given: Given, status: BackfillStatus) -> BackfillStatus:
    """Let a backfill that stands still go on: that is what running a command again is for."""
    backfills, known = penstock.backfills, status.backfill_id
    if status.status is BackfillState.PAUSED and given.dry_run is None:
        return await backfills.resume(known, changes=given.ceilings())
    if status.status is BackfillState.FAILED and status.failed:
        await backfills.retry_failed(known)
        return await backfills.get(known)
    return status


async def _followed(
    penstock: Penstock, status: BackfillStatus, progress: Progress
) -> BackfillStatus:
    from penstock_schemas.errors import Unavailable

    progress.update(status)
    while True:
        try:
            return await penstock.backfills.wait(status.backfill_id, progress=progress.update)
        except Unavailable as error:  # it goes on without us; so do we when servers are back
            progress.say(f"waiting: {error}")


async def _bad_rows(penstock: Penstock, status: BackfillStatus) -> Sequence[str]:
    if not status.invalid:
        return ()
    return await penstock.backfills.invalid_rows(status.backfill_id, limit=NAMED_ROWS)


def _print(status: BackfillStatus, since: Since, elapsed_s: float) -> None:
    if status.status is BackfillState.PAUSED:
        for line in paused_lines(status):
            typer.echo(line)
        return
    for line in summary_lines(status, since, elapsed_s):
        typer.echo(line)
