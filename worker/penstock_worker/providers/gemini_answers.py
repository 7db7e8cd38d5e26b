"""Reads the answers of Gemini's generateContent, whole or streamed.

Both ways go through `Reading`, which takes one response object after the other: a whole answer is
a stream of one.
Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import Said, answer_of, estimated_usage
from penstock_worker.providers.failures import InvalidAnswer, redact, shorten
from penstock_worker.providers.gemini_errors import error_in_answer
from penstock_worker.providers.gemini_parts import Parts
from penstock_worker.providers.protocol import Answer, Call, Delta
from penstock_worker.providers.reading import (
    Object,
    as_count,
    as_list,
    as_object,
    as_text,
    is_list,
    is_object,
)
from penstock_worker.providers.sse import SseEvent, SseReader

_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}

#: The model tried to call a function and failed at its form: another try may succeed.
_MALFORMED = frozenset(
    [
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
    ]
)

#: What servers that write enums as numbers mean; only those that mean one thing everywhere.
_NUMBERED = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "BLOCKLIST",
    7: "PROHIBITED_CONTENT",
    8: "SPII",
}
_UNSAID = ("", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED")
_COUNTED = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
)


@dataclass(slots=True)
class Reading:
    """An answer as far as it has come."""

    call: Call
    parts: Parts
    finish: str = ""
    told: str = ""
    blocked: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, call: Call) -> Reading:
        """A reading of nothing yet."""
        return cls(call, Parts(call))

    @property
    def is_complete(self) -> bool:
        """Whether the answer's end has come."""
        return bool(self.finish or self.blocked)

    def take(self, body: Object) -> list[Delta]:
        """Take one response object in; what it adds. Raises InvalidAnswer for an error in it."""
        if usage := as_object(body.get("usageMetadata")):
            self._count(usage)
        if body.get("error"):
            spent = usage_of(self.counts) or Usage()
            raise error_in_answer(self.call, body, httpx.Response(200), spent)
        if feedback := as_object(body.get("promptFeedback")):
            self.blocked = _reason(feedback.get("blockReason")) or self.blocked
        candidates = as_list(body.get("candidates"))
        return self._take_candidate(as_object(candidates[0])) if candidates else []

    def _take_candidate(self, candidate: Object) -> list[Delta]:
        if "finishReason" in candidate:
            self.finish = _reason(candidate["finishReason"]) or self.finish
        if "finishMessage" in candidate:
            self.told = as_text(candidate["finishMessage"]) or self.told
        found: list[Delta] = []
        for part in as_list(as_object(candidate.get("content")).get("parts")):
            delta = self.parts.add(as_object(part))
            if delta is not None:
                found.append(delta)
        return found

    def answer(self) -> Answer:
        """What it amounts to.

        Raises InvalidAnswer: CONTENT_FILTER, MALFORMED_ANSWER where a call went wrong or nothing
        came at all, and what `answer_of` raises.
        """
        call, text, calls = self.call, self.parts.text, tuple(self.parts.calls)
        usage = usage_of(self.counts)
        if self.blocked:
            raise self._invalid(ErrorKind.CONTENT_FILTER, f"the prompt was blocked: {self.blocked}")
        if self.finish in _MALFORMED:
            raise self._invalid(ErrorKind.MALFORMED_ANSWER, "the model's call went wrong")
        finish = _FINISH_REASONS.get(self.finish, FinishReason.UNKNOWN)
        if finish is FinishReason.UNKNOWN and not text and not calls:
            raise self._invalid(ErrorKind.MALFORMED_ANSWER, "there is nothing in the answer")
        said = Said(text=text, calls=calls, usage=usage, finish=finish)
        answer = answer_of(call, said)
        warnings = (*answer.warnings, *self.parts.warnings)
        if not text and not calls and finish is FinishReason.STOP:
            warnings = (*warnings, "answer: the model said nothing")
        return replace(answer, reasoning=self.parts.reasoning, warnings=warnings)

    def broken(self, kind: ErrorKind, what: str) -> InvalidAnswer:
        """The error of an answer that cannot be read to its end, with what it cost so far."""
        error = self._invalid(kind, what)
        error.possibly_billed = True
        return error

    def _invalid(self, kind: ErrorKind, what: str) -> InvalidAnswer:
        text = self.parts.text
        told = ": ".join(part for part in (what, self.told) if part)
        return InvalidAnswer(
            kind,
            shorten(redact(told, self.call.api_key)),
            provider=self.call.provider.name,
            usage=usage_of(self.counts) or estimated_usage(self.call.job, text),
            text=text,
            code=self.blocked or self.finish or None,
        )

    def _count(self, given: Object) -> None:
        """Usage in a stream is cumulative, and later events may leave fields out."""
        for name in _COUNTED:
            if name in given and (count := as_count(given[name])) > self.counts.get(name, 0):
                self.counts[name] = count


class GeminiDecoder:
    """Reads one streamed answer: events, or the JSON that comes without `alt=sse`."""

    def __init__(self, call: Call) -> None:
        self._reading = Reading.of(call)
        self._events = SseReader()
        self._content = b""
        self._is_json: bool | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes add. Raises ProviderError for an error inside the stream."""
        if self._is_json is not False:
            self._content += data
            start = self._content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if not start:
                return []
            self._is_json = start in (b"{", b"[")
            if self._is_json:
                return []
            data, self._content = self._content, b""
        return self._take(self._events.feed(data), ErrorKind.MALFORMED_ANSWER)

    def finish(self) -> Answer:
        """The whole answer. Raises ProviderError(INTERRUPTED) where its end is missing."""
        if self._is_json:
            self._take_json()
        else:
            self._take(self._events.close(), ErrorKind.INTERRUPTED)
        if not self._reading.is_complete:
            raise self._reading.broken(ErrorKind.INTERRUPTED, "the stream ended before the answer")
        return self._reading.answer()

    def _take(self, events: Iterable[SseEvent], broken: ErrorKind) -> list[Delta]:
        return [delta for event in events for delta in self._event(event, broken)]

    def _event(self, event: SseEvent, broken: ErrorKind) -> list[Delta]:
        if event.data.strip() == "[DONE]":  # not Google's, but that of proxies before it
            return []
        try:
            body: Any = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            raise self._reading.broken(broken, "an event cannot be read") from None
        return self._reading.take(as_object(body))

    def _take_json(self) -> None:
        try:
            body: Any = orjson.loads(self._content.strip())
        except orjson.JSONDecodeError:
            raise self._reading.broken(ErrorKind.INTERRUPTED, "the answer was cut off") from None
        for part in body if is_list(body) else [body]:
            self._reading.take(as_object(part))


def read_answer(call: Call, response: httpx.Response) -> Answer:
    """The answer of a 2xx response. Raises ProviderError(MALFORMED_ANSWER) and InvalidAnswer."""
    reading = Reading.of(call)
    try:
        body: Any = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise _unreadable(call, response) from None
    objects = body if is_list(body) else [body]
    if not objects or not all(is_object(part) for part in objects):
        raise _unreadable(call, response)
    for part in objects:
        reading.take(part)
    return reading.answer()


def usage_of(counts: dict[str, int]) -> Usage | None:
    """Inclusive usage: thoughts and the prompts of tools stand beside the counts, not inside.

    Cached tokens are inside the prompt. Some servers count thoughts among the candidates; their
    total then has no room for them.
    """
    if not counts:
        return None
    given = counts.get
    prompt = given("promptTokenCount", 0) + given("toolUsePromptTokenCount", 0)
    thoughts, total = given("thoughtsTokenCount", 0), given("totalTokenCount", 0)
    said = given("candidatesTokenCount", 0)
    output = said if thoughts and total == prompt + said else said + thoughts
    if not said:
        output = max(output, total - prompt)
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=min(given("cachedContentTokenCount", 0), prompt),
        reasoning_tokens=min(thoughts, output),
    )


def _reason(given: object) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        return _NUMBERED.get(given, f"REASON_{given}" if given else "")
    reason = as_text(given)
    return "" if reason in _UNSAID else reason


def _unreadable(call: Call, response: httpx.Response) -> ProviderError:
    return ProviderError(
        ErrorKind.MALFORMED_ANSWER,
        f"{call.provider.name} answered HTTP {response.status_code}, but its body cannot be read",
        provider=call.provider.name,
        status=response.status_code,
        possibly_billed=True,
    )
