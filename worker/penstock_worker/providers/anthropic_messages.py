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
    Content,
    ImagePart,
    Message,
    SystemMessage,
    TextPart,
    ToolMessage,
)
from penstock_worker.providers.conversation import has_images
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import unsupported
from penstock_worker.providers.tool_wire import (
    ANTHROPIC_IDS,
    arguments_object,
    wire_call_id,
    wire_name,
)

_NO_OUTPUT = "(no output)"
_OPENING = "(The conversation continues.)"


def anthropic_messages(
    call: Call, messages: Iterable[Message], warnings: list[str]
) -> list[Object]:
    """The wire's messages. Raises ProviderError(UNSUPPORTED) where nothing is left to say."""
    turns: list[tuple[str, list[Object]]] = []
    for message in messages:
        role = "assistant" if isinstance(message, AssistantMessage) else "user"
        blocks = _blocks(call, message)
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


def _blocks(call: Call, message: Message) -> list[Object]:
    if isinstance(message, SystemMessage):
        text = message.content
        return [_text(f"<system>\n{text}\n</system>")] if text.strip() else []
    if isinstance(message, ToolMessage):
        result: Object = {
            "type": "tool_result",
            "tool_use_id": wire_call_id(message.tool_call_id, ANTHROPIC_IDS),
            "content": message.content if message.content.strip() else _NO_OUTPUT,
        }
        return [result | {"is_error": True} if message.is_error else result]
    said = _content(message.content)
    if not isinstance(message, AssistantMessage):
        return said
    if has_images((message,)):
        raise unsupported(call, "messages", "an assistant message cannot hold an image")
    return said + [
        {
            "type": "tool_use",
            "id": wire_call_id(made.id, ANTHROPIC_IDS),
            "name": wire_name(made.name),
            "input": arguments_object(made),
        }
        for made in message.tool_calls
    ]


def _content(content: Content) -> list[Object]:
    parts = (TextPart(text=content),) if isinstance(content, str) else content
    return [
        _image(part) if isinstance(part, ImagePart) else _text(part.text)
        for part in parts
        if isinstance(part, ImagePart) or part.text.strip()
    ]


def _image(part: ImagePart) -> Object:
    media_type, data = part.media_type, part.data
    if part.url is not None and part.url.startswith("data:"):
        head, _, data = part.url.removeprefix("data:").partition(",")
        media_type = head.partition(";")[0]
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
