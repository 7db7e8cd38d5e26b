"""A conversation with tools as each wire answers it, and what a request of each wire says of it.

`FIRST` are simulated answers: reasoning with the provider's own mark, text, two parallel calls.
`read` takes a request apart into the same terms for every wire, in the order in which they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from penstock_schemas.catalog import Wire
from tests.providers import responses_wire
from tests.providers.gemini_calls import function_call
from tests.providers.gemini_calls import said as gemini_said
from tests.providers.gemini_calls import text as gemini_text
from tests.providers.wire_calls import chat, claude, text_block

TEXT = "I look at both."
THOUGHT = "Two cities, two calls."
CITIES = ("Oslo", "Rome")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class First:
    """The first answer of a wire: who gave it, its body, and the marks that only they may see."""

    model: str
    body: dict[str, Any]
    marks: tuple[str, ...]


def _arguments(city: str) -> str:
    return orjson.dumps({"city": city}).decode()


_CHAT_MARK, _SEALED = "Y2hhdC1zaWduZWQ=", "simulated-reasoning-9f3a"
_CLAUDE_MARK, _CLAUDE_SEALED = "Y2xhdWRlLXNpZ25lZA==", "Y2xhdWRlLXJlZGFjdGVk"
_GEMINI_TEXT_MARK, _GEMINI_CALL_MARK = "Z2VtaW5pLXRleHQ=", "Z2VtaW5pLWNhbGw="

FIRST: dict[Wire, First] = {
    "openai_chat": First(
        "openrouter/anthropic/claude-sonnet-4.5",
        chat(
            TEXT,
            finish="tool_calls",
            reasoning_details=[
                {
                    "type": "reasoning.text",
                    "text": THOUGHT,
                    "signature": _CHAT_MARK,
                    "format": "anthropic-claude-v1",
                    "index": 0,
                }
            ],
            tool_calls=[
                {
                    "id": f"call_{city}",
                    "type": "function",
                    "function": {"name": "weather", "arguments": _arguments(city)},
                }
                for city in CITIES
            ],
        ),
        (_CHAT_MARK,),
    ),
    "openai_responses": First(
        responses_wire.SOL,
        responses_wire.response(
            responses_wire.thought(THOUGHT, encrypted_content=_SEALED),
            responses_wire.said(TEXT),
            *(responses_wire.called(f"call_{city}", _arguments(city)) for city in CITIES),
        ),
        (_SEALED,),
    ),
    "anthropic": First(
        "anthropic/claude-haiku-4-5-20251001",
        claude(
            {"type": "thinking", "thinking": THOUGHT, "signature": _CLAUDE_MARK},
            {"type": "redacted_thinking", "data": _CLAUDE_SEALED},
            text_block(TEXT),
            *(
                {
                    "type": "tool_use",
                    "id": f"toolu_{city}",
                    "name": "weather",
                    "input": {"city": city},
                }
                for city in CITIES
            ),
            stop="tool_use",
        ),
        (_CLAUDE_MARK, _CLAUDE_SEALED),
    ),
    "gemini": First(
        "google/gemini-3.8-flash",
        gemini_said(
            gemini_text(THOUGHT, thought=True),
            gemini_text(TEXT, thoughtSignature=_GEMINI_TEXT_MARK),
            function_call(args={"city": "Oslo"}, signature=_GEMINI_CALL_MARK, id="gem_Oslo"),
            function_call(args={"city": "Rome"}, id="gem_Rome"),
        ),
        (_GEMINI_TEXT_MARK, _GEMINI_CALL_MARK),
    ),
}


class Step(NamedTuple):
    """One thing that a request says: `system`, `user`, `text`, `call`, `result` or `image`."""

    kind: str
    value: Any
    call_id: str = ""


def read(wire: Wire, body: dict[str, Any]) -> list[Step]:
    """What a request says, in its own order; reasoning is left out."""
    return list(_READERS[wire](body))


def _chat(body: dict[str, Any]) -> Iterator[Step]:
    for message in body["messages"]:
        role, content = message["role"], message["content"]
        if role == "tool":
            yield Step("result", content, message["tool_call_id"])
        elif isinstance(content, list):
            for part in content:
                kind = "image" if part["type"] == "image_url" else role
                yield Step(kind, part["image_url"]["url"] if kind == "image" else part["text"])
        elif content:
            yield Step("text" if role == "assistant" else role, content)
        for made in message.get("tool_calls", ()):
            function = made["function"]
            yield Step("call", orjson.loads(function["arguments"]), made["id"])


def _responses(body: dict[str, Any]) -> Iterator[Step]:
    yield Step("system", body["instructions"])
    for item in body["input"]:
        kind = item.get("type")
        if kind == "function_call":
            yield Step("call", orjson.loads(item["arguments"]), item["call_id"])
        elif kind == "function_call_output":
            yield from _result(item["output"], item["call_id"], ("input_text", "input_image"))
        elif kind is None:
            role = item["role"]
            yield Step("text" if role == "assistant" else role, item["content"])


def _anthropic(body: dict[str, Any]) -> Iterator[Step]:
    yield Step("system", body["system"])
    for message in body["messages"]:
        role = "text" if message["role"] == "assistant" else "user"
        content = message["content"]
        for block in [text_block(content)] if isinstance(content, str) else content:
            if block["type"] == "text":
                yield Step(role, block["text"])
            elif block["type"] == "tool_use":
                yield Step("call", block["input"], block["id"])
            elif block["type"] == "tool_result":
                yield from _result(block["content"], block["tool_use_id"], ("text", "image"))


def _result(content: Any, call_id: str, kinds: tuple[str, str]) -> Iterator[Step]:
    """A result, and the images inside it, which are its own by their ID."""
    parts = [{"type": kinds[0], "text": content}] if isinstance(content, str) else content
    yield Step("result", "".join(p["text"] for p in parts if p["type"] == kinds[0]), call_id)
    yield from (Step("image", orjson.dumps(p), call_id) for p in parts if p["type"] == kinds[1])


def _gemini(body: dict[str, Any]) -> Iterator[Step]:
    yield Step("system", body["systemInstruction"]["parts"][0]["text"])
    for content in body["contents"]:
        role = "text" if content["role"] == "model" else "user"
        for part in content["parts"]:
            if "functionCall" in part:
                yield Step("call", part["functionCall"]["args"], part["functionCall"]["id"])
            elif "functionResponse" in part:
                result = part["functionResponse"]
                response = result["response"]
                yield Step("result", response.get("output", response.get("error")), result["id"])
                inside = result.get("parts", ())
                yield from (Step("image", orjson.dumps(p), result["id"]) for p in inside)
            elif not part.get("thought"):
                yield Step(role, part["text"])


_READERS = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
