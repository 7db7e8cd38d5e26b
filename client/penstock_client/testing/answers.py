"""Pure, but for the functions that a test gives: which answer a job of `FakePenstock` gets."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import orjson
from jsonschema.exceptions import ValidationError as SchemaMismatch
from jsonschema.validators import validator_for  # pyright: ignore[reportUnknownVariableType]
from pydantic import BaseModel

from penstock_client.routing import AnyJob
from penstock_client.testing.minimal import minimal_value
from penstock_schemas.errors import JobFailed, ProviderError
from penstock_schemas.jobs import Classify, Embed, Generate, Reason
from penstock_schemas.messages import ToolCall, UserMessage
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind

#: What a test may answer a job with. `None` is the simulated answer; a text is the label of a
#: `Classify`, the JSON of a job with a schema, and the text of all others. Tool calls stand for
#: themselves, a list of numbers for the vector of each input of an `Embed`. An `ErrorKind` or an
#: exception fails the job.
Answer = (
    str
    | BaseModel
    | Mapping[str, Any]
    | Sequence[Any]
    | ToolCall
    | Result
    | ErrorKind
    | Exception
    | None
)
AnswerFunction = Callable[[AnyJob], Answer | Awaitable[Answer]]
#: Answers of all jobs: by a function, or by step, skill or capability, the first that a job has.
Answers = AnswerFunction | Mapping[str, Answer | AnswerFunction]
Fails = ErrorKind | Mapping[str, ErrorKind]

#: The length of simulated vectors, where a job asks for none.
DIMENSIONS = 8
_MOST_SHOWN = 200
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer as its job takes it; `text` is what was said in words, None of an embedding."""

    text: str | None = None
    output: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = field(default=())


class NoAnswer(Exception):
    """A job gets no answer; `info` says why."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


async def answer_of(job: AnyJob, answers: Answers | None, fails: Fails | None) -> Said | Result:
    """What a test answers a job with; raises NoAnswer."""
    kind = _of_job(job, fails) if isinstance(fails, Mapping) else fails
    if kind is not None:
        raise NoAnswer(error_info(kind))
    given: Any = answers
    if isinstance(given, Mapping):
        given = _of_job(job, cast("Mapping[str, Any]", given))
    try:
        if callable(given) and not isinstance(given, BaseModel):
            given = given(job)
            if inspect.isawaitable(given):
                given = await given
    except Exception as error:
        raise NoAnswer(error_info(error)) from error
    if isinstance(given, (ErrorKind, Exception)):
        raise NoAnswer(error_info(given))
    return given if isinstance(given, Result) else said(job, given)


def error_info(reason: ErrorKind | Exception) -> ErrorInfo:
    """Why a job fails for this reason; an exception that names no kind is an internal error."""
    if isinstance(reason, ErrorKind):
        return ErrorInfo(kind=reason, message=f"simulated: {reason}")
    if isinstance(reason, JobFailed) and reason.result.error is not None:
        return reason.result.error
    if isinstance(reason, ProviderError):
        return ErrorInfo(
            kind=reason.kind,
            message=reason.message,
            provider=reason.provider,
            status=reason.status,
            code=reason.code,
            retry_after_s=reason.retry_after_s,
        )
    return ErrorInfo(kind=ErrorKind.INTERNAL, message=f"{type(reason).__name__}: {reason}")


def said(job: AnyJob, given: Any) -> Said:
    """An answer in the shape that its job asks for; raises NoAnswer where it has another."""
    if given is None:
        given = _simulated(job)
    if isinstance(given, ToolCall):
        given = [given]
    if isinstance(given, BaseModel):
        given = given.model_dump(mode="json")
    if isinstance(job, Embed):
        return _vectors(job, given)
    if isinstance(given, (list, tuple)) and given and _all_calls(cast("Sequence[Any]", given)):
        return Said(tool_calls=tuple(cast("Sequence[ToolCall]", given)))
    if isinstance(job, Classify):
        return _labels(job, given)
    if job.output_schema or job.json_output:
        value = _parsed(given) if isinstance(given, str) else cast("Any", given)
        if job.output_schema:
            _check(value, cast("Mapping[str, Any]", job.output_schema))
        return Said(text=_written(value), output=value)
    return Said(text=given if isinstance(given, str) else _written(given))


def prompt_of(job: AnyJob) -> str:
    """What a job asks, shortened: the last thing that a user says."""
    if isinstance(job, Embed):
        return job.input[0][:_MOST_SHOWN]
    text = None if isinstance(job, (Generate, Reason)) else job.text
    asked = text or job.prompt
    for message in job.messages or ():
        if isinstance(message, UserMessage) and isinstance(message.content, str):
            asked = message.content
    return (asked or "")[:_MOST_SHOWN]


def _of_job(job: AnyJob, by_name: Mapping[str, _T]) -> _T | None:
    for name in (job.step, job.skill, job.capability):
        if name is not None and name in by_name:
            return by_name[name]
    return None


def _simulated(job: AnyJob) -> Any:
    if isinstance(job, Embed):
        size = job.dimensions or DIMENSIONS
        return [_vector(text, size) for text in job.input]
    if isinstance(job, Classify):
        return [job.labels[0]] if job.multi else job.labels[0]
    if job.output_schema:
        return minimal_value(cast("Mapping[str, Any]", job.output_schema))
    answer = f"simulated answer to: {prompt_of(job)}"
    return {"answer": answer} if job.json_output else answer


def _vector(text: str, size: int) -> tuple[float, ...]:
    """A vector of length 1 along one axis, the same for the same text."""
    axis = sum(text.encode()) % size
    return tuple(1.0 if at == axis else 0.0 for at in range(size))


def _vectors(job: Embed, given: Any) -> Said:
    rows: Any = None if isinstance(given, str) else given
    try:
        if _is_number(rows[0]):
            rows = [rows] * len(job.input)
        vectors = tuple(tuple(float(each) for each in row) for row in rows)
    except (TypeError, ValueError, LookupError):
        raise _unfit(f"{given!r:.200} is no vector, nor a list of vectors") from None
    if len(vectors) != len(job.input):
        raise _unfit(f"{len(vectors)} vectors answer {len(job.input)} inputs")
    return Said(vectors=vectors)


def _labels(job: Classify, given: Any) -> Said:
    found: Any = [given] if isinstance(given, str) else given
    if not isinstance(found, (list, tuple)):
        raise _unfit(f"{given!r:.200} is no label")
    chosen = list(cast("Sequence[Any]", found))
    others = [each for each in chosen if each not in job.labels]
    if others or (len(chosen) != 1 and not job.multi):
        listed = ", ".join(job.labels)
        raise _unfit(f"{given!r:.200} is not {'a list' if job.multi else 'one'} of {listed}")
    output: Any = chosen if job.multi else chosen[0]
    return Said(text=_written(output) if job.multi else output, output=output)


def _check(value: Any, schema: Mapping[str, Any]) -> None:
    validator: Any = validator_for(schema)(schema)
    errors: list[SchemaMismatch] = list(validator.iter_errors(value))
    if errors:
        told = "; ".join(f"{error.json_path}: {error.message}" for error in errors[:5])
        raise _unfit(f"the answer does not fit the schema: {told}")


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _unfit(f"the answer is not JSON: {error}") from None


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise _unfit(f"the answer is not JSON: {error}") from None


def _unfit(told: str) -> NoAnswer:
    return NoAnswer(ErrorInfo(kind=ErrorKind.INVALID_OUTPUT, message=told))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _all_calls(given: Sequence[Any]) -> bool:
    return all(isinstance(each, ToolCall) for each in given)
