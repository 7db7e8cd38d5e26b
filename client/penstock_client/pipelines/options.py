"""What is said of a run when it starts; all its jobs take it over."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_schemas.jobs import (
    Description,
    LimitTag,
    MetadataKey,
    MetadataValue,
    Tag,
    invalid_job,
)

#: Those that a step may say for itself.
_OF_STEPS = (
    "configuration",
    "lane",
    "limit_tag",
    "agent",
    "task_type",
    "task_description",
    "session_key",
)


class RunOptions(BaseModel):
    """The options of a run, as those of a job. What a step says for itself goes first."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    configuration: Tag | None = None
    lane: Literal["interactive", "bulk", "background"] | None = None
    limit_tag: LimitTag | None = None
    agent: Tag | None = None
    task_type: Tag | None = None
    task_description: Description | None = None
    session_key: Tag | None = None
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=200)

    @classmethod
    def of(cls, given: dict[str, Any]) -> RunOptions:
        """Options by name; raises InvalidJob that names the one which cannot be accepted."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise invalid_job(error) from None

    def for_jobs(self) -> dict[str, Any]:
        """The fields of a job that are given here."""
        given = {name: getattr(self, name) for name in _OF_STEPS}
        return {name: value for name, value in given.items() if value is not None}
