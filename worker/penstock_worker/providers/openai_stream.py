"""Decodes a streamed Chat Completions answer: deltas as they come, then the whole answer.

The chunks are put together into the body that an unstreamed answer would have had, and
`openai_answers` reads that, so that both ways end in the same `Answer`. Lenient where providers
bend the format: no `[DONE]` after a finish reason (xAI, Perplexity), no finish reason before
`[DONE]` (Snowflake), tool calls without index (Mistral) or all at index 0, usage with every chunk.
Source: https://developers.openai.com/api/reference/resources/chat/subresources/completions/streaming-events
(2026-11-21)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock_schemas.jobs import TextJob
from penstock_schemas.usage import Usage
from penstock_worker.providers.failures import classify_error_body
from penstock_worker.providers.openai_answers import (
    error_in,
    first_choice,
    read_body,
    read_usage,
    usage_in,
)
from penstock_worker.providers.openai_reasoning import DetailPieces, reasoning_text
from penstock_worker.providers.protocol import Answer, Call, Delta
from penstock_worker.providers.reading import (
    Object,
    as_list,
    as_object,
    as_text,
    content_text,
    dump,
    is_object,
)
from penstock_worker.providers.stream_events import (
    STREAMED,
    JsonEvents,
    highest_counts,
    interrupted,
    spent_so_far,
)
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, own_name

#: Providers that state a finish reason after each of several tool calls: only `[DONE]` ends there.
_FINISHES_EARLY = frozenset({"together"})
#: The fields of a delta that adds text and nothing else.
_TEXT_ALONE = frozenset({"role", "content"})


@dataclass(slots=True)
class _Tool:
    """One tool call while it comes in. `shown_as` is its index among the deltas' tool calls."""

    index: object
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    shown: int = 0
    shown_as: int | None = None
    extra: Object = field(default_factory=dict[str, object])

    def whole(self) -> Object:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function, **self.extra}


@dataclass(slots=True)
class _Message:
    """What the chunks so far amount to."""

    content: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    details: DetailPieces = field(default_factory=DetailPieces)
    refusal: list[str] = field(default_factory=list[str])
    tools: list[_Tool] = field(default_factory=list[_Tool])
    finish: str = ""
    usage: Object = field(default_factory=dict[str, object])
    begun: bool = False

    def said(self) -> str:
        """All that was said, in whatever form: for estimates and for the log of a failure."""
        arguments = [piece for tool in self.tools for piece in tool.arguments]
        return "".join((*self.reasoning, *self.content, *arguments))

    def body(self) -> Object:
        """The body of the same answer, unstreamed."""
        if not self.begun:
            return {"usage": self.usage}
        message: Object = {
            "role": "assistant",
            "content": "".join(self.content),
            "reasoning_content": "".join(self.reasoning),
            "refusal": "".join(self.refusal),
            "tool_calls": [tool.whole() for tool in self.tools],
            "reasoning_details": self.details.joined(),
        }
        choice: Object = {"message": message, "finish_reason": self.finish}
        return {"choices": [choice], "usage": self.usage}


def _call_rows(delta: Object) -> list[Any]:
    """The pieces of tool calls in a delta, those of the older `function_call` included."""
    if legacy := as_object(delta.get("function_call")):
        return [{"index": 0, "function": legacy}]
    return as_list(delta.get("tool_calls"))


class ChatDecoder:
    """Reads one streamed answer of this wire."""

    def __init__(self, call: Call, job: TextJob) -> None:
        self._call = call
        self._job = job
        self._events = JsonEvents(call)
        self._message = _Message()
        self._shown_tools = 0

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes add. Raises ProviderError for an error inside the stream."""
        return [delta for name, body in self._events.feed(data) for delta in self._take(name, body)]

    def finish(self) -> Answer:
        """The whole answer. Raises ProviderError(INTERRUPTED) when the stream ended too early."""
        for name, body in self._events.close():
            self._take(name, body)
        if (whole := self._events.whole()) is not None:
            return read_body(self._call, self._job, whole, STREAMED)
        message = self._message
        early = self._call.provider.name in _FINISHES_EARLY
        if not (self._events.done or (message.finish and not early)):
            raise interrupted(self._call, self._usage(), message.said())
        return read_body(self._call, self._job, message.body(), STREAMED)

    def _usage(self) -> Usage | None:
        return read_usage(self._message.usage)

    def _take(self, name: str, body: Object) -> list[Delta]:
        message = self._message
        choice = first_choice(body)
        if usage := usage_in(body, choice):
            message.usage = highest_counts(message.usage, usage)
        failed = error_in(body, choice) or (body if name == "error" else None)
        if failed is not None:
            spent = spent_so_far(self._call, self._usage(), message.said())
            raise classify_error_body(self._call, failed, STREAMED, spent)
        if not choice:
            return []
        message.begun = True
        message.finish = as_text(choice.get("finish_reason")) or message.finish
        delta = choice.get("delta")
        return self._add(delta if is_object(delta) else as_object(choice.get("message")))

    def _add(self, delta: Object) -> list[Delta]:
        message, content = self._message, delta.get("content")
        if isinstance(content, str) and delta.keys() <= _TEXT_ALONE:
            return self._said(content)  # the usual chunk
        if details := delta.get("reasoning_details"):
            message.details.add(details)
        if refusal := as_text(delta.get("refusal")):
            message.refusal.append(refusal)
        found: list[Delta] = []
        if thought := reasoning_text(delta):
            message.reasoning.append(thought)
            found.append(Delta(reasoning=thought))
        found += self._said(content_text(content))
        for row in _call_rows(delta):
            found += self._add_call(as_object(row))
        return found

    def _said(self, text: str) -> list[Delta]:
        if not text:
            return []
        self._message.content.append(text)
        return [Delta(text=text)]

    def _add_call(self, row: Object) -> list[Delta]:
        function = as_object(row.get("function"))
        tool = self._tool_of(row, function)
        tool.id = tool.id or as_text(row.get("id"))
        tool.name = tool.name or as_text(function.get("name"))
        if is_object(row.get("extra_content")):
            tool.extra["extra_content"] = row["extra_content"]
        arguments = function.get("arguments")
        piece = dump(arguments).decode() if is_object(arguments) else as_text(arguments)
        if piece:
            tool.arguments.append(piece)
        return self._show(tool) if tool.name else []

    def _tool_of(self, row: Object, function: Object) -> _Tool:
        """The call that a piece belongs to: by its index, its ID, or as the one under way.

        A start that comes twice is one call; another ID with a name is another call, whatever
        its index says.
        """
        tools, index = self._message.tools, row.get("index")
        identity, name = as_text(row.get("id")), as_text(function.get("name"))
        found = [tool for tool in tools if identity and tool.id == identity]
        if not found and index is not None:
            found = [tool for tool in tools if tool.index == index]
            if found and identity and name and found[-1].id:
                found = []
        if not found and index is None and not (identity or name):
            found = tools
        if not found:
            tools.append(_Tool(index))
            found = tools
        return found[-1]

    def _show(self, tool: _Tool) -> list[Delta]:
        """The new pieces of a call. A structured answer that comes as a call is shown as text."""
        pieces = "".join(tool.arguments[tool.shown :])
        tool.shown = len(tool.arguments)
        if tool.name == OUTPUT_TOOL:
            return [Delta(text=pieces)] if pieces else []
        if tool.shown_as is not None:
            return [Delta(tool_index=tool.shown_as, arguments=pieces)] if pieces else []
        tool.shown_as, self._shown_tools = self._shown_tools, self._shown_tools + 1
        return [
            Delta(
                tool_index=tool.shown_as,
                tool_id=tool.id or None,
                tool_name=own_name(tool.name, self._job.tools),
                arguments=pieces,
            )
        ]
