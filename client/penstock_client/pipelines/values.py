"""Pure: what the items of a step gave -> the fields by which templates ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from penstock_client.pipelines.plan import FIELDS
from penstock_client.pipelines.steps import LLMStep, Step
from penstock_schemas.errors import InvalidJob
from penstock_schemas.runs import StepState
from penstock_schemas.unkept import NOT_KEPT


def step_values(step: Step, rows: Sequence[Any], *, state: StepState) -> dict[str, Any]:
    """The fields of a step that has ended, from its items in order.

    In a fan-out each field is a list, with null for items that have none. Raises InvalidJob where
    an answer is no longer kept.
    """
    names = FIELDS["llm" if isinstance(step, LLMStep) else "compute"]
    if state is StepState.SKIPPED:
        return dict.fromkeys(names) | {"status": state.label}
    items = [item_values(step, row) for row in rows]
    if step.for_each is not None:
        fields: dict[str, Any] = {name: [item[name] for item in items] for name in names}
        return fields | {"status": state.label}
    if not items:  # it failed before it could begin
        return dict.fromkeys(names) | {"status": state.label}
    return items[0]


def item_values(step: Step, row: Any) -> dict[str, Any]:
    """The fields of one item; all but `error` and `status` are null when it has not succeeded."""
    state = StepState(row["state"])
    names = FIELDS["llm" if isinstance(step, LLMStep) else "compute"]
    fields: dict[str, Any] = dict.fromkeys(names)
    fields |= {"status": state.label, "error": row["error"]}
    if state is not StepState.SUCCEEDED:
        return fields
    if isinstance(step, LLMStep):
        return fields | answer_fields(_kept(step, row, row["body"]))
    return fields | {"output": from_json(_kept(step, row, row["output"]))}


def answer_fields(body: bytes) -> dict[str, Any]:
    """What templates can ask of an encoded result.

    `output` is the structured answer; where a job has none it is the text, or the vectors. Raises
    InvalidJob for a result whose answer is no longer kept.
    """
    result: Mapping[str, Any] = from_json(body)
    if NOT_KEPT in (result.get("warnings") or ()):
        raise InvalidJob("an answer is no longer kept", field="output")
    text = result.get("text")
    vectors = result.get("vectors") or None
    output = result.get("output")
    if output is None:
        output = text if vectors is None else vectors
    return {
        "output": output,
        "text": text,
        "vectors": vectors,
        "tool_calls": result.get("tool_calls") or [],
    }


def error_of(body: bytes | None, kind: str | None) -> str:
    """Why a job failed, from its encoded result or else by the kind of its last error."""
    if body is not None:
        error: Mapping[str, Any] | None = from_json(body).get("error")
        if error is not None:
            return f"{error['kind']}: {error['message']}"
    return kind or "it ended without an answer"


def _kept(step: Step, row: Any, body: bytes | None) -> bytes:
    if body is None:
        what = f"item {row['item']} of step {step.name}" if step.for_each else f"step {step.name}"
        raise InvalidJob(f"the output of {what} is no longer kept", field="output")
    return body
