"""`penstock.usage`: what was called, what it used and cost. Reads only.

Sums come from `usage_hours`, which the transaction that settles a call keeps up, and outlive the
calls; single calls come from the attempts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from penstock_client.ledger import Ledger
from penstock_client.ledger.queries import query
from penstock_client.usage_rows import (
    CALL_FILTERS,
    DIMENSIONS,
    TAGS,
    CallPage,
    CallRow,
    MoneyBudget,
    MonthUsage,
    UsageRow,
    Where,
    added_up,
    call_row,
    checked_by,
    filters,
    usage_row,
)
from penstock_schemas.errors import InvalidJob, UnknownWorkspace
from penstock_schemas.ids import is_workspace_id

#: Calls of one page at most, and of one query of an export.
MOST_CALLS = 1000
#: The first moment that is looked at where none is named.
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_PREFETCHED = 500
_HOUR = timedelta(hours=1)
_FIRST_YEAR, _LAST_YEAR = 1900, 9000


class UsageReports:
    """The usage of workspaces. Every method raises UnknownWorkspace, InvalidJob, Unavailable.

    `since` and `until` need a time zone; None is without bounds. Sums are kept by the hour and
    include the whole hours in which `since` and `until` fall.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def summary(
        self,
        workspace: str | None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: Sequence[str] = (),
        where: Where | None = None,
    ) -> list[UsageRow]:
        """Usage summed up by any of `DIMENSIONS`: by time, then the most expensive first.

        `workspace` None is all of them. Days are those of the workspace's time zone, of UTC for
        all. `where` chooses values of the tags, such as `{"skill": "triage"}`, several as a list,
        None or "" for calls without that tag.
        """
        name, args = await self._summary_query(workspace, since, until, by=by, where=where)
        rows = await self._ledger.fetch_safely(name, *args)
        return [usage_row(row, checked_by(by)) for row in rows]

    async def month(self, workspace: str) -> MonthUsage:
        """This month's tokens, budget and cost, with a row for each skill."""
        row = await self._check(workspace)
        skills = await self.summary(workspace, row["began_at"], by=("skill",))
        money = await self._ledger.fetch_safely("usage_month_money", workspace)
        budget, used, held = row["budget"], row["used"], row["held"]
        return MonthUsage(
            workspace=workspace,
            time_zone=row["time_zone"],
            began_at=row["began_at"],
            resets_at=row["resets_at"],
            tokens_used=used,
            tokens_held=held,
            token_budget=budget,
            tokens_remaining=None if budget is None else max(0, budget - used - held),
            budget_mode=row["budget_mode"],
            on_budget=row["on_budget"],
            total=added_up(skills),
            skills=tuple(skills),
            money=tuple(MoneyBudget(**dict(each)) for each in money),
        )

    async def attempts(
        self,
        workspace: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Where | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> CallPage:
        """A workspace's calls that have ended, newest first; page on with `before`.

        `where` chooses by any of `CALL_FILTERS`. `limit` is 1 to 1000.
        """
        if not 1 <= limit <= MOST_CALLS:
            raise InvalidJob(f"limit: must be 1 to {MOST_CALLS}", field="limit")
        chosen = filters(where, CALL_FILTERS)
        cursor = _parse_cursor(before)
        await self._check(workspace)
        span = (_aware(since, "since") or BEGINNING, _aware(until, "until"))
        args: list[Any] = [workspace, *span, limit + 1, *cursor, *chosen]
        if chosen[-1] is None:
            rows = await self._ledger.fetch_safely("usage_calls", *args[:-1])
        else:
            rows = await self._ledger.fetch_safely("usage_session_calls", *args)
        calls = tuple(call_row(row) for row in rows[:limit])
        return CallPage(calls, _cursor(calls[-1]) if len(rows) > limit else None)

    async def export_summary(
        self,
        workspace: str | None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: Sequence[str],
        where: Where | None = None,
    ) -> AsyncIterator[UsageRow]:
        """What `summary` gives, row by row, from one snapshot and in bounded memory."""
        name, args = await self._summary_query(workspace, since, until, by=by, where=where)
        columns = checked_by(by)
        acquired = self._ledger.pool.acquire(timeout=self._ledger.deadline_s)
        async with acquired as connection, connection.transaction(readonly=True):
            cursor = connection.cursor(query(name), *args, prefetch=_PREFETCHED)
            async for row in cursor:
                yield usage_row(row, columns)

    async def export_calls(
        self,
        workspace: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Where | None = None,
    ) -> AsyncIterator[CallRow]:
        """All calls of a time that have ended, the oldest first, in bounded memory."""
        chosen = filters(where, CALL_FILTERS)
        await self._check(workspace)
        first = _aware(since, "since") or BEGINNING
        last = _aware(until, "until") or datetime.now(UTC)
        hours = await self._ledger.fetch_safely(
            "usage_call_hours", workspace, first, last, *chosen[: len(TAGS)]
        )
        for row in hours:
            span = (max(first, row["hour"]), min(last, row["hour"] + _HOUR))
            async for call in self._calls_between(workspace, span, chosen):
                yield call

    async def _calls_between(
        self, workspace: str, span: tuple[datetime, datetime], chosen: Sequence[list[str] | None]
    ) -> AsyncIterator[CallRow]:
        after: tuple[Any, ...] = (None, None, None)
        while True:
            rows = await self._ledger.fetch_safely(
                "usage_calls_between", workspace, *span, MOST_CALLS, *after, *chosen
            )
            for row in rows:
                yield call_row(row)
            if len(rows) < MOST_CALLS:
                return
            after = (rows[-1]["started_at"], rows[-1]["job_id"], rows[-1]["number"])

    async def _summary_query(
        self,
        workspace: str | None,
        since: datetime | None,
        until: datetime | None,
        *,
        by: Sequence[str],
        where: Where | None,
    ) -> tuple[str, list[Any]]:
        columns, chosen = checked_by(by), filters(where, TAGS)
        span = (_aware(since, "since") or BEGINNING, _aware(until, "until"))
        told_apart = [name in columns for name in DIMENSIONS]
        rest = (*span, *told_apart, not any(chosen), *chosen)
        if workspace is None:
            return "usage_summary_all", ["UTC", *rest]
        await self._check(workspace)
        return "usage_summary", [workspace, *rest]

    async def _check(self, workspace: str) -> Any:
        """The workspace's month; raises UnknownWorkspace."""
        if is_workspace_id(workspace):
            for row in await self._ledger.fetch_safely("usage_month", workspace):
                return row
        raise UnknownWorkspace(workspace)


def _aware(moment: datetime | None, name: str) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidJob(f"{name}: needs a time zone", field=name)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise InvalidJob(f"{name}: the year {moment.year} is out of bounds", field=name)
    return moment.astimezone(UTC)


def _cursor(call: CallRow) -> str:
    plain = f"{call.started_at.isoformat()} {call.job_id} {call.number}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _parse_cursor(text: str | None) -> tuple[datetime | None, UUID | None, int | None]:
    if text is None:
        return None, None, None
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        moment, job_id, number = plain.split(" ")
        if not 0 <= int(number) < 2**31:
            raise ValueError(text)
        return _aware(datetime.fromisoformat(moment), "before"), UUID(job_id), int(number)
    except (ValueError, InvalidJob, binascii.Error):
        raise InvalidJob("before: is not a cursor of an earlier page", field="before") from None
