"""Usage: tokens and cost over time and by what they went to, calls one by one, and as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from penstock_client import Penstock
from penstock_client.usage_export import Format
from penstock_client.usage_rows import STATUSES
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.rendering import page
from penstock_gateway.console.session import Visitor, may, remember, workspace_shown, workspaces_of
from penstock_gateway.console.usage_shown import GROUPS, SPANS, Span, SpanName, span_of, usage_shown
from penstock_gateway.routes.usage import export as exported

router = APIRouter(prefix="/usage", route_class=ConsoleRoute, include_in_schema=False)

_CALLS: Final = 25
_Text = Annotated[str | None, Query(max_length=300, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the page is asked for: a span, what to tell apart, and what chooses calls."""

    span: SpanName
    by: str
    where: Mapping[str, str]
    status: str | None

    def link(self, workspace: str, path: str = "/usage", **changes: str | None) -> str:
        """The address of the page with something changed; None takes a filter out."""
        given = {"workspace": workspace, "span": self.span, "by": self.by, "status": self.status}
        fields = {**given, **self.where, **changes}
        kept = {name: value for name, value in fields.items() if value is not None}
        return f"{path}?{urlencode(kept)}"


async def _asked(
    *,
    span: SpanName = "7d",
    by: Annotated[str, Query(pattern=f"^({'|'.join(GROUPS)})$")] = "skill",
    skill: _Text = None,
    model: _Text = None,
    provider: _Text = None,
    capability: _Text = None,
    configuration: _Text = None,
    status: Annotated[str | None, Query(pattern=f"^({'|'.join(STATUSES)})?$")] = None,
) -> Asked:
    given = {
        "skill": skill,
        "model": model,
        "provider": provider,
        "capability": capability,
        "configuration": configuration,
    }
    where = {name: value for name, value in given.items() if value is not None}
    return Asked(span=span, by=by, where=where, status=status or None)


Wanted = Annotated[Asked, Depends(_asked)]


@router.get("")
async def show(
    request: Request,
    visitor: Visitor,
    penstock: Connected,
    asked: Wanted,
    *,
    before: _Text = None,
) -> Response:
    """The usage of a workspace."""
    may(visitor, "usage:read")
    workspace = await workspace_shown(request, visitor, penstock)
    span = await _span(penstock, workspace, asked)
    calls_where = {**asked.where, **({"status": asked.status} if asked.status else {})}
    rows, calls = await asyncio.gather(
        penstock.usage.summary(
            workspace, span.since, by=(span.time, *GROUPS[asked.by]), where=asked.where
        ),
        penstock.usage.attempts(
            workspace, span.since, where=calls_where, before=before, limit=_CALLS
        ),
    )
    response = page(
        request,
        "usage.html",
        visitor,
        workspace=workspace,
        workspaces=await workspaces_of(visitor, penstock),
        shown=usage_shown(rows, span, by=asked.by),
        calls=calls,
        asked=asked,
        before=before,
        since=span.since,
        spans=SPANS,
        groups=tuple(GROUPS),
        statuses=STATUSES,
    )
    remember(response, request, workspace)
    return response


@router.get("/export")
async def export(
    request: Request,
    visitor: Visitor,
    penstock: Connected,
    asked: Wanted,
    *,
    what: Annotated[str, Query(pattern="^(sums|calls)$")] = "sums",
    form: Annotated[Format, Query(alias="format")] = "csv",
) -> Response:
    """The sums of the page, or all calls of its time, as the API exports them."""
    may(visitor, "usage:read")
    workspace = await workspace_shown(request, visitor, penstock)
    span = await _span(penstock, workspace, asked)
    by = ",".join((span.time, *GROUPS[asked.by])) if what == "sums" else ""
    return await exported(
        workspace, penstock, where=asked.where, format=form, by=by, since=span.since, until=None
    )


async def _span(penstock: Penstock, workspace: str, asked: Asked) -> Span:
    config = await penstock.workspaces.get(workspace)
    return span_of(asked.span, now=datetime.now(UTC), time_zone=config.time_zone)
