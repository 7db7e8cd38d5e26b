"""Scalar nodes of a compiled schema: each finds a value in a passage, else makes a valid one.

`find` returns `MISSING` when the passage holds nothing that fits; `fill` always returns a value
that satisfies the node; `index` asks for a different one each time (for unique array items).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final, Protocol

from . import listing
from .finders import FORMAT_DEFAULTS, NUMBER, formatted, spans
from .passage import Passage, without_list
from .patterns import example_of
from .request import JsonObject
from .words import LabelIndex, label_index, name_stems, stems

MISSING: Final = object()
_YES = frozenset(("yes", "true", "y", "1", "on"))
_NO = frozenset(("no", "false", "n", "0", "off", "none"))
_NEGATION = re.compile(r"\b(?:not|no|never|without|none|cannot|\w+n't)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hint:
    """What a property is called: stems of its name, last word first, and of its description."""

    name: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()

    @staticmethod
    def of(name: str, schema: JsonObject) -> Hint:
        """The hint of a property from its name and its schema's description and title."""
        told = f"{schema.get('description') or ''}"
        spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name)
        own = tuple(reversed(stems(spelled)))
        return Hint(own, name_stems(name) | frozenset(stems(told)))


class Node(Protocol):
    """One place of a compiled schema."""

    def find(self, passage: Passage, depth: int) -> Any:
        """A value that the passage supports, or `MISSING`."""
        ...

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        """A value that satisfies the schema, whatever the passage says."""
        ...

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        """All values that the passage supports, best first, for arrays."""
        ...

    def accepts(self, value: Any) -> bool:
        """Whether a value satisfies this node."""
        ...


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1, 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


class EnumNode:
    """A closed set: the label that shares most words with the passage."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self._labels = tuple(str(value) for value in values)
        self._index: LabelIndex = label_index(self._labels)

    def _passage_stems(self, passage: Passage) -> frozenset[str]:
        shorter = without_list(passage.text, self._labels)
        return passage.stems if shorter is passage.text else frozenset(stems(shorter))

    def find(self, passage: Passage, depth: int) -> Any:
        if len(self.values) == 1 or self._index.scores(self._passage_stems(passage)):
            return self.fill(passage, depth)
        return MISSING

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        if len(self.values) == 1:
            return self.values[0]
        best = self._index.best(passage.text, self._passage_stems(passage))
        return self.values[(best + index) % len(self.values)]

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        return [self.values[i] for i in self._index.several(self._passage_stems(passage))]

    def accepts(self, value: Any) -> bool:
        return any(same(value, own) for own in self.values)


class StringNode:
    """A string: spans by name, format and pattern; else the sentence nearest to its hint."""

    def __init__(self, schema: JsonObject, hint: Hint) -> None:
        self._hint = hint
        self._format: str | None = schema.get("format")
        self._least: int = ceil(schema.get("minLength", 0))
        self._most: int | None = schema.get("maxLength")
        self._pattern = _compiled(schema.get("pattern"))

    def _candidates(self, passage: Passage) -> Iterator[str]:
        for span in spans(passage, self._hint.name, self._hint.words, self._format):
            value = formatted(span, self._format)
            if value is None:
                continue
            if self._most is not None and self._format is None and self._pattern is None:
                value = value[: int(self._most)]
            if self.accepts(value):
                yield value
        if self._pattern is not None:
            for match in self._pattern.finditer(passage.text):
                if match[0] and self.accepts(match[0]):
                    yield match[0]

    def find(self, passage: Passage, depth: int) -> Any:
        return next(self._candidates(passage), MISSING)

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        found = next(self._candidates(passage), None)
        if index == 0 and found is not None:
            return found
        return self._made(passage, index)

    def _made(self, passage: Passage, index: int) -> str:
        if self._pattern is not None:
            return example_of(
                self._pattern, least=self._least, most=self._most, accepts=self.accepts, index=index
            )
        if self._format in FORMAT_DEFAULTS:
            return FORMAT_DEFAULTS[self._format]
        text = passage.best_sentence(self._hint.words) or "unknown"
        suffix = f" {index}" if index else ""
        if self._most is not None:
            text = text[: max(0, int(self._most) - len(suffix))]
            suffix = suffix[-int(self._most) :] if self._most else ""
        return (text + suffix).ljust(self._least, ".")

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        value = passage.field(frozenset(self._hint.name))
        listed = [p.strip() for p in re.split(r"[,;]| and ", value) if p.strip()] if value else []
        if len(listed) > 1 and all(self.accepts(part) for part in listed):
            return listed
        found = list(dict.fromkeys(self._candidates(passage)))
        if not found and self._format is None:
            found = [bullet for bullet in passage.bullets if self.accepts(bullet)]
        if not found and self._format is None and not listing.NAMES.isdisjoint(self._hint.name):
            found = [thing for thing in listing.listed(passage.text) if self.accepts(thing)]
        return found

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, str)
            and len(value) >= self._least
            and (self._most is None or len(value) <= self._most)
            and (self._pattern is None or self._pattern.search(value) is not None)
        )


class AnyNode(StringNode):
    """A schema that asks for nothing: filled as a string, satisfied by anything."""

    def accepts(self, value: Any) -> bool:
        return True


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None


class NumberNode:
    """A number: the one in the passage whose surroundings share most words with the hint."""

    def __init__(self, schema: JsonObject, hint: Hint, *, integer: bool) -> None:
        self._hint = hint
        self._integer = integer
        self._step: float | None = schema.get("multipleOf")
        self._low: float | None = schema.get("minimum")
        self._high: float | None = schema.get("maximum")
        self._above: float | None = schema.get("exclusiveMinimum")
        self._below: float | None = schema.get("exclusiveMaximum")

    def _candidates(self, passage: Passage) -> Iterator[int | float]:
        value = passage.field(frozenset(self._hint.name))
        if value is not None and (match := NUMBER.search(value)):
            yield from self._read(match[0])
        for text in passage.matches(NUMBER, self._hint.words):
            yield from self._read(text)

    def _read(self, text: str) -> Iterator[int | float]:
        number = float(text.replace(",", ""))
        value = int(number) if self._integer or number.is_integer() else number
        if number == value and self.accepts(value):
            yield value

    def find(self, passage: Passage, depth: int) -> Any:
        return next(self._candidates(passage), MISSING)

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        found = next(self._candidates(passage), None)
        return found if index == 0 and found is not None else self._made(index)

    def _made(self, index: int) -> int | float:
        step = self._step or 1
        low = max((b for b in (self._low, self._above) if b is not None), default=None)
        high = min((b for b in (self._high, self._below) if b is not None), default=None)
        down = low is None and high is not None and high <= 0
        if down and high is not None:
            start, direction = floor(high / step), -1
        else:
            start, direction = ceil((low or 0) / step), 1
        if not down and low is not None and low < 0 and (high is None or high > 0):
            start = 0
        tries = (start + direction * (index + n) for n in range(64))
        for count in tries:
            value = count * step
            if self.accepts(value):
                return value
        return self._between(low, high, index)

    def _between(self, low: float | None, high: float | None, index: int) -> int | float:
        if self._integer:
            return next((n for n in range(ceil(low or 0), floor(high or 0) + 1)), 0)
        low_, high_ = low or 0.0, high if high is not None else (low or 0.0) + 1.0
        if self.accepts(low_) and index == 0:
            return low_
        return low_ + (high_ - low_) / (index + 2)

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        return list(dict.fromkeys(self._candidates(passage)))

    def accepts(self, value: Any) -> bool:
        return (
            _is_number(value)
            and (not self._integer or float(value).is_integer())
            and (self._low is None or value >= self._low)
            and (self._high is None or value <= self._high)
            and (self._above is None or value > self._above)
            and (self._below is None or value < self._below)
            and (self._step is None or value % self._step == 0)
        )


class BooleanNode:
    """True when the passage speaks of the hint's words without a negation beside them."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint

    def find(self, passage: Passage, depth: int) -> Any:
        value = passage.field(frozenset(self._hint.name))
        first = value.split()[0].lower().strip(".,;!") if value else ""
        if first in _YES or first in _NO:
            return first in _YES
        about = [w for w in self._hint.name if w in passage.stems]
        if not about:
            return MISSING
        sentence = passage.best_sentence(frozenset(about))
        return _NEGATION.search(sentence) is None

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        found = self.find(passage, depth)
        value = False if found is MISSING else bool(found)
        return value if index % 2 == 0 else not value

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        found = self.find(passage, 0)
        return [] if found is MISSING else [found]

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


class NullNode:
    """Null and nothing else."""

    def find(self, passage: Passage, depth: int) -> Any:
        return MISSING

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        return None

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        return []

    def accepts(self, value: Any) -> bool:
        return value is None
