"""Pure: a step that is ready, with the values it needs -> whether it runs, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic_core import to_json

from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.steps import ComputeStep, Condition, LLMStep, Step
from penstock_client.pipelines.templates import Reference, Scope, Template, rendered
from penstock_client.routing import AnyJob
from penstock_schemas.errors import InvalidJob

#: Items of one fan-out at most.
MOST_ITEMS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Opening:
    """How a step begins: `skipped` says why it does not; else it has so many items.

    `entries` are those of its fan-out, None where it has none.
    """

    entries: Sequence[Any] | None = None
    skipped: str | None = None

    @property
    def items(self) -> int:
        """How many items it has."""
        return 1 if self.entries is None else len(self.entries)


def opening(step: Step, scope: Scope) -> Opening:
    """Try its conditions and find its list. Raises InvalidJob that says what is wrong with them."""
    for condition in step.when:
        found = scope.value(_only(condition.value), lenient=True)
        if not condition.holds(found):
            return Opening(skipped=f"when: {condition.value} is not {_wanted(condition)}")
    if step.for_each is None:
        return Opening()
    entries = scope.value(_only(step.for_each))
    if not isinstance(entries, (list, tuple)):
        told = f"{step.for_each} leads to {_json_type(entries)}, not to a list"
        raise InvalidJob(f"for_each: {told}", field="for_each")
    if len(cast("Sequence[Any]", entries)) > MOST_ITEMS:
        raise InvalidJob(f"for_each: has more than {MOST_ITEMS:,} entries", field="for_each")
    return Opening(cast("Sequence[Any]", entries))


def job_for(
    step: LLMStep, scope: Scope, *, options: RunOptions, identity: Mapping[str, Any]
) -> AnyJob:
    """The job of one item. Raises InvalidJob that names the field."""
    fields: dict[str, Any] = {}
    for name in step.templated:
        value = getattr(step, name)
        if value is None:
            continue
        fields[name] = _field(name, value, scope)
    fields["metadata"] = {**options.metadata, **fields.get("metadata", {})}
    given = options.for_jobs()
    own = {name for name in given if getattr(step, name) is not None}
    given = {name: value for name, value in given.items() if name not in own}
    return step.job(fields, **identity, **given)


def arguments_for(step: ComputeStep, scope: Scope) -> bytes:
    """The arguments of one call as JSON. Raises InvalidJob that names the field."""
    return to_json(_named("arguments", step.arguments, scope))


def _field(name: str, value: Any, scope: Scope) -> Any:
    """A field with its templates filled: text stays text, whole lists only where lists belong."""
    found: Any = _named(name, value, scope)
    if name in {"input", "labels"}:
        if len(found) == 1 and isinstance(found[0], list):
            found = found[0]
        return [_text(each) for each in found]
    if isinstance(value, str):
        return _text(found)
    if name == "metadata":
        return {key: _text(each) for key, each in found.items()}
    if name == "messages":
        return [_as_text(message) for message in found]
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _as_text(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message whose content came from one placeholder that led to something other than text."""
    content = message.get("content")
    is_parts = isinstance(content, list) and all(
        isinstance(part, Mapping) and "type" in part for part in cast("list[Any]", content)
    )
    if content is None or isinstance(content, str) or is_parts:
        return message
    return {**message, "content": to_json(content).decode()}


def _named(name: str, value: Any, scope: Scope) -> Any:
    try:
        return rendered(value, scope)
    except InvalidJob as error:
        raise InvalidJob(f"{name}: {error}", field=name) from None


def _only(placeholder: str) -> Reference:
    reference = Template.parse(placeholder, origin="").whole
    if reference is None:
        raise InvalidJob(f"{placeholder!r} must be one placeholder")
    return reference


def _wanted(condition: Condition) -> str:
    tests = condition.model_dump(exclude_unset=True, exclude={"value"})
    return " and ".join(_TESTS[name].format(value) for name, value in tests.items())


_TESTS: Final = {
    "equals": "{0!r}",
    "not_equals": "other than {0!r}",
    "is_in": "one of {0}",
    "above": "above {0:g}",
    "below": "below {0:g}",
    "exists": "there (exists: {0})",
}
_TYPES: Final[dict[type[Any], str]] = {
    dict: "an object",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def _json_type(value: Any) -> str:
    return "null" if value is None else _TYPES.get(value.__class__, "something else")
