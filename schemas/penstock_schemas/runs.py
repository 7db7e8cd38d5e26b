"""Runs of pipelines: their states, and how one stands as everybody sees it.

States are stored as small integers in Postgres; the numbers are part of the schema. Where a state
means the same as a job's, it has the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NewType
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict

from penstock_schemas.errors import InvalidId
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.state_names import BY_NAME
from penstock_schemas.status import State
from penstock_schemas.usage import NO_USAGE, Usage

RunId = NewType("RunId", str)


class RunState(State):
    """Where a run stands. A resumed run is running again."""

    RUNNING = 4
    SUCCEEDED = 10
    FAILED = 11
    CANCELLED = 12


class StepState(State):
    """Where a step of a run stands, or one item of it.

    An item waits that is to start again, after its run was resumed.
    """

    WAITING = 1
    RUNNING = 4
    SUCCEEDED = 10
    FAILED = 11
    CANCELLED = 12
    SKIPPED = 13


#: States, written by their public names.
RunStateName = Annotated[RunState, BeforeValidator(RunState.read), BY_NAME]
StepStateName = Annotated[StepState, BeforeValidator(StepState.read), BY_NAME]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StepStatus(_Frozen):
    """How one step of a run stands.

    `items` is how many calls it makes: 1, or as many as the list of its fan-out has, None until
    that is known. `begun` of them were handed to workers. `error` is that of its first item that
    failed, or why the step was skipped. `usage` and `cost_usd` are those of all calls of its jobs;
    `cost_usd` None when a price is not known.
    """

    name: str
    type: str
    status: StepStateName
    items: int | None = None
    begun: int = 0
    succeeded: int = 0
    failed: int = 0
    error: str | None = None
    calls: int = 0
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = Decimal(0)
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def running(self) -> int:
        """Items that were begun and have not ended."""
        return self.begun - self.succeeded - self.failed


class RunResult(_Frozen):
    """How a run stands, or ended.

    `output` is what the skill declares as its output, and without that the output of its last
    step (of several, an object by their names); None until the run has succeeded. `waits_for` says
    what keeps it: workers of COMPUTE steps that are not there, and why jobs of LLM steps have
    waited for longer than moments. `warnings` where something is no longer kept.
    """

    run_id: RunId
    workspace: WorkspaceId
    skill: str
    digest: str
    status: RunStateName
    output: Any = None
    error: str | None = None
    steps: tuple[StepStatus, ...] = ()
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = Decimal(0)
    calls: int = 0
    resumes: int = 0
    simulated: bool = False
    created_at: datetime
    finished_at: datetime | None = None
    metadata: Mapping[str, str] = {}
    waits_for: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the run succeeded."""
        return self.status is RunState.SUCCEEDED

    def step(self, name: str) -> StepStatus:
        """The step of that name; raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


class RunRow(_Frozen):
    """A run in a list."""

    run_id: RunId
    workspace: WorkspaceId
    skill: str
    status: RunStateName
    error: str | None
    steps: int
    steps_ended: int
    created_at: datetime
    finished_at: datetime | None


class ItemResult(_Frozen):
    """One call of a step: an LLM job, or a call of a COMPUTE function.

    `output` and `text` are its answer, None where it has none, or none is kept.
    """

    step: str
    item: int
    status: StepStateName
    job_id: str | None = None
    output: Any = None
    text: str | None = None
    error: str | None = None
    provider: str | None = None
    model: str | None = None
    simulated: bool = False
    starts: int = 0
    finished_at: datetime | None = None


def parse_run_id(text: str) -> RunId:
    """Return `text` as a canonical run ID; raises InvalidId when it is not a UUID."""
    try:
        return RunId(str(UUID(text)))
    except ValueError:
        raise InvalidId(text, "run") from None
