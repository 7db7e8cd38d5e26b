"""`usage` over HTTP; each method promises what that of `UsageReports` does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from penstock_client.remote.http import Http
from penstock_client.usage import UsageReports
from penstock_client.usage_rows import (
    CALL_FILTERS,
    DIMENSIONS,
    TAGS,
    CallPage,
    CallRow,
    MonthUsage,
    UsageRow,
    Where,
    checked_by,
    filters,
)
from penstock_schemas.errors import InvalidJob

_ROW, _CALL, _MONTH = TypeAdapter(UsageRow), TypeAdapter(CallRow), TypeAdapter(MonthUsage)
_FIGURES = tuple(name for name in UsageRow.__slots__ if name != "group")
_PAGE = 1000


class RemoteUsage(UsageReports):
    """The usage of workspaces.

    A filter takes one value here. Sums of all workspaces are not to be had from a gateway.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    async def summary(
        self,
        workspace: str | None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: Sequence[str] = (),
        where: Where | None = None,
    ) -> list[UsageRow]:
        """Usage summed up by any of `DIMENSIONS`; see `UsageReports.summary`."""
        if workspace is None:
            raise InvalidJob("workspace: say which, a gateway sums up one", field="workspace")
        columns = checked_by(by)
        wanted = {**_span(since, until), **_chosen(where, TAGS), "by": ",".join(columns)}
        found = await self._http.get(f"{_path(workspace)}/usage", wanted)
        return [_row(each) for each in found["usage"]]

    async def month(self, workspace: str) -> MonthUsage:
        """This month's tokens, budget and cost, with a row for each skill."""
        found = await self._http.get(f"{_path(workspace)}/llm/usage")
        skills = [_row(each) for each in found["skills"]]
        return _MONTH.validate_python({**found, "total": _row(found["total"]), "skills": skills})

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
        """A workspace's calls that have ended, newest first; page on with `before`."""
        wanted = {**_span(since, until), **_chosen(where, CALL_FILTERS)}
        found = await self._http.get(
            f"{_path(workspace)}/usage/calls", {**wanted, "before": before, "limit": limit}
        )
        calls = tuple(_CALL.validate_python(each) for each in found["calls"])
        return CallPage(calls, found["next"])

    async def export_summary(
        self,
        workspace: str | None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: Sequence[str],
        where: Where | None = None,
    ) -> AsyncIterator[UsageRow]:
        """What `summary` gives, row by row."""
        for row in await self.summary(workspace, since, until, by=by, where=where):
            yield row

    async def export_calls(
        self,
        workspace: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Where | None = None,
    ) -> AsyncIterator[CallRow]:
        """All calls of a time that have ended, the newest first, page by page."""
        before: str | None = None
        while True:
            page = await self.attempts(
                workspace, since, until, where=where, before=before, limit=_PAGE
            )
            for call in page.calls:
                yield call
            if page.next is None:
                return
            before = page.next


def _path(workspace: str) -> str:
    return f"/api/workspaces/{quote(workspace, safe='')}"


def _span(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidJob(f"{name}: needs a time zone", field=name)
    return {
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
    }


def _chosen(where: Where | None, names: Sequence[str]) -> dict[str, str]:
    filters(where, names)  # refuses names that are none
    chosen: dict[str, str] = {}
    for name, value in (where or {}).items():
        values = [value] if isinstance(value, str) else list(value or ())
        if len(values) != 1 or not values[0]:
            raise InvalidJob(f"where: {name} takes one value over a gateway", field=name)
        chosen[name] = values[0]
    return chosen


def _row(shown: Mapping[str, Any]) -> UsageRow:
    group = {name: shown[name] for name in DIMENSIONS if name in shown}
    figures = {name: shown[name] for name in _FIGURES}
    return _ROW.validate_python({**figures, "group": group})
