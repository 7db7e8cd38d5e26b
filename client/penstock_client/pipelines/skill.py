"""`Skill`: named steps, declared once in Python or as JSON or YAML."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, cast

import orjson
from jsonschema.exceptions import ValidationError as SchemaMismatch
from jsonschema.validators import validator_for  # pyright: ignore[reportUnknownVariableType]
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic import Tag as Named

from penstock_client.json_schemas import schema_problem
from penstock_client.pipelines.plan import Plan, plan_of
from penstock_client.pipelines.steps import ComputeStep, LLMStep
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import JsonSchema

SkillName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
MOST_STEPS = 200
_MOST_ERRORS = 5


def _kind(given: Any) -> str:
    if isinstance(given, Mapping):
        fields = cast("Mapping[str, Any]", given)
        is_compute = fields.get("type", "compute" if "function" in fields else "") == "compute"
    else:
        is_compute = isinstance(given, ComputeStep)
    return "compute" if is_compute else "llm"


AnyStep = Annotated[
    Annotated[LLMStep, Named("llm")] | Annotated[ComputeStep, Named("compute")],
    Discriminator(_kind),
]


class Skill(BaseModel):
    """A pipeline: steps that ask models or compute, with what each needs of the others.

    `inputs` is a JSON Schema or a pydantic model that the inputs of every run must fit. `output` is
    a placeholder such as `{report.text}`, or JSON with placeholders; without it the output is that
    of the last step, or of the several last steps by their names. Raises InvalidJob that names the
    step and the field where the declaration does not hold together.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    name: SkillName
    description: Annotated[str, StringConstraints(max_length=2000)] | None = None
    inputs: JsonSchema | None = None
    steps: tuple[AnyStep, ...] = Field(min_length=1, max_length=MOST_STEPS)
    output: JsonValue = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.plan
        if self.inputs is not None:
            problem = schema_problem(cast("dict[str, Any]", self.inputs))
            if problem is not None:
                raise InvalidJob(f"inputs: is no JSON Schema{problem}", field="inputs")
        return self

    @classmethod
    def parse(cls, document: Any) -> Self:
        """A skill from its JSON; raises InvalidJob with each mistake's step and field."""
        if isinstance(document, Mapping):
            document = dict(cast("Mapping[str, Any]", document))
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise _invalid(error, document) from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A skill from a file of YAML or JSON; raises InvalidJob."""
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            raise InvalidJob(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidJob(f"{path} is not UTF-8 text") from None
        return cls.parse(read_document(text, origin=str(path)))

    @cached_property
    def plan(self) -> Plan:
        """How its runs go."""
        return plan_of(self.steps, self.output)

    @cached_property
    def digest(self) -> str:
        """A name for exactly what it says."""
        return hashlib.sha256(self.encode()).hexdigest()[:32]

    def place_of(self, step: str) -> int:
        """Where a step of that name stands; raises InvalidJob where there is none."""
        names = [each.name for each in self.steps]
        if step not in names:
            told = f"step: there is none of this name, only {', '.join(names)}"
            raise InvalidJob(told, field="step")
        return names.index(step)

    def definition(self) -> dict[str, Any]:
        """The skill as JSON, which `parse` reads."""
        document = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        document["steps"] = [
            {"name": step["name"], "type": step.get("type", "compute"), **step}
            for step in document["steps"]
        ]
        return document

    def encode(self) -> bytes:
        """The skill as JSON bytes."""
        return orjson.dumps(self.definition())

    def check_inputs(self, given: Any) -> bytes:
        """The inputs of a run as JSON bytes; raises InvalidJob that names what does not fit."""
        document: Any = given.model_dump(mode="json") if isinstance(given, BaseModel) else given
        try:
            body = orjson.dumps({} if document is None else document)
        except TypeError as error:
            raise InvalidJob(f"inputs: are not JSON: {error}", field="inputs") from None
        if self.inputs is not None:
            schema = cast("dict[str, Any]", self.inputs)
            validator: Any = validator_for(schema)(schema)
            errors: list[SchemaMismatch] = list(validator.iter_errors(orjson.loads(body)))
            if errors:
                told = "; ".join(_mismatch(error) for error in errors[:_MOST_ERRORS])
                raise InvalidJob(f"inputs of {self.name}: {told}", field="inputs")
        return body


def read_document(text: str, *, origin: str) -> Any:
    """What a text of YAML, of which JSON is a part, holds; raises InvalidJob that says where."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise InvalidJob(f"{origin}: is neither YAML nor JSON: {told}") from None


def _mismatch(error: SchemaMismatch) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    return f"{path}: {error.message}" if path else error.message


def _invalid(error: ValidationError, document: Any) -> InvalidJob:
    """Each mistake by the name of its step and its field."""
    told: list[str] = []
    fields: list[str] = []
    details = error.errors(include_url=False, include_context=False, include_input=False)
    for detail in details:
        if detail["type"] == "too_short" and len(details) > 1:
            continue  # an element was refused, which is said already
        where = [part for part in detail["loc"] if part not in {"llm", "compute"}]
        path = [str(part) for part in where]
        if len(where) > 1 and where[0] == "steps" and isinstance(where[1], int):
            path = [f"step {_name_of(document, where[1])}", *path[2:]]
        fields.append(str(where[-1]) if where else "skill")
        message = _PLAINER.get(detail["type"], detail["msg"])
        told.append(": ".join([*path, message]))
    return InvalidJob("; ".join(dict.fromkeys(told)), field=fields[0])


def _name_of(document: Any, at: int) -> str:
    try:
        step = document["steps"][at]
        name = step["name"] if isinstance(step, Mapping) else step.name  # pyright: ignore[reportUnknownVariableType]
    except (KeyError, IndexError, TypeError, AttributeError):
        name = at + 1
    return str(name)[:100]  # pyright: ignore[reportUnknownArgumentType]


_PLAINER = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this",
    "model_type": "must be an object",
    "too_short": "must not be empty",
}
