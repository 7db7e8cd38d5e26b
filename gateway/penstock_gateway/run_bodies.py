"""What the API takes and shows of skills and of their runs; a run is `schemas.runs.RunResult`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, StringConstraints

from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.skills import SkillRow
from penstock_gateway.views import View
from penstock_schemas.jobs import IdempotencyKey
from penstock_schemas.runs import ItemResult, RunRow
from penstock_schemas.webhooks import WebhookUrl

WorkspaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
RunLabel = Literal["running", "succeeded", "failed", "cancelled"]
ItemLabel = Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]

SKILL_EXAMPLE: Final[dict[str, Any]] = {
    "name": "sort-tickets",
    "inputs": {"type": "object", "required": ["tickets"]},
    "steps": [
        {
            "name": "sort",
            "type": "classify",
            "for_each": "{inputs.tickets}",
            "text": "{item}",
            "labels": ["refund", "praise"],
        },
        {"name": "sum-up", "type": "generate", "prompt": "Sum up these labels: {sort.output}"},
    ],
    "output": "{sum-up.text}",
}
RUN_EXAMPLE: Final[dict[str, Any]] = {
    "workspace": "acme",
    "skill": SKILL_EXAMPLE,
    "inputs": {"tickets": ["I want a refund", "Well done"]},
}


class RunBody(RunOptions):
    """A run to start. `skill` is the name of one that the workspace has, or a declaration.

    What else is given all jobs of the run take over.
    """

    skill: str | dict[str, JsonValue]
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    workspace: WorkspaceName | None = None
    idempotency_key: IdempotencyKey | None = None
    webhook: WebhookUrl | None = None

    def options(self) -> dict[str, Any]:
        """What is given beside the skill and where it runs, by the names of `Runs.start`."""
        apart = {"skill", "inputs", "workspace"}
        return self.model_dump(exclude_none=True, exclude_defaults=True, exclude=apart)


class SkillView(View):
    """A skill that a workspace has by name."""

    workspace: str
    name: str
    digest: str
    created_at: datetime
    updated_at: datetime
    skill: dict[str, JsonValue] = Field(description="Its declaration, as it is put.")

    @classmethod
    def of(cls, row: SkillRow) -> SkillView:
        """As it is shown."""
        return cls(
            workspace=row.workspace,
            name=row.name,
            digest=row.digest,
            created_at=row.created_at,
            updated_at=row.updated_at,
            skill=row.skill.definition(),
        )


class SkillPage(View):
    """Some skills, and what to give as `after` for those that come after them; null: no more."""

    skills: list[SkillView]
    next: str | None


class RunPage(View):
    """Some runs, and what to give as `before` for those that come after them; null: no more."""

    runs: list[RunRow]
    next: str | None


class ItemPage(View):
    """Some calls of a step, and what to give as `after` for more; null: no more."""

    items: list[ItemResult]
    next: int | None


class RunStarted(View):
    """A run that was recorded; with an idempotency key it may be the first run of that key."""

    run_id: str
    workspace: str
    skill: str
    status: Literal["running"] = "running"
