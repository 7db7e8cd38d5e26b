"""Server-sent events from bytes that may be cut anywhere; the start of every stream decoder.

Lenient where providers are: comments and blank lines while they queue (DeepSeek), a missing blank
line at the end, any of the three line ends.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
(2026-11-21).
"""

from __future__ import annotations

from typing import NamedTuple


class SseEvent(NamedTuple):
    """One event: its name, empty when it has none, and its data, lines joined by a newline."""

    name: str
    data: str


class SseReader:
    """Turns the bytes of one stream into events."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._first = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that these bytes complete."""
        buffered = self._rest + data
        if self._first and buffered:
            if len(buffered) < 3 and b"\xef\xbb\xbf".startswith(buffered):
                self._rest = buffered
                return []
            buffered = buffered.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        lines = _lines(buffered)
        self._rest = lines.pop()
        found: list[SseEvent] = []
        for line in lines:
            if line:
                self._take(line)
            elif self._data:
                found.append(self._event())
            else:
                self._name = ""
        return found

    def close(self) -> list[SseEvent]:
        """The event that was complete but for its end, if any."""
        events = self.feed(b"\n\n") if self._rest or self._data else []
        self._rest = b""
        return events

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(_text(value))
        elif field == b"event":
            self._name = _text(value)

    def _event(self) -> SseEvent:
        event = SseEvent(self._name, "\n".join(self._data))
        self._name, self._data = "", []
        return event


def _lines(buffered: bytes) -> list[bytes]:
    """The whole lines, and last what has begun after them."""
    if b"\r" not in buffered:
        return buffered.split(b"\n")
    # A carriage return at the very end may be half of a line end.
    held = b"\r" if buffered.endswith(b"\r") else b""
    text = buffered.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, rest = text.split(b"\n")
    return [*lines, rest + held]


def _text(value: bytes) -> str:
    return value.removeprefix(b" ").decode("utf-8", "replace")
