"""A conversation as the input items of the Responses wire: messages, calls, results, reasoning.

The message half of `openai_responses`. Every item stands for itself: nothing is stored at the
provider, so reasoning goes back whole, as its encrypted content. That a tool failed is said in
words: the `status` of an output speaks of the item, not of the tool.
Source: https://developers.openai.com/api/reference/resources/responses (2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock_schemas.messages import (
    AssistantMessage,
    Content,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from penstock_worker.providers.conversation import result_in_words
from penstock_worker.providers.image_types import image_type
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import unsupported
from penstock_worker.providers.tool_wire import IdRule, arguments_text, wire_call_id, wire_name

#: Source: https://developers.openai.com/api/reference/resources/responses (2026-11-21)
RESPONSES_IDS = IdRule(re.compile(r".{1,64}", re.DOTALL), 24)
#: Providers that know reasoning by its encrypted content alone.
_NO_PLAIN_REASONING = frozenset({"openai", "azure"})
_DOCUMENT_NAME = "document"


def input_items(call: Call, messages: Iterable[Message], warnings: list[str]) -> list[Object]:
    """The input items of a conversation; `warnings` gets what had to be left out.

    Raises ProviderError(UNSUPPORTED) for parts that the model cannot take.
    """
    sees = "vision" in call.model.capabilities
    items: list[Object] = []
    for message in messages:
        if not sees and _shows(message):
            raise unsupported(call, "messages", "this model takes no images and no documents")
        items.extend(_items(call, message, warnings))
    return items


def _shows(message: Message) -> bool:
    return not isinstance(message.content, str) and any(
        isinstance(part, ImagePart | DocumentPart) for part in message.content
    )


def _items(call: Call, message: Message, warnings: list[str]) -> Iterator[Object]:
    if isinstance(message, SystemMessage):
        if message.content.strip():
            yield {"role": "developer", "content": message.content}
    elif isinstance(message, UserMessage):
        if message.content:
            yield {"role": "user", "content": _content(call, message.content)}
    elif isinstance(message, ToolMessage):
        yield {
            "type": "function_call_output",
            "call_id": wire_call_id(message.tool_call_id, RESPONSES_IDS),
            "output": _content(call, result_in_words(message)),
        }
    else:
        yield from _assistant(call, message, warnings)


def _assistant(call: Call, message: AssistantMessage, warnings: list[str]) -> Iterator[Object]:
    """Reasoning, text, calls; reasoning that belongs to a later call goes right before that."""
    if _shows(message):
        raise unsupported(call, "messages", "an assistant message can hold text only")
    text = _text(message.content)
    thoughts = _replayable(call, message.reasoning, warnings)
    if thoughts and not text and not message.tool_calls:
        warnings.append("reasoning: not sent, nothing followed it")
        return
    marked = {made.signature for made in message.tool_calls if made.signed_by == call.provider.name}
    belated = {part.id: part for part in thoughts if part.id and part.id in marked}
    yield from (_reasoning(part) for part in thoughts if (part.id or "") not in belated)
    if text:
        yield {"role": "assistant", "content": text}
    for made in message.tool_calls:
        before = belated.pop(made.signature or "", None)
        if before is not None:
            yield _reasoning(before)
        yield _call(made)


def _replayable(
    call: Call, reasoning: Iterable[ReasoningPart], warnings: list[str]
) -> list[ReasoningPart]:
    """The reasoning that this provider signed and can read again."""
    mine = [part for part in reasoning if part.provider == call.provider.name]
    if len(mine) < len(tuple(reasoning)):
        warnings.append("reasoning: not sent, it belongs to another provider")
    if call.provider.name not in _NO_PLAIN_REASONING:
        return [part for part in mine if part.data or part.text]
    sealed = [part for part in mine if part.data]
    if len(sealed) < len(mine):
        warnings.append("reasoning: not sent where its encrypted content is missing")
    return sealed


def _reasoning(part: ReasoningPart) -> Object:
    item: Object = {"type": "reasoning", "summary": []}
    if part.id:
        item["id"] = part.id
    if part.data is None:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
        return item
    if part.text:
        item["summary"] = [{"type": "summary_text", "text": part.text}]
    return item | {"encrypted_content": part.data}


def _call(made: ToolCall) -> Object:
    return {
        "type": "function_call",
        "call_id": wire_call_id(made.id, RESPONSES_IDS),
        "name": wire_name(made.name),
        "arguments": arguments_text(made),
    }


def _text(content: Content) -> str:
    if isinstance(content, str):
        return content if content.strip() else ""
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _content(call: Call, content: Content) -> str | list[Object]:
    return content if isinstance(content, str) else [_part(call, part) for part in content]


def _part(call: Call, part: Part) -> Object:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        media_type = image_type(call, part)
        return {"type": "input_image", "image_url": part.url or _data_url(media_type, part.data)}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    subtype = part.media_type.rpartition("/")[2]
    name = part.title or f"{_DOCUMENT_NAME}.{subtype}"
    return {
        "type": "input_file",
        "filename": name,
        "file_data": _data_url(part.media_type, part.data),
    }


def _data_url(media_type: str | None, data: str | None) -> str:
    return f"data:{media_type};base64,{data}"
