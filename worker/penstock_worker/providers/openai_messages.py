"""The messages of a conversation as Chat Completions takes them.

The write half of `openai_chat` that deals with messages: tool results are text on this wire, so
what a tool shows beside its text follows in a user message, and a failure says in words that it is
one; documents are file parts where the provider has them, and text where they are text.
Source: https://developers.openai.com/api/reference/resources/chat (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_schemas.messages import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    Part,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from penstock_worker.providers.conversation import (
    Conversation,
    has_images,
    parts_of,
    result_in_words,
    written_out,
)
from penstock_worker.providers.image_types import image_type
from penstock_worker.providers.openai_reasoning import replayed
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import unsupported
from penstock_worker.providers.tool_wire import (
    MISTRAL_IDS,
    OPENAI_IDS,
    IdRule,
    arguments_text,
    wire_call_id,
    wire_name,
)

_ID_RULES = {"mistral": MISTRAL_IDS}
#: Providers that take documents as file parts; the value says whether by URL too.
#: Source: https://openrouter.ai/docs/features/multimodal/pdfs (2026-11-21)
_TAKES_FILES = {"openai": False, "azure": False, "openrouter": True}
_SHOWN_BELOW = "(what this tool shows follows in the next user message)"
_NO_NAME = "document.pdf"


def chat_messages(call: Call, conversation: Conversation, warnings: list[str]) -> list[Object]:
    """The wire's messages. Raises ProviderError(UNSUPPORTED) for what it has no place for."""
    if "vision" not in call.model.capabilities and has_images(conversation.messages):
        raise unsupported(call, "messages", "this model takes no images")
    rule = _ID_RULES.get(call.provider.name, OPENAI_IDS)
    found: list[Object] = []
    if conversation.system:
        found.append({"role": "system", "content": conversation.system})
    shown: list[Part] = []
    for message in conversation.messages:
        if isinstance(message, ToolMessage):
            found.append(_result(message, rule, shown))
            continue
        _flush(call, shown, found)
        if isinstance(message, SystemMessage):
            found.append({"role": "system", "content": message.content})
        elif isinstance(message, UserMessage):
            found.append({"role": "user", "content": _content(call, message.content)})
        elif said := _said(call, message, rule, warnings):
            found.append(said)
    _flush(call, shown, found)
    if not found:
        raise unsupported(call, "messages", "there is nothing to say")
    return found


def _result(message: ToolMessage, rule: IdRule, shown: list[Part]) -> Object:
    """The text of a tool's result; what is no text goes to `shown`."""
    content = result_in_words(message)
    parts = (TextPart(text=content),) if isinstance(content, str) else content
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    pictures = [part for part in parts if not isinstance(part, TextPart)]
    shown += pictures
    return {
        "role": "tool",
        "tool_call_id": wire_call_id(message.tool_call_id, rule),
        "content": "\n".join([*texts, _SHOWN_BELOW] if pictures else texts),
    }


def _flush(call: Call, shown: list[Part], found: list[Object]) -> None:
    if shown:
        found.append({"role": "user", "content": _content(call, tuple(shown))})
        shown.clear()


def _said(
    call: Call, message: AssistantMessage, rule: IdRule, warnings: list[str]
) -> Object | None:
    """An earlier answer; None for one that says nothing."""
    if any(not isinstance(part, TextPart) for part in parts_of(message)):
        raise unsupported(call, "messages", "an assistant message cannot hold an image or document")
    said: Object = {"role": "assistant", "content": _content(call, message.content) or None}
    if message.tool_calls:
        said["tool_calls"] = [_call(call, made, rule) for made in message.tool_calls]
    if not (message.tool_calls or said["content"]):
        return None
    return said | replayed(call, message, warnings)


def _call(call: Call, made: ToolCall, rule: IdRule) -> Object:
    written: Object = {
        "id": wire_call_id(made.id, rule),
        "type": "function",
        "function": {"name": wire_name(made.name), "arguments": arguments_text(made)},
    }
    if made.signature and made.signed_by == call.provider.name:
        written["extra_content"] = {"google": {"thought_signature": made.signature}}
    return written


def _content(call: Call, content: str | Iterable[Part]) -> str | list[Object]:
    return content if isinstance(content, str) else [_part(call, part) for part in content]


def _part(call: Call, part: Part) -> Object:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        media_type = image_type(call, part)
        url = part.url or f"data:{media_type};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    return _document(call, part)


def _document(call: Call, part: DocumentPart) -> Object:
    if text := written_out(part):
        return {"type": "text", "text": text}
    takes_urls = _TAKES_FILES.get(call.provider.name)
    if takes_urls is None:
        raise unsupported(call, "messages", "this provider takes no documents but plain text")
    if part.data is None and not takes_urls:
        raise unsupported(call, "messages", "this provider takes documents as data, not by URL")
    data = part.url or f"data:{part.media_type};base64,{part.data}"
    return {"type": "file", "file": {"filename": part.title or _NO_NAME, "file_data": data}}
