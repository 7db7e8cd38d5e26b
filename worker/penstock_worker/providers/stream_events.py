"""The JSON events of a streamed answer, and what a stream that breaks off amounts to.

Between `sse` and a wire's decoder. A body that turns out to be plain JSON, because the provider
did not stream after all, is kept whole, to be read like any other answer.
"""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import estimated_usage
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object, as_object, is_object
from penstock_worker.providers.sse import SseEvent, SseReader

#: What comes inside a stream has a success status, and no headers of its own.
STREAMED = httpx.Response(200)

_DONE = "[DONE]"
_STARTS_OF_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")


class JsonEvents:
    """Turns the bytes of one stream into pairs of an event's name and its JSON object.

    `done` says that the closing `[DONE]` has come; what follows it counts for nothing.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._plain: bytearray | None = bytearray()
        self.done = False

    def feed(self, data: bytes) -> list[tuple[str, Object]]:
        """The events that these bytes complete.

        Raises ProviderError(MALFORMED_ANSWER, possibly billed) for one that is not JSON.
        """
        if self._plain is not None:
            self._plain += data
            head = bytes(self._plain[:64]).lstrip()[:1]
            if head and head != b"{":
                self._plain = None
        found: list[tuple[str, Object]] = []
        for event in self._reader.feed(data):
            try:
                body = self._read(event)
            except orjson.JSONDecodeError:
                raise self._malformed() from None
            if body is not None:
                found.append((event.name, body))
        return found

    def close(self) -> list[tuple[str, Object]]:
        """The last event, where only the blank line after it was missing."""
        found: list[tuple[str, Object]] = []
        for event in self._reader.close():
            try:
                body = self._read(event)
            except orjson.JSONDecodeError:
                break  # it was cut off
            if body is not None:
                found.append((event.name, body))
        return found

    def whole(self) -> Object | None:
        """The body as one JSON object, where it was no stream at all."""
        if not self._plain:
            return None
        try:
            body: object = orjson.loads(bytes(self._plain))
        except orjson.JSONDecodeError:
            return None
        return body if is_object(body) else None

    def _read(self, event: SseEvent) -> Object | None:
        data = event.data.strip()
        if data == _DONE:
            self.done = True
        if self.done or not data:
            return None
        body: object = orjson.loads(data)
        return body if is_object(body) else None

    def _malformed(self) -> ProviderError:
        return ProviderError(
            ErrorKind.MALFORMED_ANSWER,
            f"{self._call.provider.name} sent an event in its stream that is not JSON",
            provider=self._call.provider.name,
            possibly_billed=True,
        )


def is_event_stream(response: httpx.Response) -> bool:
    """Whether an answer is a stream of events, whatever it was asked to be."""
    return response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ) or response.content[:64].lstrip().startswith(_STARTS_OF_EVENTS)


def highest_counts(known: Object, given: object) -> Object:
    """Cumulative counters joined: each at its highest, for later events may leave some out."""
    merged = dict(known)
    for name, value in as_object(given).items():
        before: Any = merged.get(name)
        if is_object(value):
            merged[name] = highest_counts(as_object(before), value)
        elif isinstance(value, int | float) and isinstance(before, int | float):
            merged[name] = max(before, value)
        elif value is not None:
            merged[name] = value
    return merged


def spent_so_far(call: Call, usage: Usage | None, said: str) -> Usage:
    """What an answer that failed halfway cost: as stated, and at least what has been seen."""
    if usage is None:
        return estimated_usage(call.job, said) if said else Usage()
    seen = estimated_usage(call.job, said).output_tokens
    if usage.output_tokens >= seen:
        return usage
    return usage.model_copy(update={"output_tokens": seen, "estimated": True})


def interrupted(call: Call, usage: Usage | None, said: str) -> ProviderError:
    """A stream that ended before its end. It may have been paid; `said` is all that came."""
    provider = call.provider.name
    told = f"the stream of {provider} ended before its end"
    if usage is None:
        return ProviderError(ErrorKind.INTERRUPTED, told, provider=provider, possibly_billed=True)
    error = InvalidAnswer(
        ErrorKind.INTERRUPTED,
        told,
        provider=provider,
        usage=spent_so_far(call, usage, said),
        text=said,
    )
    error.possibly_billed = True
    return error
