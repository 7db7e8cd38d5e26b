"""`runs` over HTTP; each method promises what that of `Runs` does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import orjson
from pydantic import BaseModel

from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.runs import OnRunProgress, RunHandle, Runs
from penstock_client.pipelines.skill import Skill
from penstock_client.remote.http import Http
from penstock_schemas.errors import InvalidJob, RunTimeout, Unavailable
from penstock_schemas.runs import (
    ItemResult,
    RunId,
    RunResult,
    RunRow,
    RunState,
    StepState,
    parse_run_id,
)

#: A request waits so long at most, and so often progress is asked for, in seconds.
_POLL_S: Final = 30.0
_LOOK_S: Final = 0.5
_PAUSE_S: Final = 1.0


class RemoteRuns(Runs):
    """Runs of skills."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def start(
        self,
        skill: Skill | str,
        *,
        workspace: str,
        inputs: Mapping[str, Any] | BaseModel | None = None,
        idempotency_key: str | None = None,
        webhook: str | None = None,
        connection: Any = None,
        **options: Any,
    ) -> RunHandle:
        """Record a run; see `Runs.start`. Raises InvalidJob for a `connection`."""
        if connection is not None:
            told = "connection: a transaction of yours needs Redis and Postgres, not a gateway"
            raise InvalidJob(told, field="connection")
        given = RunOptions.of(options).model_dump(mode="json", exclude_defaults=True)
        document = inputs.model_dump(mode="json") if isinstance(inputs, BaseModel) else inputs
        if isinstance(skill, Skill):
            document = orjson.loads(skill.check_inputs(inputs))
        body = {
            **given,
            "workspace": workspace,
            "skill": skill if isinstance(skill, str) else skill.definition(),
            "inputs": dict(document or {}),
            # So that the request may be sent again.
            "idempotency_key": idempotency_key or f"once-{uuid4()}",
        }
        if webhook is not None:
            body["webhook"] = webhook
        found = await self._http.ask("POST", "/v1/runs", body)
        return RunHandle(RunId(found["run_id"]), found["workspace"], found["skill"], self)

    async def get(self, run_id: str) -> RunResult:
        """How a run stands, with its usage so far; raises UnknownRun."""
        return await self._get(_path(run_id), 0)

    async def result(
        self,
        run_id: str,
        *,
        timeout_s: float | None = None,
        progress: OnRunProgress | None = None,
    ) -> RunResult:
        """How a run ended, once it has; raises UnknownRun, RunTimeout. It goes on after a timeout.

        `progress` is called with how it stands each time that is seen to have changed.
        """
        path, seen = _path(run_id), None
        wait_s = _POLL_S if progress is None else _LOOK_S
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        found = await self._get(path, wait_s)
                    except Unavailable:
                        await asyncio.sleep(_PAUSE_S)  # the run goes on
                        continue
                    if progress is not None and found != seen:
                        progress(found)
                    if found.status.is_terminal:
                        return found
                    seen = found
        except TimeoutError:
            raise RunTimeout(run_id, timeout_s or 0) from None

    async def items(
        self,
        run_id: str,
        step: str,
        *,
        state: StepState | str | None = None,
        after: int = -1,
        limit: int = 100,
    ) -> Sequence[ItemResult]:
        """The calls of one step with their answers, in order; page on with `after`."""
        wanted = {"state": StepState.label_of(state), "after": after, "limit": limit}
        path = f"{_path(run_id)}/steps/{quote(step, safe='')}"
        found = await self._http.get(path, wanted)
        return [ItemResult.model_validate(each) for each in found["items"]]

    async def cancel(self, run_id: str) -> RunResult:
        """End a run that has not ended, with its jobs and calls under way. Idempotent."""
        return RunResult.model_validate(await self._http.ask("DELETE", _path(run_id)))

    async def resume(self, run_id: str) -> RunResult:
        """Let a failed or cancelled run go on with what did not succeed; see `Runs.resume`."""
        path = f"{_path(run_id)}/resume"
        found = await self._http.ask("POST", path, repeatable=False)
        return RunResult.model_validate(found)

    async def list(
        self,
        workspace: str,
        *,
        state: RunState | str | None = None,
        skill: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """A workspace's runs, newest first; page on with `before`, the last ID seen."""
        wanted = {
            "workspace": workspace,
            "state": RunState.label_of(state),
            "skill": skill,
            "before": before,
            "limit": limit,
        }
        found = await self._http.get("/v1/runs", wanted)
        return [RunRow.model_validate(each) for each in found["runs"]]

    async def _get(self, path: str, wait_s: float) -> RunResult:
        return RunResult.model_validate(await self._http.ask("GET", path, wait_s=wait_s))


def _path(run_id: str) -> str:
    return f"/v1/runs/{parse_run_id(run_id)}"
