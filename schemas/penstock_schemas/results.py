"""The normalised result of a job: the same shape whatever provider answered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
)

from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.state_names import BY_NAME
from penstock_schemas.status import ErrorKind, FinishReason, JobState
from penstock_schemas.usage import NO_USAGE, Usage

_ModelT = TypeVar("_ModelT", bound=BaseModel)


#: A job's state, written by its public name.
StateName = Annotated[JobState, BeforeValidator(JobState.read), BY_NAME]


class ErrorInfo(BaseModel):
    """Why a job has no answer. `kind` is the meaning; `code` and `status` are the provider's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ErrorKind
    message: str
    provider: str | None = None
    model: str | None = None
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None


class Result(BaseModel):
    """How a job ended.

    `output` is the structured answer: the label (or a list of labels) of a `Classify`, the JSON
    value of an `Extract` or of a job with `schema` or `json`. Awaited through the handle of a job
    whose `schema=` was a pydantic model, it is an instance of that model.
    `usage` and `cost_usd` are those of all its attempts; `cost_usd` is None when a price is not
    known, which does not mean free. `duration_ms` runs from submit to settlement. `attempts`
    counts those that were opened, sent or not. `simulated` says that the answer did not come from
    a real provider.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: JobId
    workspace: WorkspaceId
    status: StateName
    text: str | None = None
    output: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: tuple[ReasoningPart, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    provider: str | None = None
    model: str | None = None
    finish_reason: FinishReason | None = None
    attempts: int = 0
    duration_ms: int = 0
    finished_at: datetime | None = None
    error: ErrorInfo | None = None
    warnings: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def ok(self) -> bool:
        """Whether the job succeeded."""
        return self.status is JobState.SUCCEEDED

    @property
    def vector(self) -> tuple[float, ...] | None:
        """The first vector of an embedding, or None."""
        return self.vectors[0] if self.vectors else None

    @property
    def dimensions(self) -> int | None:
        """The length of each vector of an embedding, or None."""
        return len(self.vectors[0]) if self.vectors else None

    def output_as(self, model: type[_ModelT]) -> _ModelT:
        """The output as an instance of `model`; raises pydantic's ValidationError."""
        return model.model_validate(self.output)

    def encode(self) -> bytes:
        """The result as JSON bytes; fields that are `None` are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def decode(cls, body: bytes) -> Result:
        """Read a stored result."""
        return cls.model_validate_json(body)
