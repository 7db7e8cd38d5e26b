"""How a backfill shows its progress on stderr: a bar on a terminal, or else lines."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import typer

from penstock_client.cli.backfill_shown import figures
from penstock_schemas.backfills import BackfillState

if TYPE_CHECKING:
    from rich.console import Console

    from penstock_schemas.backfills import BackfillStatus

#: Rows that cannot be asked are named one by one up to here, then counted.
NAMED_ROWS = 100
_PLAIN_EVERY_S = 5.0
#: After so long without an answer somebody should look whether anything works.
_QUIET_S = 15.0


class Progress(ABC):
    """What is common to both: what is said and counted."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._hinted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hinted = True

    def bad_row(self, told: str) -> None:
        """One line for a row that cannot be asked; `told` begins with its place."""
        self.say(f"error: {told}")

    def more_bad_rows(self, count: int) -> None:
        """Of so many rows that cannot be asked the first ones were named."""
        if count > NAMED_ROWS:
            self.say(f"error: {count - NAMED_ROWS:,} more rows like these")

    def loaded(self, rows: int) -> None:
        """So many rows are loaded."""
        self.count(rows, None, "rows loaded")

    def written(self, rows: int) -> None:
        """So many rows are written."""
        self.count(rows, None, "rows written")

    def update(self, status: BackfillStatus) -> None:
        """Show how far it is."""
        running = status.status is BackfillState.RUNNING and not status.succeeded
        quiet = running and time.monotonic() - self._began > _QUIET_S
        if quiet and not self._hinted:
            self._hinted = True
            self.say("no answer yet: is a worker running? `penstock doctor` tells")
        self.count(status.done, status.rows, figures(status))

    @abstractmethod
    def say(self, message: str) -> None:
        """One line, without disturbing what is shown."""

    @abstractmethod
    def count(self, done: int, total: int | None, told: str) -> None:
        """Bring what is shown up to date."""


class PlainProgress(Progress):
    """A line every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = self._began

    def say(self, message: str) -> None:
        """One line on stderr."""
        typer.echo(message, err=True)

    def count(self, done: int, total: int | None, told: str) -> None:
        """A line, unless the last one is recent."""
        now = time.monotonic()
        if now - self._shown >= _PLAIN_EVERY_S:
            self._shown = now
            self.say(f"{done:,} {told}" if total is None else f"{done:,}/{total:,} rows, {told}")


class BarProgress(Progress):
    """A bar at the foot of the terminal."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__()
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=console, auto_refresh=False)
        self._task = self._bar.add_task("reading the input", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, message: str) -> None:
        """One line above the bar."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def count(self, done: int, total: int | None, told: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done, total=total, description=told, refresh=True)


def new_progress() -> Progress:
    """The one that fits stderr."""
    if not sys.stderr.isatty():
        return PlainProgress()
    from rich.console import Console

    return BarProgress(Console(stderr=True))
