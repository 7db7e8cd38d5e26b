"""How a backfill shows its progress on stderr: a bar on a terminal, or else lines."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import typer

from penstock_client.cli.printing import shown_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from penstock_client.backfill import Tally

#: Rows that cannot be asked are named one by one up to here, then counted.
NAMED_ROWS = 100
_PLAIN_EVERY_S = 5.0
#: After so long without an answer somebody should look whether anything works.
_QUIET_S = 15.0


class Progress(ABC):
    """What is common to both: rows that cannot be asked, and the figures of one moment."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._bad_rows = 0
        self._hinted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bad_rows > NAMED_ROWS:
            self.say(f"error: {self._bad_rows - NAMED_ROWS:,} more rows like these")

    def bad_row(self, where: str, message: str) -> None:
        """One line for a row that cannot be asked, until there are too many."""
        self._bad_rows += 1
        if self._bad_rows <= NAMED_ROWS:
            self.say(f"error: {where}: {message}")

    def update(self, tally: Tally) -> None:
        """Show how far it is."""
        quiet = not tally.succeeded and time.monotonic() - self._began > _QUIET_S
        if quiet and not self._hinted and tally.done < tally.rows:
            self._hinted = True
            self.say("no answer yet: is a worker running? `penstock doctor` tells")
        self.show(tally)

    def figures(self, tally: Tally) -> str:
        """Rate, cost so far and projected, errors, time left."""
        elapsed_s = time.monotonic() - self._began
        rate = tally.ended / elapsed_s if elapsed_s > 0 else 0.0
        parts = [f"{rate:,.0f} rows/s", f"${tally.cost_usd:.4f}"]
        projected = tally.projected_cost_usd()
        if projected is not None:
            parts[-1] += f" of about ${projected:.4f}"
        if tally.failed:
            parts.append(f"{tally.failed:,} failed")
        if rate > 0 and tally.done < tally.rows:
            parts.append(f"{shown_seconds((tally.rows - tally.done) / rate)} left")
        return ", ".join(parts)

    @abstractmethod
    def say(self, message: str) -> None:
        """One line, without disturbing what is shown."""

    @abstractmethod
    def show(self, tally: Tally) -> None:
        """Bring what is shown up to date."""


class PlainProgress(Progress):
    """A line every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = self._began

    def say(self, message: str) -> None:
        """One line on stderr."""
        typer.echo(message, err=True)

    def show(self, tally: Tally) -> None:
        """A line, unless the last one is recent."""
        now = time.monotonic()
        if now - self._shown >= _PLAIN_EVERY_S:
            self._shown = now
            self.say(f"{tally.done:,}/{tally.rows:,} rows, {self.figures(tally)}")


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
        super().__exit__()
        self._bar.stop()

    def say(self, message: str) -> None:
        """One line above the bar."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def show(self, tally: Tally) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            completed=tally.done,
            total=tally.rows,
            description=self.figures(tally),
            refresh=True,
        )


def new_progress() -> Progress:
    """The one that fits stderr."""
    if not sys.stderr.isatty():
        return PlainProgress()
    from rich.console import Console

    return BarProgress(Console(stderr=True))
