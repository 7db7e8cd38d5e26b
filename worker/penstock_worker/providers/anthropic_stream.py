"""Decodes a streamed Messages answer: deltas as they come, then the whole answer.

The events are put together into the message that an unstreamed answer would have been, and
`anthropic_answers` reads that, so that both ways end in the same `Answer`.
Source: https://platform.claude.com/docs/en/build-with-claude/streaming (2026-11-21)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock_schemas.jobs import TextJob
from penstock_schemas.usage import Usage
from penstock_worker.providers.anthropic_answers import is_error, read_body, read_usage
from penstock_worker.providers.failures import classify_error_body
from penstock_worker.providers.protocol import Answer, Call, Delta
from penstock_worker.providers.reading import Object, as_count, as_object, as_text, dump
from penstock_worker.providers.stream_events import (
    STREAMED,
    JsonEvents,
    highest_counts,
    interrupted,
    spent_so_far,
)
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, own_name

#: Type of a delta -> the type of block that it belongs to, where no start has named one.
_BLOCK_TYPES = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}


@dataclass(slots=True)
class _Block:
    """One content block while it comes in. `tool_index` counts the tool calls among them."""

    start: Object
    pieces: list[str] = field(default_factory=list[str])
    signature: str = ""
    tool_index: int | None = None

    def whole(self) -> Object:
        """The block as it would have come unstreamed."""
        said = "".join(self.pieces)
        match self.start.get("type"):
            case "text":
                return {**self.start, "text": said}
            case "thinking":
                signature = self.signature or self.start.get("signature")
                return {**self.start, "thinking": said, "signature": signature}
            case "tool_use" if said.strip():
                return {**self.start, "input": said}
            case _:
                return self.start


class MessagesDecoder:
    """Reads one streamed answer of this wire."""

    def __init__(self, call: Call, job: TextJob) -> None:
        self._call = call
        self._job = job
        self._events = JsonEvents(call)
        self._blocks: dict[int, _Block] = {}
        self._usage: Object = {}
        self._stop_reason: object = None
        self._tools = 0
        self._stopped = False

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes add. Raises ProviderError for an error inside the stream."""
        return [delta for name, body in self._events.feed(data) for delta in self._take(name, body)]

    def finish(self) -> Answer:
        """The whole answer. Raises ProviderError(INTERRUPTED) when the stream ended too early."""
        for name, body in self._events.close():
            self._take(name, body)
        whole = self._events.whole()
        if whole is None and not self._stopped:
            raise interrupted(self._call, self._spent(), self._said())
        if whole is None:
            whole = {
                "content": [block.whole() for _, block in sorted(self._blocks.items())],
                "stop_reason": self._stop_reason,
                "usage": self._usage,
            }
        return read_body(self._call, self._job, whole, STREAMED)

    def _spent(self) -> Usage | None:
        return read_usage(self._usage)

    def _said(self) -> str:
        return "".join(piece for block in self._blocks.values() for piece in block.pieces)

    def _take(self, name: str, body: Object) -> list[Delta]:
        """The deltas of one event; what comes after the last one counts for nothing."""
        if self._stopped:
            return []
        kind = as_text(body.get("type")) or name
        if kind == "error" or is_error(body):
            spent = spent_so_far(self._call, self._spent(), self._said())
            raise classify_error_body(self._call, body, STREAMED, spent)
        index = as_count(body.get("index"))
        match kind:
            case "message_start":
                message = as_object(body.get("message"))
                self._usage = highest_counts(self._usage, message.get("usage"))
            case "message_delta":
                self._usage = highest_counts(self._usage, body.get("usage"))
                stated = as_object(body.get("delta")).get("stop_reason")
                self._stop_reason = stated or self._stop_reason
            case "message_stop":
                self._stopped = True
            case "content_block_start":
                return self._start(index, as_object(body.get("content_block")))
            case "content_block_delta":
                return self._add(index, as_object(body.get("delta")))
            case "content_block_stop" if index in self._blocks:
                return self._end(self._blocks[index])
            case _:
                pass
        return []

    def _start(self, index: int, given: Object) -> list[Delta]:
        """A block begins, perhaps with its first words; a start that comes twice is one."""
        if index in self._blocks:
            return []
        block = self._blocks[index] = _Block(given)
        match given.get("type"):
            case "text":
                return self._said_more(block, as_text(given.get("text")))
            case "thinking":
                return self._said_more(block, as_text(given.get("thinking")))
            case "tool_use":
                return self._called(block)
            case _:
                return []

    def _add(self, index: int, delta: Object) -> list[Delta]:
        kind = as_text(delta.get("type"))
        if index not in self._blocks:
            if kind not in _BLOCK_TYPES:
                return []
            self._blocks[index] = _Block({"type": _BLOCK_TYPES[kind]})
        block = self._blocks[index]
        match kind:
            case "text_delta":
                return self._said_more(block, as_text(delta.get("text")))
            case "thinking_delta":
                return self._said_more(block, as_text(delta.get("thinking")))
            case "signature_delta":
                block.signature += as_text(delta.get("signature"))
            case "input_json_delta":
                return self._said_more(block, as_text(delta.get("partial_json")))
            case _:
                pass
        return []

    def _called(self, block: _Block) -> list[Delta]:
        """A call begins. A structured answer that comes as a call is shown as text."""
        name = as_text(block.start.get("name"))
        if name == OUTPUT_TOOL:
            return []
        block.tool_index, self._tools = self._tools, self._tools + 1
        return [
            Delta(
                tool_index=block.tool_index,
                tool_id=as_text(block.start.get("id")) or None,
                tool_name=own_name(name, self._job.tools),
            )
        ]

    def _end(self, block: _Block) -> list[Delta]:
        """A block ends. Arguments that came whole with its start are told now."""
        given = as_object(block.start.get("input"))
        if block.pieces or not given:
            return []
        arguments = dump(given).decode()
        if block.tool_index is None:
            return [Delta(text=arguments)]
        return [Delta(tool_index=block.tool_index, arguments=arguments)]

    def _said_more(self, block: _Block, piece: str) -> list[Delta]:
        if not piece:
            return []
        block.pieces.append(piece)
        if block.start.get("type") == "thinking":
            return [Delta(reasoning=piece)]
        if block.tool_index is not None:
            return [Delta(tool_index=block.tool_index, arguments=piece)]
        return [Delta(text=piece)]
