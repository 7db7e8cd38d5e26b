"""The text that a call is about, and what can be found in it.

`subject_of` cuts a prompt down to that text; `Passage` looks things up in it lazily, so that a
classification pays for words only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from .words import name_stems, stems

_TAGGED = re.compile(
    r"<(text|input|document|message|content|email|review|ticket|article)>\s*(.*?)\s*</\1>",
    re.DOTALL | re.IGNORECASE,
)
_FENCED = re.compile(r'"""\s*(.+?)\s*"""|```[a-z]*\n(.+?)```', re.DOTALL)
_MARKED = re.compile(
    r"^(?:the )?(?:text|input|document|message|content|email|review|ticket|article)"
    r"(?: to \w+)?\s*:[ \t]*\n?(.+)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_FIELD = re.compile(
    r"^[ \t>*•-]*\**\"?([A-Za-z][\w /()-]{0,40}?)\"?\**[ \t]*[:=][ \t]*(\S.*)$", re.MULTILINE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])|\n+")
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+(\S.*)$", re.MULTILINE)
_WINDOW = 60


def subject_of(text: str) -> str:
    """The part of a prompt that is worked on: what is tagged, fenced or marked, else all of it."""
    if "<" in text and (tagged := _TAGGED.search(text)):
        return tagged[2]
    if ('"""' in text or "```" in text) and (fenced := _FENCED.search(text)):
        return fenced[1] or fenced[2]
    if ":" in text and (marked := _MARKED.search(text)):
        return marked[1]
    return text


def without_list(text: str, labels: tuple[str, ...]) -> str:
    """The text without the lines that only enumerate the labels to choose from."""
    if len(labels) < 2 or labels[0] not in text or labels[-1] not in text:
        return text
    enough = max(2, len(labels) // 2)
    lines = text.splitlines()
    kept = [
        line
        for line in lines
        if sum(label in line for label in labels) < enough
        and line.strip(" -*•\t\"',") not in labels
    ]
    return "\n".join(kept) if any(line.strip() for line in kept) else text


class Passage:
    """One text with lazily found words, sentences and `Label: value` fields."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the meaningful words."""
        return frozenset(stems(self.text))

    @cached_property
    def sentences(self) -> list[str]:
        """Non-empty sentences in order; line ends end a sentence too."""
        return [s for part in _SENTENCE.split(self.text) if (s := part.strip(" \t#*>\r"))]

    @cached_property
    def first_sentence(self) -> str:
        """The first sentence that is more than a heading, "" for an empty text."""
        long_enough = (s for s in self.sentences if len(s) > 25)
        return next(long_enough, self.sentences[0] if self.sentences else "")

    @cached_property
    def bullets(self) -> list[str]:
        """Items of a bulleted or numbered list."""
        return [item.strip() for item in _BULLET.findall(self.text)]

    @cached_property
    def fields(self) -> list[tuple[frozenset[str], str]]:
        """`Label: value` lines, labels as stems."""
        if ":" not in self.text and "=" not in self.text:
            return []
        found = [(name_stems(m[1]), m[2].strip(' \t\r",')) for m in _FIELD.finditer(self.text)]
        return [(name, value) for name, value in found if name and value]

    def field(self, name: frozenset[str]) -> str | None:
        """The value that a line gives under this name, exactly named lines first."""
        if not name:
            return None
        partial: str | None = None
        for label, value in self.fields:
            if label == name:
                return value
            if partial is None and (label <= name or name <= label):
                partial = value
        return partial

    def matches(self, pattern: re.Pattern[str], hint: frozenset[str]) -> Iterator[str]:
        """What the pattern finds (its last group, else all), nearest to the hint's words first."""
        found = list(pattern.finditer(self.text))
        if len(found) > 1 and hint:
            found.sort(key=lambda match: -self._nearness(match, hint))
        for match in found:
            yield match[match.lastindex or 0]

    def _nearness(self, match: re.Match[str], hint: frozenset[str]) -> float:
        start, end = match.span()
        before = stems(self.text[max(0, start - _WINDOW) : start])
        after = stems(self.text[end : end + _WINDOW])
        score = 0.0
        for away, word in enumerate(reversed(before)):
            if word in hint:
                score += 1.0 / (1 + away)
        for away, word in enumerate(after):
            if word in hint:
                score += 0.9 / (1 + away)
        return score

    def best_sentence(self, hint: frozenset[str]) -> str:
        """The sentence that shares most words with the hint, else the first one."""
        if not hint or not hint & self.stems:
            return self.first_sentence
        return max(self.sentences, key=lambda s: len(hint.intersection(stems(s))), default="")
