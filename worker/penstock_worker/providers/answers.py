"""From what a wire said to an `Answer`: the rules that hold for every provider.

The last step of `parse`: an adapter reads its own format into `Said`, and this decides what it
amounts to. An answer that was paid but cannot be used raises `InvalidAnswer` with its usage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Embed, Extract
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.conversation import parts_of
from penstock_worker.providers.failures import InvalidAnswer, redact, shorten
from penstock_worker.providers.json_text import Mismatch
from penstock_worker.providers.protocol import Answer, AnyJob, Call
from penstock_worker.providers.reading import Object, is_object
from penstock_worker.providers.structured import BadSchema, shape_of
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, arguments_text

_CHARS_PER_TOKEN = 4

#: Finish reasons that mean that there is no answer to use.
_NO_ANSWER = {
    FinishReason.REFUSAL: (ErrorKind.REFUSAL, "the model refused"),
    FinishReason.CONTENT_FILTER: (ErrorKind.CONTENT_FILTER, "stopped by the content filter"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a provider answered, read but not yet judged. `usage` is None where it gave none."""

    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage | None
    finish: FinishReason
    refusal: str = ""
    reasoning: tuple[ReasoningPart, ...] = ()

    @property
    def everything(self) -> str:
        """All that was said in words, for an estimate of what it cost."""
        thoughts = (part.text for part in self.reasoning)
        return "".join((*thoughts, self.text, *map(arguments_text, self.calls)))


def answer_of(call: Call, said: Said) -> Answer:
    """The answer, its structured output checked.

    Raises InvalidAnswer with REFUSAL or CONTENT_FILTER, with LENGTH or INVALID_OUTPUT where a
    structured answer was cut off or does not fit.
    """
    usage = said.usage or estimated_usage(call.job, said.everything)
    if said.refusal or said.finish in _NO_ANSWER:
        kind, meaning = _NO_ANSWER.get(said.finish, _NO_ANSWER[FinishReason.REFUSAL])
        told = f"{meaning}: {said.refusal}" if said.refusal else meaning
        raise _invalid(call, kind, told, usage, said.refusal or said.text)
    text, calls, finish = said.text, said.calls, said.finish
    if calls:
        text, calls = _without_output_tool(text, calls)
        if finish in (FinishReason.STOP, FinishReason.UNKNOWN, FinishReason.TOOL_CALLS):
            finish = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    if calls:
        return Answer(
            text=text or None,
            tool_calls=calls,
            reasoning=said.reasoning,
            usage=usage,
            finish_reason=finish,
        )
    output, warnings = _output(call, text, finish, usage)
    return Answer(
        text=text,
        output=output,
        reasoning=said.reasoning,
        usage=usage,
        finish_reason=finish,
        warnings=warnings,
    )


def decoded(call: Call, response: httpx.Response) -> Object:
    """The JSON object of a response. Raises ProviderError(MALFORMED_ANSWER) for anything else."""
    try:
        body: object = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise malformed(call, response, "its body is not JSON") from None
    if is_object(body):
        return body
    raise malformed(call, response, "its body is not a JSON object")


def malformed(call: Call, response: httpx.Response, what: str) -> ProviderError:
    """A success that cannot be read. It may have been paid."""
    return ProviderError(
        ErrorKind.MALFORMED_ANSWER,
        f"{call.provider.name} answered HTTP {response.status_code}, but {what}",
        provider=call.provider.name,
        status=response.status_code,
        possibly_billed=True,
    )


def estimated_usage(job: AnyJob, text: str) -> Usage:
    """Usage counted from characters, marked as estimated."""
    return Usage(
        input_tokens=_tokens(_input_chars(job)), output_tokens=_tokens(len(text)), estimated=True
    )


def _without_output_tool(
    text: str, calls: tuple[ToolCall, ...]
) -> tuple[str, tuple[ToolCall, ...]]:
    """A structured answer that came through the forced tool, as the text that it stands for."""
    others = tuple(call for call in calls if call.name != OUTPUT_TOOL)
    if len(others) == len(calls):
        return text, calls
    recorded = next(call for call in calls if call.name == OUTPUT_TOOL)
    return (text, others) if others else (arguments_text(recorded), ())


def _output(
    call: Call, text: str, finish: FinishReason, usage: Usage
) -> tuple[Any, tuple[str, ...]]:
    try:
        shape = shape_of(call.job)
        if shape is None:
            return None, ()
        if finish is FinishReason.LENGTH:
            told = "the structured answer was cut off; a larger max_tokens may let it finish"
            raise _invalid(call, ErrorKind.LENGTH, told, usage, text)
        output, repaired = shape.read(text)
    except (Mismatch, BadSchema) as error:
        raise _invalid(call, ErrorKind.INVALID_OUTPUT, str(error), usage, text) from None
    return output, ("answer: its JSON was broken and has been repaired",) if repaired else ()


def _invalid(call: Call, kind: ErrorKind, told: str, usage: Usage, text: str) -> InvalidAnswer:
    message = shorten(redact(told, call.api_key))
    return InvalidAnswer(kind, message, provider=call.provider.name, usage=usage, text=text)


def _tokens(chars: int) -> int:
    return -(-chars // _CHARS_PER_TOKEN)


def _input_chars(job: AnyJob) -> int:
    if isinstance(job, Embed):
        return sum(map(len, job.input))
    texts = [job.prompt, job.system, job.text if isinstance(job, Extract | Classify) else None]
    counted = sum(len(text) for text in texts if text)
    for message in job.messages or ():
        counted += sum(len(part.text) for part in parts_of(message) if part.type == "text")
    return counted
