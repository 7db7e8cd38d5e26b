"""A job's input as one conversation that every wire can take: the first step of `build`.

Leading system messages become one, the results of tool calls stand right after their calls, and
calls or results without their counterpart are made good. What a wire lacks beyond that (late
system messages, roles that must alternate) is the adapter's own matter.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from penstock_schemas.jobs import Classify, Extract, TextJob
from penstock_schemas.messages import (
    AssistantMessage,
    Content,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from penstock_worker.providers.protocol import Repair

NO_RESULT = "no result was recorded for this call"
#: What tells the model that a tool failed, on wires that have no field for it.
ERROR_MARK = "Error: "


@dataclass(frozen=True, slots=True)
class Conversation:
    """The leading instructions, the messages after them, and what was dropped on the way."""

    system: str
    messages: tuple[Message, ...]
    warnings: tuple[str, ...] = ()


def conversation_of(
    job: TextJob, words: Iterable[str] = (), repair: Repair | None = None
) -> Conversation:
    """The conversation of a job, with `words` (about the answer's form) after its instructions.

    `Extract` and `Classify` over a `text` put their `prompt` among the instructions, so that the
    user message is the text and nothing else. A `repair` follows as one more turn.
    """
    text = job.text if isinstance(job, Extract | Classify) else None
    instructions = [job.system or "", *words]
    if text is not None and job.prompt is not None:
        instructions.append(job.prompt)
    given = job.messages or ()
    late = next((i for i, m in enumerate(given) if not isinstance(m, SystemMessage)), len(given))
    instructions[1:1] = [m.content for m in given[:late] if isinstance(m, SystemMessage)]
    rest, warnings = _mended(given[late:]) if late < len(given) else ((), ())
    final = job.prompt if text is None else text
    if final is not None:
        rest = (*rest, UserMessage(content=final))
    if repair is not None:
        rest = (*rest, AssistantMessage(content=repair.answer), UserMessage(content=_mend(repair)))
    system = "\n\n".join(part for part in instructions if part.strip())
    return Conversation(system, rest, warnings)


def _mend(repair: Repair) -> str:
    return (
        f"That answer does not fit what was asked for: {repair.errors}\n"
        "Answer again, in full, with this put right."
    )


def has_images(messages: Iterable[Message]) -> bool:
    """Whether any message shows an image."""
    return any(isinstance(part, ImagePart) for message in messages for part in parts_of(message))


def parts_of(message: Message) -> tuple[Part, ...]:
    """The content of a message as parts; no part for no text."""
    if isinstance(message.content, str):
        return (TextPart(text=message.content),) if message.content else ()
    return message.content


def result_in_words(message: ToolMessage) -> Content:
    """A tool's result for a wire without `is_error`: a failure begins with `ERROR_MARK`.

    One that calls itself an error already is left as it is.
    """
    content = message.content
    if not message.is_error:
        return content
    if isinstance(content, str):
        return _marked(content)
    first, *rest = content or (TextPart(text=""),)
    if isinstance(first, TextPart):
        return (TextPart(text=_marked(first.text)), *rest)
    return (TextPart(text=_marked("")), *content)


def _marked(text: str) -> str:
    return text if text.lstrip().lower().startswith("error") else ERROR_MARK + text


def document_text(part: DocumentPart) -> str | None:
    """The text of a document that is nothing but text; None for any other."""
    if part.data is None or not part.media_type.startswith("text/"):
        return None
    try:
        return b64decode(part.data, validate=True).decode()
    except ValueError:
        return None


def written_out(part: DocumentPart) -> str | None:
    """A document of nothing but text, marked as what it is, for wires without documents."""
    text = document_text(part)
    title = f' title="{part.title}"' if part.title else ""
    return None if text is None else f"<document{title}>\n{text}\n</document>"


def _mended(messages: Iterable[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Every call followed by its result, wherever the caller had put it; orphans made good."""
    groups: list[tuple[Message, dict[str, ToolMessage]]] = []
    open_calls: dict[str, dict[str, ToolMessage]] = {}
    warnings: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            results = open_calls.pop(message.tool_call_id, None)
            if results is None:
                warnings.append(
                    f"messages: dropped the result of {message.tool_call_id!r}: no call"
                )
            else:
                results[message.tool_call_id] = message
            continue
        results = dict[str, ToolMessage]()
        groups.append((message, results))
        if isinstance(message, AssistantMessage):
            open_calls |= {call.id: results for call in message.tool_calls}
    mended: list[Message] = []
    for message, results in groups:
        mended.append(message)
        if isinstance(message, AssistantMessage):
            mended.extend(
                results.get(call.id)
                or ToolMessage(tool_call_id=call.id, content=NO_RESULT, is_error=True)
                for call in message.tool_calls
            )
    return tuple(mended), tuple(warnings)
