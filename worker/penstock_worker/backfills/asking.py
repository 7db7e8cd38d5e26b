"""Which rows of a backfill are asked next, and the jobs that ask them.

First those that stand before their turn (of a dry run, again after a failure, alone), then the
others in their order. Under a ceiling on money no more start than it could pay for at their worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from penstock_client import Penstock
from penstock_client.backfill.plan import Asked, Plan
from penstock_client.ledger import NewJob
from penstock_schemas.backfills import RowState
from penstock_schemas.errors import ConfigurationError, InvalidJob
from penstock_worker.backfills.standing import Standing
from penstock_worker.backfills.worst_case import worst_case_usd

#: Rows of one transaction: it should be a short one.
MOST: Final = 1000
Group = Sequence[Any]


@lru_cache(maxsize=64)
def plan_of(workspace: str, plan: str) -> Plan:
    """The plan of a backfill; kept, for it is asked for again and again."""
    return Plan.of(workspace, from_json(plan))


@dataclass(slots=True)
class Asking:
    """The jobs of one look, with their rows; `refused` could not be asked."""

    placed: list[NewJob] = field(default_factory=list[NewJob])
    groups: list[Group] = field(default_factory=list[Group])
    held: list[Decimal] = field(default_factory=list[Decimal])
    refused: list[tuple[Any, str]] = field(default_factory=list[tuple[Any, str]])
    before_turn: list[int] = field(default_factory=list[int])
    alone: list[int] = field(default_factory=list[int])


async def ask(penstock: Penstock, connection: Any, standing: Standing) -> Asking:
    """Record the jobs of the next rows, and write down what they ask; changes `standing`."""
    asking = Asking()
    room = standing.window - standing.under_way
    if room < max(1, standing.window // 4) and standing.under_way:
        return asking
    limit = min(room, MOST)
    fetch, backfill = penstock.ledger.fetch, standing.backfill
    early = await fetch("backfill_next_again", backfill, limit, connection=connection)
    if early:
        standing.fed_all = False
        await _ask_early(penstock, standing, asking, early)
        standing.fed_all = standing.sampling and len(asking.before_turn) == len(early) < limit
    elif standing.sampling:
        standing.fed_all = True
    else:
        args = (backfill, standing.fed, limit)
        rows = await fetch("backfill_next_rows", *args, connection=connection)
        upto = await _ask_in_turn(penstock, standing, asking, rows)
        standing.fed_all = upto == len(rows) < limit
    await _write(penstock, connection, standing, asking)
    return asking


async def _ask_early(
    penstock: Penstock, standing: Standing, asking: Asking, rows: Sequence[Any]
) -> None:
    """Rows that stand before their turn; those that a ceiling holds back stay there."""
    for group in groups_of(rows, standing.rows_per_call):
        asked = [row for row in group if row["ask"]]
        if asked and not await _place(penstock, standing, asking, asked):
            return
        asking.before_turn += [row["number"] for row in group]


async def _ask_in_turn(
    penstock: Penstock, standing: Standing, asking: Asking, rows: Sequence[Any]
) -> int:
    """Rows in their order; returns how many of them are dealt with."""
    askable = [row for row in rows if row["ask"]]
    for group in groups_of(askable, standing.rows_per_call):
        if not await _place(penstock, standing, asking, group):
            before = [row["number"] for row in rows if row["number"] < group[0]["number"]]
            standing.fed = max([standing.fed, *before])
            return len(before)
    standing.fed = rows[-1]["number"] if rows else standing.fed
    return len(rows)


def groups_of(rows: Sequence[Any], size: int) -> list[Group]:
    """Rows by the call that asks them; those that are to be asked alone are."""
    if size == 1:
        return [(row,) for row in rows]
    alone = [(row,) for row in rows if row.get("alone")]
    together = [row for row in rows if not row.get("alone")]
    return [*alone, *(together[at : at + size] for at in range(0, len(together), size))]


async def _place(penstock: Penstock, standing: Standing, asking: Asking, group: Group) -> bool:
    """Make the job of a group; False where nothing more may start for now."""
    plan = plan_of(standing.workspace, standing.plan)
    asked = [Asked.decode(row["input"]) for row in group]
    job = plan.job(asked[0]) if len(group) == 1 else plan.job_of_several(asked)
    try:
        placed = await penstock.place(job, together=1)
    except InvalidJob as error:
        if len(group) > 1:  # each of them may be short enough
            asking.alone += [row["number"] for row in group]
            return True
        asking.refused += [(row, str(error)) for row in group]
        return True
    except ConfigurationError as error:
        standing.pause(str(error))
        return False
    held = Decimal(0)
    if standing.max_cost_usd is not None:
        worst = worst_case_usd(placed, penstock.catalog)
        if worst is None:
            told = f"what {placed.provider}/{placed.model} costs is not known"
            standing.pause(f"{told}, so no ceiling on money can hold")
            return False
        if not _fits(standing, worst):
            return False
        held = worst
    standing.held_usd += held
    standing.under_way += len(group)
    new = replace(placed, owner=standing.backfill, trace=standing.trace)
    asking.placed.append(new)
    asking.groups.append(group)
    asking.held.append(held)
    return True


def _fits(standing: Standing, worst: Decimal) -> bool:
    """Whether one more job fits under the ceiling; pauses where it never will."""
    most = standing.max_cost_usd
    if most is None or standing.cost_usd + standing.held_usd + worst <= most:
        return True
    if not standing.under_way:
        standing.pause(
            f"the cost ceiling of ${most:f} is reached: ${standing.cost_usd:f} are spent, "
            f"and one more call may cost ${worst:f}"
        )
    return False


async def _write(penstock: Penstock, connection: Any, standing: Standing, asking: Asking) -> None:
    fetch, backfill = penstock.ledger.fetch, standing.backfill
    if asking.before_turn:
        args = (backfill, asking.before_turn)
        await fetch("backfill_again_done", *args, connection=connection)
    if asking.alone:
        standing.fed_all = False
        await fetch("backfill_ask_alone", backfill, asking.alone, connection=connection)
    if asking.refused:
        await _write_refused(penstock, connection, standing, asking)
    if not asking.placed:
        return
    await penstock.record(asking.placed, connection=connection)
    args = (
        backfill,
        [job.job_id for job in asking.placed],
        [row["number"] for group in asking.groups for row in group],
        [len(group) for group in asking.groups],
        asking.held,
    )
    await fetch("backfill_open_calls", *args, connection=connection)


async def _write_refused(
    penstock: Penstock, connection: Any, standing: Standing, asking: Asking
) -> None:
    """Note rows that no model can be asked, such as one that is too long."""
    standing.invalid += sum(row["copies"] for row, _ in asking.refused)
    none: list[None] = [None] * len(asking.refused)
    zero = [0] * len(asking.refused)
    await penstock.ledger.fetch(
        "backfill_note_rows",
        standing.backfill,
        [row["number"] for row, _ in asking.refused],
        [int(RowState.INVALID)] * len(asking.refused),
        none,
        none,
        [message.replace("\x00", "\ufffd") for _, message in asking.refused],
        zero,
        zero,
        zero,
        zero,
        connection=connection,
    )
