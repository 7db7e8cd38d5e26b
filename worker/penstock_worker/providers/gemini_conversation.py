"""The messages of a conversation as Gemini takes them: contents of the roles user and model.

The write half of `gemini` that deals with its rules for messages: results of calls in the order
of the calls, with their names, as objects, in a content of their own; thoughts and signatures
back where they came from; nothing empty.
Source: https://ai.google.dev/api/caching#Content (2026-11-21)
Source: https://ai.google.dev/gemini-api/docs/thought-signatures (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_schemas.messages import (
    AssistantMessage,
    Content,
    Message,
    ReasoningPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from penstock_worker.providers.gemini_media import check_inline_size, media_part
from penstock_worker.providers.gemini_models import (
    SIGNER,
    SKIP_SIGNATURE,
    profile_of,
    takes_call_ids,
)
from penstock_worker.providers.gemini_names import gemini_name
from penstock_worker.providers.gemini_parts import signed_span
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object, as_object, is_list
from penstock_worker.providers.requests import unsupported
from penstock_worker.providers.tool_wire import arguments_object

_OPENING = "(The conversation continues.)"
_NO_OUTPUT = "(no output)"


def gemini_contents(call: Call, messages: Iterable[Message], warnings: list[str]) -> list[Object]:
    """The wire's contents. Raises ProviderError(UNSUPPORTED) where nothing is left to say."""
    writer = _Writer(call, warnings)
    for message in messages:
        writer.add(message)
    writer.show()
    contents = writer.contents
    if not contents:
        raise unsupported(call, "messages", "there is nothing to say")
    if contents[0]["role"] == "model":
        contents.insert(0, {"role": "user", "parts": [{"text": _OPENING}]})
        warnings.append("messages: put a user message first, as this wire wants")
    check_inline_size(call, contents)
    return contents


@dataclass(slots=True)
class _Writer:
    """The contents so far, and the names of the calls in them by their IDs."""

    call: Call
    warnings: list[str]
    contents: list[Object] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    #: Images of results, for models that do not read them inside: they follow the results.
    shown: list[Object] = field(default_factory=list)

    def add(self, message: Message) -> None:
        if isinstance(message, ToolMessage):
            self._append("user", [self._result(message)], results=True)
            return
        self.show()
        role = "model" if isinstance(message, AssistantMessage) else "user"
        if parts := self._parts(message):
            self._append(role, parts)
        else:
            self.warnings.append(f"messages: dropped an empty {message.role} message")

    def show(self) -> None:
        """Put the images of results after them."""
        if self.shown:
            self._append("user", self.shown)
            self.shown = []

    def _append(self, role: str, parts: list[Object], *, results: bool = False) -> None:
        last = self.contents[-1] if self.contents else None
        if last and last["role"] == role and results == ("functionResponse" in last["parts"][-1]):
            last["parts"].extend(parts)
        else:
            self.contents.append({"role": role, "parts": parts})

    def _parts(self, message: Message) -> list[Object]:
        if isinstance(message, SystemMessage):
            text = message.content
            return [{"text": f"<system>\n{text}\n</system>"}] if text.strip() else []
        if isinstance(message, UserMessage):
            return self._content(message.content)
        if isinstance(message, AssistantMessage):
            return self._said(message)
        return []

    def _content(self, content: Content) -> list[Object]:
        parts = (TextPart(text=content),) if isinstance(content, str) else content
        return [
            {"text": part.text}
            if isinstance(part, TextPart)
            else media_part(self.call, part, self.warnings)
            for part in parts
            if not isinstance(part, TextPart) or part.text.strip()
        ]

    def _said(self, message: AssistantMessage) -> list[Object]:
        own = [part for part in message.reasoning if part.provider == SIGNER]
        if len(own) < len(message.reasoning):
            self.warnings.append("messages: left out reasoning of another provider")
        spans = [span for part in own if (span := signed_span(part))]
        thoughts = [_thought(part) for part in own if signed_span(part) is None]
        text = _only_text(message.content)
        said = self._content(message.content) if text is None else _signed(text, spans)
        calls = [self._call(made) for made in message.tool_calls]
        if calls and profile_of(self.call.model.wire_id).signs_calls:
            calls[0].setdefault("thoughtSignature", SKIP_SIGNATURE)
        return [*thoughts, *said, *calls] if said or calls else []

    def _call(self, made: ToolCall) -> Object:
        name = gemini_name(made.name)
        self.names[made.id] = name
        called: Object = {"name": name, "args": arguments_object(made)}
        if takes_call_ids(self.call):
            called["id"] = made.id
        signed = made.signature is not None and made.signed_by == SIGNER
        return {"functionCall": called} | ({"thoughtSignature": made.signature} if signed else {})

    def _result(self, message: ToolMessage) -> Object:
        parts = self._content(message.content)
        text = "\n".join(part["text"] for part in parts if "text" in part)
        media = [part for part in parts if "text" not in part]
        name = self.names.get(message.tool_call_id, "unknown")
        result: Object = {"name": name, "response": _response(text, is_error=message.is_error)}
        if takes_call_ids(self.call):
            result["id"] = message.tool_call_id
        if media and profile_of(self.call.model.wire_id).signs_calls:
            result["parts"] = media
        elif media:
            self.warnings.append(f"messages: put the images that {name} returned after its result")
            self.shown += [{"text": f"Returned by {name}:"}, *media]
        return {"functionResponse": result}


def _response(text: str, *, is_error: bool) -> Object:
    """The result as the object that the wire wants; an object stays as it is."""
    if is_error:
        return {"error": text if text.strip() else _NO_OUTPUT}
    try:
        decoded: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        decoded = None
    if found := as_object(decoded):
        return found
    return {"output": decoded if is_list(decoded) else text if text.strip() else _NO_OUTPUT}


def _only_text(content: Content) -> str | None:
    if isinstance(content, str):
        return content
    texts = [part.text for part in content if isinstance(part, TextPart)]
    return "".join(texts) if len(texts) == len(content) else None


def _thought(part: ReasoningPart) -> Object:
    said: Object = {"text": part.text, "thought": True}
    return said | ({"thoughtSignature": part.signature} if part.signature else {})


def _signed(text: str, spans: list[tuple[int, int, str]]) -> list[Object]:
    """The text in the pieces that were signed; a signature on what is no longer there is left out.

    Pieces are never merged: a signature vouches for its own only.
    """
    parts: list[Object] = []
    at = 0
    for start, end, signature in spans:
        if start < at or end > len(text):
            continue
        if text[at:start]:
            parts.append({"text": text[at:start]})
        parts.append({"text": text[start:end], "thoughtSignature": signature})
        at = end
    rest = text[at:]
    return [*parts, {"text": rest}] if rest.strip() else parts
