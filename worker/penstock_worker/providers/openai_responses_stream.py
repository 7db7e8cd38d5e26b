"""Decodes a streamed Responses answer: events in, deltas out, the final response last.

The terminal event carries the whole response, which is read exactly as an unstreamed one; what
came before only feeds the deltas, and stands in where a provider's terminal event has no output.
Source: https://developers.openai.com/api/reference/resources/responses (2026-11-21)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import Usage
from penstock_worker.providers.openai_responses_answers import (
    PART_BREAK,
    answer_text,
    broken_off,
    failure_of,
    is_aside,
    read_response,
    read_usage,
)
from penstock_worker.providers.protocol import Answer, Call, Delta
from penstock_worker.providers.reading import (
    Object,
    as_count,
    as_list,
    as_object,
    as_text,
    is_object,
)
from penstock_worker.providers.sse import SseEvent, SseReader
from penstock_worker.providers.tool_wire import own_name

#: Terminal events -> the status of their response, should it state none.
_TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_DONE = "[DONE]"
_LONGEST_LEAD = 64


@dataclass(slots=True)
class _Item:
    """One output item while it comes in: what was started, and the pieces that followed."""

    start: Object
    tool_index: int | None = None
    done: bool = False
    text: dict[int, str] = field(default_factory=dict[int, str])
    refusal: str = ""
    arguments: str = ""
    thoughts: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])

    def whole(self) -> Object:
        """The item as its pieces make it, where its own end has not come."""
        if self.done:
            return self.start
        kind = self.start.get("type")
        if kind == "function_call":
            return {**self.start, "arguments": self.arguments or self.start.get("arguments")}
        if kind == "reasoning":
            parts = [{"type": "summary_text", "text": text} for text in self.thoughts.values()]
            return {**self.start, "summary": parts, "content": []}
        content: list[Object] = [
            {"type": "output_text", "text": text} for text in self.text.values()
        ]
        if self.refusal:
            content.append({"type": "refusal", "refusal": self.refusal})
        return {**self.start, "content": content} if kind == "message" else self.start


class ResponsesDecoder:
    """Reads one streamed answer of this wire."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._items: dict[object, _Item] = {}
        self._tools = 0
        self._usage: Usage | None = None
        self._final: Object | None = None
        self._thinking = False
        #: The body itself, while it may be plain JSON and no stream at all.
        self._plain: bytearray | None = bytearray()

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes add. Raises ProviderError for an error inside the stream."""
        if self._plain is not None:
            self._plain += data
            if not _may_be_json(bytes(self._plain[:_LONGEST_LEAD])):
                self._plain = None
        deltas: list[Delta] = []
        for event in self._reader.feed(data):
            deltas += self._take(event)
        return deltas

    def finish(self) -> Answer:
        """The whole answer. Raises ProviderError(INTERRUPTED) when the stream ended too early."""
        for event in self._reader.close():
            try:
                self._take(event)
            except _NotJson:
                break
        if self._final is None and self._plain:
            self._final = _object_in(bytes(self._plain))
        if self._final is None:
            what = f"the stream of {self._call.provider.name} ended before its final event"
            raise broken_off(self._call, what, self._usage, self._text())
        return read_response(self._call, self._final, _OK)

    def _take(self, event: SseEvent) -> list[Delta]:
        """The deltas of one event; what comes after the final one counts for nothing."""
        if self._final is not None or not event.data.strip() or event.data.strip() == _DONE:
            return []
        body = _object_in(event.data.encode("utf-8", "surrogatepass"))
        if body is None:
            raise _NotJson(
                ErrorKind.MALFORMED_ANSWER,
                f"{self._call.provider.name} sent an event in its stream that is not JSON",
                provider=self._call.provider.name,
                possibly_billed=True,
            )
        kind = as_text(body.get("type")) or event.name
        if kind == "error" or (body.get("error") and not kind.startswith("response.")):
            raise failure_of(self._call, body, _OK, self._text())
        if kind in _TERMINAL:
            self._end(kind, body)
            return []
        response = as_object(body.get("response"))
        self._usage = read_usage(response.get("usage")) or self._usage
        return self._deltas(kind, body)

    def _end(self, kind: str, body: Object) -> None:
        final = dict(as_object(body.get("response")))
        final["status"] = as_text(final.get("status")) or _TERMINAL[kind]
        if not as_list(final.get("output")):
            final["output"] = [item.whole() for item in self._in_order()]
        if kind == "response.failed" or final["status"] == "failed":
            raise failure_of(self._call, final, _OK, self._text())
        self._final = final

    def _deltas(self, kind: str, body: Object) -> list[Delta]:
        piece = as_text(body.get("delta"))
        match kind.removeprefix("response."):
            case "output_item.added":
                return self._start(body)
            case "output_item.done":
                return self._close(body)
            case "output_text.delta":
                return self._said(body, piece)
            case "output_text.done":
                item = self._item(body, "message")
                known = item.text.get(as_count(body.get("content_index")), "")
                return self._said(body, _rest(known, as_text(body.get("text"))))
            case "refusal.delta":
                self._item(body, "message").refusal += piece
                return []
            case "function_call_arguments.delta":
                return self._argued(self._item(body, "function_call"), piece)
            case "function_call_arguments.done":
                item = self._item(body, "function_call")
                return self._argued(item, _rest(item.arguments, as_text(body.get("arguments"))))
            case "reasoning_summary_text.delta":
                return self._thought(body, ("summary", as_count(body.get("summary_index"))), piece)
            case "reasoning_text.delta":
                return self._thought(body, ("content", as_count(body.get("content_index"))), piece)
            case _:
                return []

    def _item(self, body: Object, kind: str) -> _Item:
        """The item that an event speaks of, by its place in the output; IDs may change."""
        key = _key(body)
        if key not in self._items:
            self._items[key] = _Item({"type": kind, "id": body.get("item_id")})
        return self._items[key]

    def _start(self, body: Object) -> list[Delta]:
        given = as_object(body.get("item"))
        known = self._items.get(_key(body, given))
        if known is not None and known.tool_index is not None:
            return []
        item = known or _Item(given)
        item.start = given
        self._items[_key(body, given)] = item
        if given.get("type") != "function_call":
            return []
        return [self._called(item), *self._argued(item, as_text(given.get("arguments")))]

    def _called(self, item: _Item) -> Delta:
        item.tool_index, self._tools = self._tools, self._tools + 1
        job = self._call.job
        name = as_text(item.start.get("name"))
        return Delta(
            tool_index=item.tool_index,
            tool_id=as_text(item.start.get("call_id")) or as_text(item.start.get("id")) or None,
            tool_name=name if isinstance(job, Embed) else own_name(name, job.tools),
        )

    def _close(self, body: Object) -> list[Delta]:
        """The end of an item: what its deltas had left out."""
        given = as_object(body.get("item"))
        key = _key(body, given)
        deltas = [] if key in self._items else self._start(body)
        item = self._items[key]
        if item.done:
            return []
        if given.get("type") == "function_call":
            if item.tool_index is None:
                item.start, item.arguments = given, ""
                deltas = [self._called(item)]
            deltas += self._argued(item, _rest(item.arguments, as_text(given.get("arguments"))))
        elif not item.text and (text := answer_text(self._call, [given])):
            deltas.append(Delta(text=text))
        item.start, item.done = given, True
        return deltas

    def _said(self, body: Object, piece: str) -> list[Delta]:
        item = self._item(body, "message")
        if not piece or item.done:
            return []
        index = as_count(body.get("content_index"))
        item.text[index] = item.text.get(index, "") + piece
        return [] if is_aside(self._call, item.start) else [Delta(text=piece)]

    def _argued(self, item: _Item, piece: str) -> list[Delta]:
        item.arguments += piece
        if not piece or item.tool_index is None:
            return []
        return [Delta(tool_index=item.tool_index, arguments=piece)]

    def _thought(self, body: Object, part: tuple[str, int], piece: str) -> list[Delta]:
        if not piece:
            return []
        thoughts = self._item(body, "reasoning").thoughts
        lead = PART_BREAK if self._thinking and part not in thoughts else ""
        self._thinking = True
        thoughts[part] = thoughts.get(part, "") + piece
        return [Delta(reasoning=lead + piece)]

    def _in_order(self) -> list[_Item]:
        def place(pair: tuple[object, _Item]) -> float:
            return pair[0] if isinstance(pair[0], int) else float("inf")

        return [item for _, item in sorted(self._items.items(), key=place)]

    def _text(self) -> str:
        return answer_text(self._call, [item.whole() for item in self._in_order()])


class _NotJson(ProviderError):
    """An event that cannot be read."""


#: Errors inside a stream come with a success status and without headers of their own.
_OK = httpx.Response(200)


def _may_be_json(lead: bytes) -> bool:
    """Whether a body that starts so can be a JSON object, as far as can be seen yet."""
    return not lead.strip() or lead.lstrip().startswith(b"{")


def _key(body: Object, item: Object | None = None) -> object:
    index = body.get("output_index")
    if isinstance(index, int):
        return index
    return as_text(body.get("item_id")) or as_text((item or {}).get("id"))


def _rest(known: str, whole: str) -> str:
    """What `whole` has beyond `known`; nothing where the two contradict each other."""
    return whole[len(known) :] if whole.startswith(known) else ""


def _object_in(data: bytes) -> Object | None:
    try:
        found: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if is_object(found) else None
