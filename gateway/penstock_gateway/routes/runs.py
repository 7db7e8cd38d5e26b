"""Runs of skills: start, await, look at, cancel, resume."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from penstock_gateway.auth import Connected, JobsReader, JobsWriter, workspace_of
from penstock_gateway.awaiting import Wait, json_response
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.naming import Text, WorkspaceQuery
from penstock_gateway.owned import owned_run
from penstock_gateway.problems import Refused
from penstock_gateway.routes.skills import declared
from penstock_gateway.run_bodies import (
    RUN_EXAMPLE,
    ItemLabel,
    ItemPage,
    RunBody,
    RunLabel,
    RunPage,
    RunStarted,
)
from penstock_gateway.serving import Serving, serving_of
from penstock_schemas.runs import RunResult, RunState, StepState

router = APIRouter(prefix="/v1/runs", tags=["pipelines"])
_MOST_ITEM = 2**31 - 1


async def _readable(run_id: str, identity: JobsReader, penstock: Connected) -> RunResult:
    return await owned_run(run_id, identity, penstock)


async def _writable(run_id: str, identity: JobsWriter, penstock: Connected) -> RunResult:
    return await owned_run(run_id, identity, penstock)


Readable = Annotated[RunResult, Depends(_readable)]
Writable = Annotated[RunResult, Depends(_writable)]


@router.post(
    "",
    status_code=202,
    summary="Start a run",
    response_model=RunStarted,
    responses={
        200: {"model": RunResult, "description": "The run, which ended within `wait_s`."},
        202: {"description": "Recorded: no fault of ours loses it from here on."},
    },
    openapi_extra=takes(RunBody, RUN_EXAMPLE),
)
async def start(
    request: Request,
    identity: JobsWriter,
    body: Annotated[RunBody, Depends(body_of(RunBody))],
    penstock: Connected,
    *,
    wait_s: Wait = 0,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="The `idempotency_key` of the run."),
    ] = None,
) -> Response:
    """Start a run of a skill that the workspace has, or of one that is declared here.

    The same idempotency key in one workspace always gives the first run. With `wait_s` the run
    comes in the same answer, if it has ended in time. Needs the scope `jobs:write`.
    """
    of = workspace_of(identity, body.workspace)
    options = body.options()
    key = idempotency_key
    if key is not None and options.setdefault("idempotency_key", key) != key:
        raise Refused(422, "Idempotency-Key: the body has another", kind="invalid")
    skill = body.skill if isinstance(body.skill, str) else declared(body.skill)
    handle = await penstock.runs.start(skill, workspace=of, inputs=body.inputs, **options)
    headers = {"location": f"/v1/runs/{handle.run_id}"}
    if wait_s:
        await _ended(serving_of(request), handle.run_id, wait_s)
        found = await handle.status()
        if found.status.is_terminal:
            return json_response(200, found, headers)
    shown = RunStarted(run_id=handle.run_id, workspace=handle.workspace, skill=handle.skill)
    return json_response(202, shown, headers)


async def _ended(serving: Serving, run_id: str, wait_s: float) -> None:
    """Return once a run has ended, and after so many seconds at the latest."""
    with contextlib.suppress(TimeoutError):
        async with serving.waits.within(wait_s):
            await serving.connection.penstock.runs.result(run_id)


@router.get("", summary="List runs, newest first")
async def list_runs(
    identity: JobsReader,
    penstock: Connected,
    *,
    workspace: WorkspaceQuery = None,
    state: RunLabel | None = None,
    skill: Text = None,
    before: Annotated[str | None, Query(description="Older than this run: the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> RunPage:
    """A workspace's runs. Needs the scope `jobs:read`."""
    of = workspace_of(identity, workspace)
    wanted = None if state is None else RunState.parse(state)
    rows = await penstock.runs.list(of, state=wanted, skill=skill, before=before, limit=limit)
    return RunPage(runs=list(rows), next=rows[-1].run_id if len(rows) == limit else None)


@router.get("/{run_id}", summary="Get a run, or await its end", response_model=RunResult)
async def get_run(
    request: Request, found: Readable, penstock: Connected, wait_s: Wait = 0
) -> Response:
    """How a run and its steps stand, what they used, and once it has succeeded its output.

    With `wait_s` the answer comes as soon as the run has ended, and after that time at the latest.
    Needs the scope `jobs:read`.
    """
    if wait_s and not found.status.is_terminal:
        await _ended(serving_of(request), found.run_id, wait_s)
        found = await penstock.runs.get(found.run_id)
    return json_response(200, found)


@router.get("/{run_id}/steps/{step}", summary="List the calls of a step")
async def list_items(
    step: str,
    found: Readable,
    penstock: Connected,
    *,
    state: ItemLabel | None = None,
    after: Annotated[
        int, Query(ge=-1, le=_MOST_ITEM, description="Those after this item: the next page.")
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ItemPage:
    """The calls of a step with their outputs, in order. Needs the scope `jobs:read`."""
    wanted = None if state is None else StepState.parse(state)
    rows = await penstock.runs.items(found.run_id, step, state=wanted, after=after, limit=limit)
    return ItemPage(items=list(rows), next=rows[-1].item if len(rows) == limit else None)


@router.delete("/{run_id}", summary="Cancel a run", response_model=RunResult)
async def cancel(found: Writable, penstock: Connected) -> Response:
    """End the run now, with its jobs and calls under way. A run that has ended stays as it is.

    Needs the scope `jobs:write`.
    """
    return json_response(200, await penstock.runs.cancel(found.run_id))


@router.post("/{run_id}/resume", status_code=202, summary="Resume a run", response_model=RunResult)
async def resume(found: Writable, penstock: Connected) -> Response:
    """Let a failed or cancelled run go on with what did not succeed.

    Nothing that succeeded runs again. Needs the scope `jobs:write`.
    """
    return json_response(202, await penstock.runs.resume(found.run_id))
