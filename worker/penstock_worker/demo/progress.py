"""The demo's steps while they run: bars on a terminal, else one plain line per finished step."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

_TITLE_WIDTH = 34


class Steps:
    """Steps one after another; `step` yields what to call for each part that is done."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console = console
        self._progress = progress

    @contextmanager
    def step(self, title: str, *, parts: int = 1) -> Generator[Callable[[], None]]:
        """Run one step of `parts` parts; whatever is left of them counts as done at its end."""
        started_at = time.perf_counter()
        if self._progress is None:
            yield _nothing
            elapsed_s = time.perf_counter() - started_at
            self._console.print(f"  {title:<{_TITLE_WIDTH}} {elapsed_s:6.1f} s")
            return
        progress = self._progress
        task = progress.add_task(title, total=parts)
        yield lambda: progress.advance(task)
        progress.update(task, completed=parts)


@contextmanager
def steps(console: Console) -> Generator[Steps]:
    """Progress for as long as the block runs."""
    if not console.is_terminal:
        yield Steps(console, None)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn(f"{{task.description:<{_TITLE_WIDTH}}}"),
        _Seconds(),
        _Bar(),
    )
    with Progress(*columns, console=console) as progress:
        yield Steps(console, progress)


class _Seconds(ProgressColumn):
    def render(self, task: Task) -> Text:
        elapsed_s = task.finished_time if task.finished else task.elapsed
        return Text(f"{elapsed_s or 0:6.1f} s", style="cyan")


class _Bar(ProgressColumn):
    """A bar and a count, for steps of many parts."""

    _bar = BarColumn(bar_width=24)

    def render(self, task: Task) -> RenderableType:
        return self._bar.render(task) if task.total and task.total > 1 else Text("")


def _nothing() -> None:
    """Plain lines tell of whole steps only."""
