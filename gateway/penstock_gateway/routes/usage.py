"""What a workspace has called, used and spent: this month, by tags, call by call, as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from penstock_client.usage_export import Format, call_columns, exported, summary_columns
from penstock_client.usage_rows import DIMENSIONS, Where
from penstock_gateway.auth import Connected, needs
from penstock_gateway.naming import Text
from penstock_gateway.usage_views import Calls, MonthView, UsageRows, json_of
from penstock_schemas.errors import InvalidJob

router = APIRouter(prefix="/api/workspaces/{workspace}", tags=["usage"])

_MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
Since = Annotated[datetime | None, Query(description="With a time zone; whole hours count.")]
By = Annotated[
    str,
    Query(max_length=200, description=f"Any of {', '.join(DIMENSIONS)}, separated by commas."),
]


async def _where(
    *,
    configuration: Text = None,
    capability: Text = None,
    skill: Text = None,
    step: Text = None,
    agent: Text = None,
    task_type: Text = None,
    provider: Text = None,
    model: Text = None,
) -> Where:
    """The tags that calls are chosen by."""
    given = {
        "configuration": configuration,
        "capability": capability,
        "skill": skill,
        "step": step,
        "agent": agent,
        "task_type": task_type,
        "provider": provider,
        "model": model,
    }
    return {name: value for name, value in given.items() if value is not None}


Chosen = Annotated[Where, Depends(_where)]


@router.get(
    "/llm/usage",
    summary="This month's tokens and budget",
    response_model=MonthView,
    dependencies=[needs("usage:read")],
)
async def month(workspace: str, penstock: Connected) -> Response:
    """Tokens this month, what is left of the budget, each skill. Needs the scope `usage:read`."""
    return json_of((await penstock.usage.month(workspace)).as_data())


@router.get(
    "/usage",
    summary="Usage summed up by time and tags",
    response_model=UsageRows,
    dependencies=[needs("usage:read")],
)
async def summary(
    workspace: str,
    penstock: Connected,
    *,
    where: Chosen,
    by: By = "day",
    since: Since = None,
    until: Since = None,
) -> Response:
    """One row for each group of calls. Needs the scope `usage:read`."""
    rows = await penstock.usage.summary(workspace, since, until, by=_names(by), where=where)
    return json_of({"usage": [row.as_data() for row in rows]})


@router.get(
    "/usage/calls",
    summary="Calls, newest first",
    response_model=Calls,
    dependencies=[needs("usage:read")],
)
async def calls(
    workspace: str,
    penstock: Connected,
    *,
    where: Chosen,
    since: Since = None,
    until: Since = None,
    status: Text = None,
    session: Text = None,
    before: Annotated[str | None, Query(max_length=200, description="`next` of a page.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """The calls that have ended, one by one. Needs the scope `usage:read`."""
    more = {"status": status, "session": session}
    chosen = {**where, **{name: value for name, value in more.items() if value is not None}}
    page = await penstock.usage.attempts(
        workspace, since, until, where=chosen, before=before, limit=limit
    )
    return json_of({"calls": [call.as_data() for call in page.calls], "next": page.next})


@router.get(
    "/usage/export",
    summary="Usage as CSV or JSON lines",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/jsonl": {"schema": {"type": "string"}},
            }
        }
    },
    dependencies=[needs("usage:read")],
)
async def export(
    workspace: str,
    penstock: Connected,
    *,
    where: Chosen,
    format: Format = "csv",  # noqa: A002 - the name of the parameter
    by: Annotated[str, Query(max_length=200, description="As for sums; empty for calls.")] = "",
    since: Since = None,
    until: Since = None,
) -> StreamingResponse:
    """All calls of a time, or sums of them, streamed. Needs the scope `usage:read`."""
    names = _names(by)
    rows: Any
    if names:
        rows = penstock.usage.export_summary(workspace, since, until, by=names, where=where)
        columns = summary_columns(names)
    else:
        rows = penstock.usage.export_calls(workspace, since, until, where=where)
        columns = call_columns()
    lines = _closing(exported(rows, columns=columns, form=format), rows)
    # What cannot be exported shows with the first row, before the answer begins.
    first = b"".join([await anext(lines, b"") for _ in range(2 if format == "csv" else 1)])
    name = f"usage-{workspace}.{format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_joined(first, lines), headers=headers, media_type=_MEDIA[format])


async def _closing(lines: AsyncIterator[bytes], rows: Any) -> AsyncIterator[bytes]:
    """The lines; whoever stops reading ends the query too."""
    async with aclosing(rows):
        async for line in lines:
            yield line


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


def _names(by: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in by.split(",") if name.strip())
    if len(names) > len(DIMENSIONS):
        raise InvalidJob("by: names each of them once", field="by")
    return names
