"""The messages of a conversation as Anthropic takes them: alternating roles of content blocks.

The write half of `anthropic` that deals with its rules for messages: all results of parallel
calls in one user message and before its text, no empty text, no system role in the middle, no
white space at the end of a prefill.
Source: https://platform.claude.com/docs/en/api/messages (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_schemas.messages import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    SystemMessage,
    TextPart,
    ToolMessage,
)
from penstock_worker.providers.anthropic_thinking import own_reasoning
from penstock_worker.providers.conversation import document_text, parts_of
from penstock_worker.providers.image_types import image_type
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import unsupported
from penstock_worker.providers.tool_wire import (
    ANTHROPIC_IDS,
    arguments_object,
    wire_call_id,
    wire_name,
)

_PDF = "application/pdf"
_NO_OUTPUT = "(no output)"
_OPENING = "(The conversation continues.)"


def anthropic_messages(
    call: Call, messages: Iterable[Message], warnings: list[str]
) -> list[Object]:
    """The wire's messages. Raises ProviderError(UNSUPPORTED) where nothing is left to say."""
    turns: list[tuple[str, list[Object]]] = []
    for message in messages:
        role = "assistant" if isinstance(message, AssistantMessage) else "user"
        blocks = _blocks(call, message, warnings)
        if not blocks:
            warnings.append(f"messages: dropped an empty {message.role} message")
        elif turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    _trim_prefill(turns)
    if not turns:
        raise unsupported(call, "messages", "there is nothing to say")
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", [_text(_OPENING)]))
        warnings.append("messages: put a user message first, as this wire wants")
    return [{"role": role, "content": _plain(blocks)} for role, blocks in turns]


def _blocks(call: Call, message: Message, warnings: list[str]) -> list[Object]:
    if isinstance(message, SystemMessage):
        text = message.content
        return [_text(f"<system>\n{text}\n</system>")] if text.strip() else []
    if isinstance(message, ToolMessage):
        content = _content(call, message)
        result: Object = {
            "type": "tool_result",
            "tool_use_id": wire_call_id(message.tool_call_id, ANTHROPIC_IDS),
            "content": _plain(content) if content else _NO_OUTPUT,
        }
        return [result | {"is_error": True} if message.is_error else result]
    said = _content(call, message)
    if not isinstance(message, AssistantMessage):
        return said
    if any(block["type"] != "text" for block in said):
        raise unsupported(call, "messages", "an assistant message cannot hold an image or document")
    made: list[Object] = [
        {
            "type": "tool_use",
            "id": wire_call_id(made.id, ANTHROPIC_IDS),
            "name": wire_name(made.name),
            "input": arguments_object(made),
        }
        for made in message.tool_calls
    ]
    # Thinking alone is no message: it stands before what was said.
    return [*_thoughts(call, message, warnings), *said, *made] if said or made else []


def _thoughts(call: Call, message: AssistantMessage, warnings: list[str]) -> list[Object]:
    """Earlier thinking, word for word; that of others, or without signature, is refused here."""
    own = own_reasoning(call, message)
    if len(own) < len(message.reasoning):
        warnings.append("messages: left out earlier reasoning that this provider cannot read")
    return [
        {"type": "redacted_thinking", "data": part.data}
        if part.data
        else {"type": "thinking", "thinking": part.text, "signature": part.signature}
        for part in own
    ]


def _content(call: Call, message: Message) -> list[Object]:
    return [
        _block(call, part)
        for part in parts_of(message)
        if not isinstance(part, TextPart) or part.text.strip()
    ]


def _block(call: Call, part: Part) -> Object:
    if isinstance(part, TextPart):
        return _text(part.text)
    return _image(call, part) if isinstance(part, ImagePart) else _document(call, part)


def _document(call: Call, part: DocumentPart) -> Object:
    titled: Object = {"title": part.title} if part.title else {}
    if part.data is None:
        return {"type": "document", "source": {"type": "url", "url": part.url}, **titled}
    if part.media_type == _PDF:
        source = {"type": "base64", "media_type": _PDF, "data": part.data}
        return {"type": "document", "source": source, **titled}
    if (text := document_text(part)) is None:
        raise unsupported(call, "messages", "this wire takes documents as PDF or plain text")
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source, **titled}


def _image(call: Call, part: ImagePart) -> Object:
    media_type, data = image_type(call, part), part.data
    if part.url is not None and part.url.startswith("data:"):
        data = part.url.partition(",")[2]
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _text(text: str) -> Object:
    return {"type": "text", "text": text}


def _trim_prefill(turns: list[tuple[str, list[Object]]]) -> None:
    """The last words of a final assistant message must not end in white space."""
    if turns and turns[-1][0] == "assistant" and turns[-1][1][-1]["type"] == "text":
        last = turns[-1][1][-1]
        last["text"] = last["text"].rstrip()


def _plain(blocks: list[Object]) -> str | list[Object]:
    """A single text goes as a string: shorter, and the same to the provider."""
    only = blocks[0] if len(blocks) == 1 else {}
    return only["text"] if only.get("type") == "text" else blocks
