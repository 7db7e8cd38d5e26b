"""The whole of a backfill: scan the input, recover the output, run what is left, count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from penstock_client.backfill.answers import answer_line, invalid_line
from penstock_client.backfill.index import RowIndex
from penstock_client.backfill.output import Output
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.runner import Asked, Runner
from penstock_client.backfill.scan import scan
from penstock_client.backfill.source import Malformed, Row, Source
from penstock_client.backfill.tally import Tally
from penstock_client.client import Penstock
from penstock_schemas.errors import InvalidJob
from penstock_schemas.results import Result

_BREATH_ROWS = 1000


class Watcher(Protocol):
    """Who is told how a backfill goes."""

    def update(self, tally: Tally) -> None:
        """Called about twice a second, and once at the end."""
        ...

    def say(self, message: str) -> None:
        """One line that somebody who watches should know."""
        ...

    def bad_row(self, where: str, message: str) -> None:
        """A row that cannot be asked; `where` is file and line."""
        ...


async def run_backfill(
    penstock: Penstock,
    *,
    source: Source,
    plan: Plan,
    output: Path,
    window: int,
    watcher: Watcher,
) -> Tally:
    """Ask `plan` of every row of `source` that `output` has no answer to; returns the counts.

    At the end `output` holds one line for each row that has an ID. Interrupt it and run it again
    at will: answers are kept, and jobs that were submitted are awaited, not asked again. Raises
    before anything is written: InvalidJob, UnknownWorkspace, UnknownModel, UnknownProvider.
    """
    path = Output.check(output, source=source.path)
    source.check(plan.needed_fields)
    await penstock.check(plan.workspace, model=plan.model)
    tally = Tally()
    with RowIndex() as index:
        tally.rows = await scan(source, plan, index)
        with Output.open(path, plan.identity) as out:
            await out.recover(index)
            work = _Work(
                source=source, plan=plan, index=index, out=out, tally=tally, watcher=watcher
            )
            runner = Runner(
                penstock,
                window=window,
                remade=lambda row, generation: plan.job(row, generation=generation),
                ended=work.ended,
                tick=work.tick,
                say=watcher.say,
            )
            await runner.run(work.asked())
    watcher.update(tally)
    return tally


class _Work:
    """One run's rows on their way from the source to the output."""

    def __init__(
        self,
        *,
        source: Source,
        plan: Plan,
        index: RowIndex,
        out: Output,
        tally: Tally,
        watcher: Watcher,
    ) -> None:
        self._source = source
        self._plan = plan
        self._index = index
        self._out = out
        self._tally = tally
        self._watcher = watcher
        self._as_text = plan.kind == "generate" and plan.schema is None

    async def asked(self) -> AsyncIterator[Asked]:
        """The rows to ask; writes those that cannot be, passes over those that are done."""
        for number, row in enumerate(self._source.rows(), 1):
            if number % _BREATH_ROWS == 0:
                await asyncio.sleep(0)
            if isinstance(row, Malformed):
                self._refuse(row.line, row.message)
            elif self._index.is_done(row.key):
                self._tally.skipped += 1
            else:
                try:
                    job = self._plan.job(row)
                except InvalidJob as error:
                    self._refuse(row.line, str(error), row)
                else:
                    yield Asked(row, job)

    def ended(self, row: Row, result: Result) -> None:
        """Keep a result."""
        self._tally.add(result)
        self._out.write(answer_line(row.row_id, result, as_text=self._as_text))

    def tick(self) -> None:
        """Hand over what has come in, and tell how far it is."""
        self._out.flush()
        self._watcher.update(self._tally)

    def _refuse(self, line: int, message: str, row: Row | None = None) -> None:
        where = self._source.where(line)
        self._tally.add_invalid()
        self._watcher.bad_row(where, message)
        if row is not None:
            said = f"{where}: {message}"
            self._out.write(invalid_line(row.row_id, said, as_text=self._as_text))
