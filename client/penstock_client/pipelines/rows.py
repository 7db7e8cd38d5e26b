"""Pure: rows of runs and their steps <-> the values that everybody works with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.progress import Standing
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.steps import Step
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.runs import (
    ItemResult,
    RunId,
    RunResult,
    RunRow,
    RunState,
    StepState,
    StepStatus,
)
from penstock_schemas.usage import NO_USAGE, Usage

_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


@lru_cache(maxsize=256)
def skill_of(definition: str) -> Skill:
    """The skill of a kept declaration, which was checked when it was declared."""
    return Skill.parse(from_json(definition))


def standings(rows: Iterable[Any]) -> tuple[Standing, ...]:
    """How the steps of a run stand."""
    return tuple(
        Standing(
            position=row["position"],
            state=StepState(row["state"]),
            items=row["items"],
            begun=row["begun"],
            succeeded=row["succeeded"],
            failed=row["failed"],
            error=row["error"],
        )
        for row in rows
    )


def step_columns(steps: Sequence[Standing]) -> tuple[list[Any], ...]:
    """Steps as the columns that `run_set_steps` takes."""
    return (
        [step.position for step in steps],
        [step.state for step in steps],
        [step.items for step in steps],
        [step.begun for step in steps],
        [step.succeeded for step in steps],
        [step.failed for step in steps],
        [step.error for step in steps],
    )


def run_result(
    row: Any, steps: Sequence[Any], usage: Iterable[Any], *, waits_for: Sequence[str] = ()
) -> RunResult:
    """A run as everybody sees it."""
    skill = skill_of(row["definition"])
    by_step: dict[str, Any] = {each["step"]: each for each in usage}
    told = tuple(
        _step_status(planned.step, step, by_step.get(planned.step.name))
        for planned, step in zip(skill.plan.steps, steps, strict=True)
    )
    costs = [each["cost_usd"] for each in by_step.values()]
    state = RunState(row["state"])
    ended_well = state is RunState.SUCCEEDED
    return RunResult(
        run_id=RunId(str(row["id"])),
        workspace=WorkspaceId(row["workspace"]),
        skill=row["skill"],
        digest=row["digest"],
        status=state,
        output=None if row["output"] is None else from_json(row["output"]),
        error=row["error"],
        steps=told,
        usage=sum((step.usage for step in told), NO_USAGE),
        cost_usd=None if None in costs else sum(costs, start=Decimal(0)),
        calls=sum(step.calls for step in told),
        resumes=row["epoch"],
        simulated=any(each["simulated"] for each in by_step.values()),
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        metadata=RunOptions.model_validate_json(row["options"]).metadata,
        waits_for=tuple(waits_for),
        warnings=() if row["kept"] or not ended_well else ("the output is no longer kept",),
    )


def _step_status(step: Step, row: Any, used: Any) -> StepStatus:
    usage: dict[str, Any] = {}
    if used is not None:
        tokens = Usage(**{name: used[name] for name in _TOKENS}, estimated=used["estimated"])
        usage = {"calls": used["calls"], "usage": tokens, "cost_usd": used["cost_usd"]}
    return StepStatus(
        name=step.name,
        type=step.type,
        status=StepState(row["state"]),
        items=row["items"],
        begun=row["begun"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        error=row["error"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        **usage,
    )


def run_row(row: Any) -> RunRow:
    """A run in a list."""
    return RunRow(
        run_id=RunId(str(row["id"])),
        workspace=WorkspaceId(row["workspace"]),
        skill=row["skill"],
        status=RunState(row["state"]),
        error=row["error"],
        steps=row["steps"],
        steps_ended=row["ended"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def item_result(step: Step, row: Any) -> ItemResult:
    """One item of a step; without an output where that is no longer kept."""
    result: Mapping[str, Any] = {} if row["body"] is None else from_json(row["body"])
    output: Any = None if row["output"] is None else from_json(row["output"])
    if result:
        output = result.get("output") or result.get("text") or result.get("vectors")
    return ItemResult(
        step=step.name,
        item=row["item"],
        status=StepState(row["state"]),
        job_id=None if row["job_id"] is None else str(row["job_id"]),
        output=output,
        text=result.get("text"),
        error=row["error"],
        provider=result.get("provider", row["provider"]),
        model=result.get("model", row["model"]),
        simulated=result.get("simulated", False),
        starts=row["attempts"] if row["job_id"] is not None else row["starts"],
        finished_at=row["finished_at"],
    )
