"""Backfills: load, start, follow, steer, export."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from penstock_client import Penstock
from penstock_client.backfill.answers import encoded
from penstock_client.backfill.exporting import Exported
from penstock_gateway.auth import Connected, JobsReader, JobsWriter, workspace_of
from penstock_gateway.awaiting import json_response
from penstock_gateway.backfill_bodies import (
    BACKFILL_EXAMPLE,
    ROWS_EXAMPLE,
    BackfillBody,
    BackfillChanges,
    BackfillLabel,
    BackfillPage,
    BackfillPlan,
    BackfillRowsBody,
    BackfillStartBody,
    RowsLoaded,
    RowsRetried,
    loaded_rows,
)
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.naming import WorkspaceQuery
from penstock_gateway.owned import owned_backfill
from penstock_gateway.serving import serving_of
from penstock_gateway.sse import PING_S, Readers
from penstock_schemas.backfills import BackfillState, BackfillStatus

router = APIRouter(prefix="/v1/backfills", tags=["backfills"])
_NDJSON = "application/x-ndjson"


async def _readable(backfill_id: str, identity: JobsReader, penstock: Connected) -> BackfillStatus:
    return await owned_backfill(backfill_id, identity, penstock)


async def _writable(backfill_id: str, identity: JobsWriter, penstock: Connected) -> BackfillStatus:
    return await owned_backfill(backfill_id, identity, penstock)


Readable = Annotated[BackfillStatus, Depends(_readable)]
Writable = Annotated[BackfillStatus, Depends(_writable)]


@router.post(
    "",
    status_code=202,
    summary="Start a backfill",
    response_model=BackfillStatus,
    openapi_extra=takes(BackfillBody, BACKFILL_EXAMPLE),
)
async def start(
    identity: JobsWriter,
    body: Annotated[BackfillBody, Depends(body_of(BackfillBody))],
    penstock: Connected,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="The same key and settings give the first backfill."),
    ] = None,
) -> Response:
    """Ask the same of many rows. With `rows` it starts at once; else load it by `/rows`.

    Needs the scope `jobs:write`.
    """
    of = workspace_of(identity, body.workspace)
    plan, backfills = body.plan(of), penstock.backfills
    found = await backfills.create(
        plan, identity=idempotency_key, origin="the API", options=body.options()
    )
    if body.rows is not None and found.status is BackfillState.LOADING:
        rows = loaded_rows(plan, body.rows, at=0, id_field=body.id_field)
        await backfills.add(found.backfill_id, rows, at=0)
        found = await backfills.commit(found.backfill_id, sample=body.sample)
    return json_response(202, found, {"location": f"/v1/backfills/{found.backfill_id}"})


@router.get("", summary="List backfills, newest first")
async def list_backfills(
    identity: JobsReader,
    penstock: Connected,
    *,
    workspace: WorkspaceQuery = None,
    state: BackfillLabel | None = None,
    before: Annotated[str | None, Query(description="Older than this: the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> BackfillPage:
    """A workspace's backfills. Needs the scope `jobs:read`."""
    of = workspace_of(identity, workspace)
    wanted = None if state is None else BackfillState.parse(state)
    rows = await penstock.backfills.list(of, state=wanted, before=before, limit=limit)
    return BackfillPage(backfills=rows, next=rows[-1].backfill_id if len(rows) == limit else None)


@router.get("/{backfill_id}", summary="Get a backfill", response_model=BackfillStatus)
async def get_backfill(found: Readable, penstock: Connected) -> Response:
    """How it stands: rows, rate, limit, cost so far and projected, errors by kind, time left.

    Needs the scope `jobs:read`.
    """
    return json_response(200, await penstock.backfills.get(found.backfill_id, share=True))


@router.post(
    "/{backfill_id}/rows",
    summary="Load rows",
    openapi_extra=takes(BackfillRowsBody, ROWS_EXAMPLE),
)
async def add_rows(
    found: Writable,
    body: Annotated[BackfillRowsBody, Depends(body_of(BackfillRowsBody))],
    penstock: Connected,
) -> RowsLoaded:
    """Add up to 1,000 rows to a backfill that has not started. Safe to send again.

    Needs the scope `jobs:write`.
    """
    plan = await penstock.backfills.plan(found.backfill_id)
    rows = loaded_rows(plan, body.rows, at=body.at, id_field=body.id_field)
    there = await penstock.backfills.add(found.backfill_id, rows, at=body.at)
    return RowsLoaded(backfill_id=found.backfill_id, rows=there)


@router.post(
    "/{backfill_id}/start",
    status_code=202,
    summary="Start a loaded backfill",
    response_model=BackfillStatus,
    openapi_extra=takes(BackfillStartBody, {"sample": 100}),
)
async def commit(
    found: Writable,
    body: Annotated[BackfillStartBody, Depends(body_of(BackfillStartBody))],
    penstock: Connected,
) -> Response:
    """All rows are there: ask them. An ID that two rows have is refused, and the backfill is gone.

    Needs the scope `jobs:write`.
    """
    started = await penstock.backfills.commit(found.backfill_id, sample=body.sample)
    return json_response(202, started)


@router.post("/{backfill_id}/pause", summary="Pause", response_model=BackfillStatus)
async def pause(found: Writable, penstock: Connected) -> Response:
    """Start no more rows; what is under way goes on. Needs the scope `jobs:write`."""
    return json_response(200, await penstock.backfills.pause(found.backfill_id))


@router.post(
    "/{backfill_id}/resume",
    status_code=202,
    summary="Resume",
    response_model=BackfillStatus,
    openapi_extra=takes(BackfillChanges, {"max_cost_usd": "50"}),
)
async def resume(
    found: Writable,
    body: Annotated[BackfillChanges, Depends(body_of(BackfillChanges))],
    penstock: Connected,
) -> Response:
    """Let it go on, also after a dry run or at a ceiling. Needs the scope `jobs:write`."""
    changes = body.model_dump(exclude_none=True)
    return json_response(202, await penstock.backfills.resume(found.backfill_id, changes=changes))


@router.post("/{backfill_id}/retry-failed", status_code=202, summary="Ask failed rows again")
async def retry_failed(found: Writable, penstock: Connected) -> RowsRetried:
    """Ask the failed rows again, as new jobs. Needs the scope `jobs:write`."""
    rows = await penstock.backfills.retry_failed(found.backfill_id)
    return RowsRetried(backfill_id=found.backfill_id, rows=rows)


@router.delete("/{backfill_id}", summary="Cancel", response_model=BackfillStatus)
async def cancel(found: Writable, penstock: Connected) -> Response:
    """End it with its calls under way; what was answered stays. Needs the scope `jobs:write`."""
    return json_response(200, await penstock.backfills.cancel(found.backfill_id))


@router.get(
    "/{backfill_id}/export",
    summary="Export the answers",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "JSON lines: one for each row with an ID that has ended, in the order "
            "in which rows were loaded.",
            "content": {_NDJSON: {"schema": {"type": "string"}}},
        }
    },
)
async def export(
    found: Readable,
    penstock: Connected,
    *,
    after: Annotated[
        int, Query(ge=-1, le=10**12, description="Those after this number of the input, from 0.")
    ] = -1,
    every_row: Annotated[bool, Query(description="Those without an ID too.")] = False,
    numbered: Annotated[
        bool, Query(description='`{"number", "line", "answer"}` for each, to go on by.')
    ] = False,
) -> Response:
    """The answers of all rows that have ended, as JSON lines. Needs the scope `jobs:read`."""
    rows = penstock.backfills.export(found.backfill_id, after=after, every_row=every_row)
    return StreamingResponse(_lines(rows, numbered=numbered), media_type=_NDJSON)


@router.get("/{backfill_id}/plan", summary="What a backfill asks")
async def plan(found: Readable, penstock: Connected) -> BackfillPlan:
    """What it asks of each row, as it was given. Needs the scope `jobs:read`."""
    asked = await penstock.backfills.plan(found.backfill_id)
    return BackfillPlan(
        backfill_id=found.backfill_id, workspace=asked.workspace, plan=asked.document()
    )


@router.get(
    "/{backfill_id}/events",
    summary="Follow a backfill",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events: `status` each time it has changed; the last one "
            "says how it ended.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def events(request: Request, found: Readable, penstock: Connected) -> Response:
    """Server-sent events with how it stands, until it has ended. Needs the scope `jobs:read`."""
    readers = serving_of(request).readers
    readers.check()
    told = _told(penstock, found.backfill_id, readers)
    return EventSourceResponse(told, ping=PING_S, headers={"cache-control": "no-store"})


async def _lines(rows: AsyncIterator[Exported], *, numbered: bool) -> AsyncGenerator[bytes]:
    async with aclosing(cast("AsyncGenerator[Exported]", rows)) as closing:
        async for row in closing:
            yield encoded(asdict(row) if numbered else row.answer)


async def _told(
    penstock: Penstock, backfill_id: str, readers: Readers
) -> AsyncGenerator[ServerSentEvent]:
    following: Any = penstock.backfills.follow(backfill_id)
    with readers.one_more():
        async with aclosing(cast("AsyncGenerator[BackfillStatus]", following)) as statuses:
            async for status in statuses:
                yield ServerSentEvent(status.model_dump_json(), event="status")
                if status.status.is_terminal:
                    return
