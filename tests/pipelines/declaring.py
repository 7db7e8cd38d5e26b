"""Short ways to declare steps in tests."""

from __future__ import annotations

from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.steps import ComputeStep

MODULE = "tests.pipelines.functions"


def call(name: str, function: str, **fields: object) -> ComputeStep:
    """A COMPUTE step that retries at once."""
    named = function if ":" in function else f"{MODULE}:{function}"
    return ComputeStep.model_validate(
        {"name": name, "function": named, "retry_delay_s": 0, **fields}
    )


def skill(*steps: object, **fields: object) -> Skill:
    """A skill of these steps."""
    return Skill.model_validate({"name": "tested", "steps": steps, **fields})
