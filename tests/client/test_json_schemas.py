"""What is refused as a JSON Schema, before anything is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.json_schemas import check_schema, schema_problem
from penstock_client.pipelines.skill import Skill
from penstock_schemas.errors import InvalidJob


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def test_schema_is_one() -> None:
    assert schema_problem(nested(20)) is None


def test_problem_says_where() -> None:
    with pytest.raises(
        InvalidJob, match="schema: is not a JSON Schema at type: 'objekt'"
    ) as caught:
        check_schema({"type": "objekt"})
    assert caught.value.field == "schema"


@pytest.mark.parametrize("depth", [120, 1000])
def test_schema_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    assert schema_problem(nested(depth)) is not None


def test_inputs_of_a_skill_that_are_nested_too_deeply_are_refused() -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "Go."}]
    with pytest.raises(InvalidJob, match="inputs: is no JSON Schema: nested too deeply"):
        Skill.parse({"name": "deep", "inputs": nested(120), "steps": steps})
