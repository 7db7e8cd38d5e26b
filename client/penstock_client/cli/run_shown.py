"""How commands show a run: its steps as a table, which on a terminal follows them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import typer

from penstock_client.cli.printing import print_table, shown_cost, shown_seconds

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from penstock_schemas.runs import RunResult, StepStatus

_HEADER = ("STEP", "TYPE", "STATE", "DONE", "CALLS", "TOKENS", "COST", "TOOK")


def print_run(result: RunResult) -> None:
    """A run with its steps."""
    typer.echo(_headline(result))
    print_table(_HEADER, [_cells(step) for step in result.steps])
    for step in result.steps:
        if step.error is not None:
            typer.echo(f"{step.name}: {step.error}")
    for wanted in result.waits_for:
        typer.echo(f"waits for {wanted}")


def _headline(result: RunResult) -> str:
    ended = result.finished_at or datetime.now(UTC)
    took = shown_seconds((ended - result.created_at).total_seconds())
    used = f"{result.calls} calls, {result.usage.total_tokens} tokens"
    simulated = ", simulated" if result.simulated else ""
    cost = shown_cost(result.cost_usd) if result.calls else "no cost"
    return (
        f"run {result.run_id} of {result.skill}: {result.status.label} "
        f"({used}, {cost}, {took}{simulated})"
    )


def _cells(step: StepStatus) -> tuple[str, ...]:
    done = "-"
    if step.items is not None:
        done = f"{step.succeeded + step.failed}/{step.items}"
        if step.failed:
            done += f", {step.failed} failed"
    took = "-"
    if step.started_at is not None:
        ended = step.finished_at or datetime.now(UTC)
        took = shown_seconds((ended - step.started_at).total_seconds())
    return (
        step.name,
        step.type,
        step.status.label,
        done,
        str(step.calls),
        str(step.usage.total_tokens),
        shown_cost(step.cost_usd) if step.calls else "-",
        took,
    )


class RunView:
    """Follows a run on stderr: a table that moves on a terminal, a line for each change elsewhere.

    Give `show` as the progress of a run.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._said = ""

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, result: RunResult) -> None:
        """Bring what is shown up to date."""
        if self._live is not None:
            self._live.update(_table(result))
            return
        told = ", ".join(f"{step.name} {step.status.label}" for step in result.steps)
        if told != self._said:
            self._said = told
            typer.echo(told, err=True)


def _table(result: RunResult) -> Group:
    from rich.console import Group
    from rich.table import Table

    table = Table(*_HEADER, title=_headline(result), title_justify="left", box=None)
    for step in result.steps:
        table.add_row(*_cells(step))
    return Group(table, *(f"waits for {wanted}" for wanted in result.waits_for))
