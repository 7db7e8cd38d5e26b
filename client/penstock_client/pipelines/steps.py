"""Steps of a skill, as they are declared in Python or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from penstock_client.routing import AnyJob
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import (
    JOB_TYPES,
    Effort,
    JobType,
    JsonSchema,
    LimitTag,
    Strategy,
    Tag,
    build_job,
)
from penstock_schemas.messages import Tool, ToolChoice

OnFailure = Literal["fail", "skip", "continue"]
Needs = Literal["all", "any"]
StepName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])
_MARK: Final = "__penstock_compute__"
#: What is a template in an LLM step.
TEMPLATED: Final = (
    "prompt",
    "messages",
    "system",
    "text",
    "input",
    "labels",
    "model",
    "task_description",
    "session_key",
    "metadata",
)


def compute(function: _FunctionT) -> _FunctionT:
    """Mark a function that COMPUTE steps may call: `penstock worker --compute MODULE` has it.

    Async, or else run in a thread. Takes the step's arguments by name, converted to its
    annotations as pydantic does, and returns what JSON can hold.
    """
    setattr(function, _MARK, True)
    return function


def is_compute(found: object) -> bool:
    """Whether something is a function that `compute` marked."""
    return callable(found) and getattr(found, _MARK, False) is True


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _function_name(given: Any) -> Any:
    """`module:name` of a marked function; other values as they are."""
    if not callable(given):
        return given
    name: str = getattr(given, "__qualname__", "")
    module: str = getattr(given, "__module__", "")
    if not is_compute(given) or not name.isidentifier():
        raise InvalidJob(
            f"function: {name or given!r} must be a function of a module, marked with @compute",
            field="function",
        )
    if module == "__main__":
        spec = getattr(sys.modules[module], "__spec__", None)
        if spec is None:
            raise InvalidJob(
                f"function: {name} stands in a script, where no worker finds it; move it into a "
                f'module, or name it as "module:{name}"',
                field="function",
            )
        module = spec.name
    return f"{module}:{name}"


FunctionName = Annotated[
    str,
    BeforeValidator(_function_name),
    StringConstraints(
        max_length=300,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
    ),
]
Names = Annotated[tuple[StepName, ...], BeforeValidator(_one_or_many)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class _Declared(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class Condition(_Declared):
    """A test of a value: all the operators that are given must hold.

    `value` is a placeholder such as `{judge.output.risk}`; a path that leads nowhere is null.
    `above` and `below` are for numbers. `exists` asks whether there is anything but null.
    """

    value: str
    equals: JsonValue = None
    not_equals: JsonValue = None
    is_in: tuple[JsonValue, ...] | None = None
    above: float | None = None
    below: float | None = None
    exists: bool | None = None

    def holds(self, found: Any) -> bool:
        """Whether it holds for a value; raises InvalidJob for one that cannot be compared."""
        given = self.model_fields_set
        if self.exists is not None and (found is not None) is not self.exists:
            return False
        if "equals" in given and found != self.equals:
            return False
        if "not_equals" in given and found == self.not_equals:
            return False
        if self.is_in is not None and found not in self.is_in:
            return False
        if self.above is not None and not _number(found, self.value) > self.above:
            return False
        return self.below is None or _number(found, self.value) < self.below


def _number(found: Any, path: str) -> float:
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return found
    raise InvalidJob(f"when: {path} is a {type(found).__name__}, not a number", field="when")


Conditions = Annotated[
    tuple[Condition, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, (Condition, Mapping)) else given),
]


class _StepFields(_Declared):
    """What both kinds of steps have.

    A step runs once those are done that it names, in its templates or in `after`. With `for_each`,
    a placeholder that leads to a list, it runs for each entry, as `{item}` with its `{index}`; its
    output is then the list of their outputs. `when` must hold, or the step is skipped. A step of
    which a predecessor was skipped is skipped; with `needs="any"` it runs unless all were, and what
    was skipped is null. `on_failure` says what its failure does: `fail` the run, `skip` those that
    need it while other branches go on, or `continue` with null in place of its output, in a fan-out
    in place of that item's.
    """

    name: StepName
    after: Names = ()
    for_each: str | None = None
    when: Conditions = ()
    needs: Needs = "all"
    on_failure: OnFailure = "fail"

    templated: ClassVar[tuple[str, ...]] = ()


class LLMStep(_StepFields):
    """A step that asks a model: the fields of a job of that `type`, some of them as templates.

    Which model is the workspace's to say, by `capability` (the type's own, unless given). In
    `input` and `labels` one placeholder may stand for a whole list.
    """

    type: JobType
    capability: Tag | None = None
    configuration: Tag | None = None
    model: str | None = None
    strategy: Strategy | None = None
    timeout_s: float | None = None
    max_attempts: int | None = None
    max_queue_wait_s: float | None = None
    limit_tag: LimitTag | None = None
    lane: Literal["interactive", "bulk", "background"] | None = None
    agent: Tag | None = None
    task_type: Tag | None = None
    task_description: str | None = None
    session_key: str | None = None
    metadata: dict[str, str] | None = None

    prompt: str | None = None
    messages: tuple[dict[str, JsonValue], ...] | None = None
    system: str | None = None
    text: str | None = None
    input: Texts | None = None
    labels: Texts | None = None
    multi: bool | None = None
    dimensions: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_schema: JsonSchema | None = Field(default=None, alias="schema")
    json_output: bool | None = Field(default=None, alias="json")
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    effort: Effort | None = None
    cache_system: bool | None = None
    stream: bool | None = None

    templated: ClassVar[tuple[str, ...]] = TEMPLATED

    def job(self, fields: Mapping[str, Any], **identity: Any) -> AnyJob:
        """The typed job with these fields in place of the templates; raises InvalidJob."""
        own = {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name not in _StepFields.model_fields and name != "type"
        }
        given = {name: value for name, value in {**own, **fields}.items() if value is not None}
        return build_job(JOB_TYPES[self.type], {**identity, **given})


class ComputeStep(_StepFields):
    """A step that calls a Python function, in the pool `penstock worker --compute MODULE`.

    `function` is marked with `compute`: itself, or its name as `module:name`. A string in
    `arguments` that is one placeholder keeps the value's type. A call that raises is repeated up to
    `max_attempts` times, `retry_delay_s` apart. After `timeout_s` a call counts as failed; what
    runs in a thread cannot be stopped and goes on unheard.
    """

    type: Literal["compute"] = "compute"
    function: FunctionName
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_s: float = Field(default=300, gt=0, le=86_400)
    max_attempts: int = Field(default=3, ge=1, le=50)
    retry_delay_s: float = Field(default=1, ge=0, le=86_400)

    templated: ClassVar[tuple[str, ...]] = ("arguments",)

    @property
    def module(self) -> str:
        """The module whose workers have the function."""
        return self.function.partition(":")[0]


Step = LLMStep | ComputeStep


def called_without(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    """Why a function cannot be called with arguments of these names; None when it can."""
    try:
        signature(function).bind(**arguments)
    except TypeError as error:
        return str(error)
    return None
