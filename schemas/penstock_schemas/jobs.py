"""Typed jobs, and the versioned envelope in which one travels from the client to a worker.

A job is frozen and complete: a worker needs nothing but the envelope and its provider's key to
run it. Field names are the public surface; each type refuses fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from penstock_schemas.errors import InvalidJob
from penstock_schemas.messages import Message, Tool, ToolChoice
from penstock_schemas.webhooks import WebhookUrl

Tag = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
#: Part of a flow's name in the index.
LimitTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$")]
Description = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
IdempotencyKey = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]+$")
]
#: What JSON holds exactly everywhere, and every wire takes.
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
MetadataKey = Annotated[str, StringConstraints(max_length=200)]
MetadataValue = Annotated[str, StringConstraints(max_length=10_000)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


_FIRST_YEAR, _LAST_YEAR = 1970, 9000


class _SchemaOfModel(dict[str, Any]):
    """The JSON Schema of a pydantic model, which remembers the model."""

    def __init__(self, model: type[BaseModel]) -> None:
        super().__init__(model.model_json_schema())
        self.model = model


_JSON_OBJECT = TypeAdapter(dict[str, JsonValue], config=ConfigDict(allow_inf_nan=False))


def _as_schema(given: Any) -> dict[str, Any]:
    if isinstance(given, _SchemaOfModel):
        return given
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _SchemaOfModel(given)
    try:
        return _JSON_OBJECT.validate_python(given, strict=True)
    except ValidationError:
        raise PydanticCustomError(
            "not_a_schema", "must be a pydantic model or a JSON Schema"
        ) from None


#: A pydantic model or a JSON Schema as a dict; a model is kept as its schema.
JsonSchema = Annotated[Mapping[str, Any] | type[BaseModel], PlainValidator(_as_schema)]
#: How hard a model that reasons should think; each wire has its own words for it.
Effort = Literal["none", "minimal", "low", "medium", "high"]
#: What matters most when a model is chosen for a job; `penstock_client.scoring` has the weights.
Strategy = Literal["cost", "speed", "quality", "balanced"]
_JobT = TypeVar("_JobT", bound="JobFields")


class JobFields(BaseModel):
    """What every job has. Times are in seconds; `None` means the workspace's or provider's default.

    `configuration` names one of the workspace's, `None` its default one.
    `model` pins one `provider/model`; otherwise the workspace's routing for `capability` decides.
    With a `strategy` the best model of the catalogue by that measure goes before that routing.
    The same `idempotency_key` in one workspace always gives the first job. `deadline` ends a job
    that has not finished by then; `max_attempts` counts calls that failed, not waits.
    `lane` is interactive unless more than 500 jobs are submitted together: those are bulk.
    `max_queue_wait_s` bounds each wait for a start: a job that waited longer takes its next route,
    or fails. Jobs with the same `limit_tag` share the limits that are set for `tag:<limit_tag>`.
    `webhook` is an https:// address that is told of the job's end (`penstock_client.webhooks`).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    workspace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    capability: Tag
    configuration: Tag | None = None
    model: Tag | None = None
    strategy: Strategy | None = None

    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    max_attempts: int = Field(default=5, ge=1, le=50)
    deadline: datetime | None = None
    max_queue_wait_s: float | None = Field(default=None, gt=0, le=604_800)
    limit_tag: LimitTag | None = None
    lane: Literal["interactive", "bulk", "background"] = "interactive"
    idempotency_key: IdempotencyKey | None = None

    skill: Tag | None = None
    step: Tag | None = None
    agent: Tag | None = None
    task_type: Tag | None = None
    task_description: Description | None = None
    session_key: Tag | None = None
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=200)
    webhook: WebhookUrl | None = None

    @field_validator("deadline", mode="before")
    @classmethod
    def _is_a_time(cls, value: object) -> object:
        if isinstance(value, (int, float)):
            raise PydanticCustomError("number_deadline", "is a time with its zone, not a number")
        return value

    @field_validator("deadline")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise PydanticCustomError("naive_deadline", "needs a time zone")
        if value is not None and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            raise PydanticCustomError("far_deadline", "is out of bounds")
        return value


class _TextFields(JobFields):
    """What jobs share that ask a model for text: input, tools and sampling parameters."""

    prompt: Annotated[str, StringConstraints(min_length=1)] | None = None
    messages: tuple[Message, ...] | None = Field(default=None, min_length=1, max_length=10_000)
    system: str | None = None
    tools: tuple[Tool, ...] = Field(default=(), max_length=1000)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_schema: JsonSchema | None = Field(default=None, alias="schema")
    json_output: bool = Field(default=False, alias="json")

    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: tuple[str, ...] = Field(default=(), max_length=100)
    seed: Seed | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    effort: Effort | None = None
    cache_system: bool = False
    stream: bool = False

    @property
    def output_type(self) -> type[BaseModel] | None:
        """The pydantic model given as `schema=` in this process; it does not travel."""
        return getattr(self.output_schema, "model", None)

    @model_validator(mode="after")
    def _one_input(self) -> _TextFields:
        if self.prompt is not None and self.messages is not None:
            raise PydanticCustomError("two_inputs", "prompt and messages exclude each other")
        if not self.has_input:
            raise PydanticCustomError("no_input", "{needed}", {"needed": self.needs_input})
        if self.tool_choice is not None and not self.tools:
            raise PydanticCustomError("no_tools", "tool_choice needs tools")
        return self

    needs_input: ClassVar[str] = "needs prompt or messages"

    @property
    def has_input(self) -> bool:
        """Whether there is anything to send."""
        return self.prompt is not None or self.messages is not None


class Generate(_TextFields):
    """Write text, or JSON when `json` or `schema` is given."""

    type: Literal["generate"] = "generate"
    capability: Tag = "generate"


class Reason(_TextFields):
    """Think about a question; routed to models that reason well."""

    type: Literal["reason"] = "reason"
    capability: Tag = "reason"


class _OverText(_TextFields):
    """Jobs that work over a `text`; `prompt` then holds further instructions."""

    text: Annotated[str, StringConstraints(min_length=1)] | None = None

    needs_input: ClassVar[str] = "needs text, prompt or messages"

    @property
    def has_input(self) -> bool:
        """Whether there is anything to send."""
        return self.text is not None or super().has_input


class Extract(_OverText):
    """Fill `schema` (a pydantic model or a JSON Schema) from the input; validated locally."""

    type: Literal["extract"] = "extract"
    capability: Tag = "extract"

    @model_validator(mode="after")
    def _has_schema(self) -> Extract:
        if not self.output_schema:
            told = "schema: must be a pydantic model or a JSON Schema"
            raise PydanticCustomError("no_schema", told)
        return self


class Classify(_OverText):
    """Choose one of `labels`, or any number of them with `multi`."""

    type: Literal["classify"] = "classify"
    capability: Tag = "classify"
    labels: tuple[Label, ...] = Field(min_length=1, max_length=1000)
    multi: bool = False

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise PydanticCustomError("repeated_label", "labels must be distinct")
        return value


class Embed(JobFields):
    """Turn each text of `input` into a vector of floats."""

    type: Literal["embed"] = "embed"
    capability: Tag = "embed"
    input: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        min_length=1, max_length=2048
    )
    dimensions: int | None = Field(default=None, ge=1, le=1_000_000)

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


TextJob = Generate | Reason | Extract | Classify
Job = Annotated[TextJob | Embed, Field(discriminator="type")]
JobType = Literal["generate", "reason", "extract", "classify", "embed"]
JOB_TYPES: dict[JobType, type[Generate | Reason | Extract | Classify | Embed]] = {
    "generate": Generate,
    "reason": Reason,
    "extract": Extract,
    "classify": Classify,
    "embed": Embed,
}


class Envelope(BaseModel):
    """A job as it is stored: its version, and the routes that it may take, best first.

    `sealed_key` is the key that this job tests, in base64, in place of any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    routes: tuple[str, ...]
    job: Job
    sealed_key: str | None = None

    def encode(self) -> bytes:
        """The envelope as JSON bytes; fields that are `None` are left out."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)

    @classmethod
    def decode(cls, body: bytes) -> Envelope:
        """Read an envelope; raises ValueError for a version or shape that this code lacks."""
        return cls.model_validate_json(body)


def build_job(kind: type[_JobT], fields: Mapping[str, Any]) -> _JobT:
    """Validate `fields` as a job of type `kind`; raises InvalidJob with one line per mistake."""
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        raise invalid_job(error) from None


def invalid_job(error: ValidationError) -> InvalidJob:
    """A pydantic error as one line that names each field."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    inner = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    parts: list[str] = []
    for detail in details:
        if detail["type"] == "too_short" and detail["loc"][0] in inner:
            continue  # an element was refused, which is said already
        where = ".".join(str(p) for p in detail["loc"] if isinstance(p, int) or p.isidentifier())
        what = _PLAINER.get(detail["type"], detail["msg"])
        parts.append(f"{where}: {what}" if where else what)
    where = details[0]["loc"]
    return InvalidJob("; ".join(dict.fromkeys(parts)), field=str(where[0]) if where else None)


_PLAINER = {
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "missing": "is required",
    "extra_forbidden": "is not a field of this job",
}
