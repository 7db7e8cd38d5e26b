"""Pure: what a job needs of a model, and what a model lacks for it. Read by `routing`.

Two measures. What a model is *sure* to lack refuses a job before it is queued, whoever chose the
model. What it *probably* lacks only keeps a strategy from choosing it: who names a model means it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock_schemas.catalog import Ability, Catalog, Model, ModelKind
from penstock_schemas.jobs import Classify, Embed, Extract, Reason, TextJob
from penstock_schemas.messages import AssistantMessage, Content, ImagePart, Message, TextPart

#: The answer's length where neither the job nor the routing says, in tokens.
DEFAULT_OUTPUT_TOKENS = 1024
CHARS_PER_TOKEN = 4
#: What an image or a document counts for, of the order of what providers bill for a picture.
_TOKENS_PER_ATTACHMENT = 1000
#: An input of more than so many windows is sure not to fit, however few tokens its text makes.
_SURELY_TOO_LONG = 2

#: What is said of a model without an ability.
_LACKING: dict[Ability, str] = {
    "tools": "calls no tools",
    "vision": "takes no images",
    "schema": "cannot be held to a schema by its provider",
    "json": "has no JSON mode",
    "reasoning": "does not reason",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a job needs. Tokens are estimates from characters; images count, their bytes do not.

    `required` are the abilities without which the call is sure to fail, `wanted` those without
    which it may go badly. `window_tokens` has to fit into the window at once: the longest text of
    embeddings, the whole input otherwise. `max_tokens` and `dimensions` are what the job asks for.
    """

    kind: ModelKind
    required: frozenset[Ability] = frozenset()
    wanted: frozenset[Ability] = frozenset()
    input_tokens: int = 1
    window_tokens: int = 1
    output_tokens: int = 0
    max_tokens: int | None = None
    dimensions: int | None = None


#: Text of fewer characters than this fits into any window.
_SHORT = 4_000
_SHORT_TEXT = Needs(kind="chat")


def needs_of(job: TextJob | Embed, catalog: Catalog, *, input_tokens: int | None = None) -> Needs:
    """What a job needs; `input_tokens` goes before the estimate where it is given."""
    if isinstance(job, Embed):
        return Needs(
            kind="embedding",
            input_tokens=input_tokens or _tokens(job.input),
            window_tokens=_of_chars(max(map(len, job.input))),
            dimensions=job.dimensions,
        )
    counted = input_tokens or _tokens(_texts(job)) + _attached_tokens(job.messages or ())
    return Needs(
        kind="chat",
        required=_required(job),
        wanted=frozenset(_wanted(job)),
        input_tokens=counted,
        window_tokens=counted,
        output_tokens=output_tokens_of(job, catalog),
        max_tokens=job.max_tokens,
    )


def least_needs_of(job: TextJob | Embed) -> Needs:
    """As much of what a job needs as `sure_lacks` asks for, but quickly; tools are not counted."""
    if isinstance(job, Embed):
        return Needs(kind="embedding", window_tokens=_of_chars(max(map(len, job.input))))
    text: str | None = getattr(job, "text", None)
    if job.messages is None and not job.tools:
        size = len(job.prompt or "") + len(job.system or "") + len(text or "")
        return _SHORT_TEXT if size < _SHORT else Needs(kind="chat", window_tokens=_of_chars(size))
    return Needs(kind="chat", required=_required(job), window_tokens=_tokens(_texts_given(job)))


def output_tokens_of(job: TextJob, catalog: Catalog) -> int:
    """The tokens that the answer may have at most: the job's own word, else the routing's."""
    default = catalog.capabilities.get(job.capability) or catalog.capabilities[job.type]
    return job.max_tokens or default.max_output_tokens or DEFAULT_OUTPUT_TOKENS


def sure_lacks(needs: Needs, model: Model) -> Iterator[str]:
    """Why a call of this model is sure to fail, or not wanted; nothing if it may succeed."""
    if model.active is False:
        yield "is switched off"
        return
    if model.known and model.kind != needs.kind:
        yield "makes embeddings only" if model.kind == "embedding" else "makes no embeddings"
        return
    for ability in sorted(needs.required - model.capabilities):
        yield _LACKING[ability]
    window = model.context_window
    if window is not None and needs.window_tokens > _SURELY_TOO_LONG * window:
        yield f"has a window of {window:,} tokens for an input of about {needs.window_tokens:,}"


def lacks(needs: Needs, model: Model) -> Iterator[str]:
    """Why a strategy should not choose this model for the job; nothing if it can do it."""
    sure = tuple(sure_lacks(needs, model))
    yield from sure
    if sure:
        return
    for ability in sorted(needs.wanted - model.capabilities):
        yield _LACKING[ability]
    window, room = model.context_window, room_tokens(needs, model)
    if window is not None and room is not None and needs.window_tokens > room:
        expected = needs.window_tokens + needs.output_tokens
        yield f"has a window of {window:,} tokens for about {expected:,} with the answer"
    longest = model.max_output_tokens
    if needs.max_tokens is not None and longest is not None and needs.max_tokens > longest:
        yield f"answers with {longest:,} tokens at most"
    if needs.dimensions is not None and needs.dimensions > (model.dimensions or needs.dimensions):
        yield f"makes vectors of {model.dimensions} dimensions at most"


def room_tokens(needs: Needs, model: Model) -> int | None:
    """The input tokens for which the window has room beside the answer; None if unknown."""
    return None if model.context_window is None else model.context_window - needs.output_tokens


def _wanted(job: TextJob) -> Iterator[Ability]:
    if isinstance(job, Extract) or job.output_schema:
        yield "schema"
    if job.json_output or isinstance(job, Classify):
        yield "json"
    if isinstance(job, Reason):
        yield "reasoning"


def _required(job: TextJob) -> frozenset[Ability]:
    required: set[Ability] = {"tools"} if job.tools else set()
    if any(isinstance(part, ImagePart) for part in _parts(job.messages or ())):
        required.add("vision")
    return frozenset(required)


def _of_chars(size: int) -> int:
    return max(1, size // CHARS_PER_TOKEN)


def _tokens(texts: Iterable[str]) -> int:
    return _of_chars(sum(map(len, texts)))


def _texts(job: TextJob) -> Iterator[str]:
    """Everything that a model reads as text."""
    yield from _texts_given(job)
    if isinstance(job, Classify):
        yield from job.labels
    if job.output_schema:
        yield json.dumps(job.output_schema)
    for tool in job.tools:
        yield tool.description
        yield json.dumps(tool.parameters)


def _texts_given(job: TextJob) -> Iterator[str]:
    """The input: what may be long."""
    yield job.prompt or ""
    yield job.system or ""
    yield getattr(job, "text", None) or ""
    for message in job.messages or ():
        yield from _texts_of(message)


def _texts_of(message: Message) -> Iterator[str]:
    yield from (part.text for part in _parts_of(message.content) if isinstance(part, TextPart))
    if isinstance(message.content, str):
        yield message.content
    if isinstance(message, AssistantMessage):
        yield from (call.raw_arguments or json.dumps(call.arguments) for call in message.tool_calls)


def _attached_tokens(messages: Iterable[Message]) -> int:
    attached = sum(not isinstance(part, TextPart) for part in _parts(messages))
    return attached * _TOKENS_PER_ATTACHMENT


def _parts(messages: Iterable[Message]) -> Iterator[object]:
    for message in messages:
        yield from _parts_of(message.content)


def _parts_of(content: Content) -> Iterator[object]:
    if not isinstance(content, str):
        yield from content
