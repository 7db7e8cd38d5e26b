"""A string that a regular expression accepts, for schemas with `pattern`.

Walks the parsed expression and takes the shortest way through it; a repeat grows where a minimum
length asks for more. Look-arounds and conditionals are skipped: the caller's check decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

_MOST_REPEATS = 64
_CATEGORY = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_WORD": "abcdefghijklmnopqrstuvwxyz0123456789_",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "abcdefghijklmnopqrstuvwxyz",
    "CATEGORY_NOT_WORD": "-. ",
    "CATEGORY_NOT_SPACE": "abcdefghijklmnopqrstuvwxyz0123456789",
}
_ANY = "abcdefghijklmnopqrstuvwxyz0123456789-_. ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def example_of(
    pattern: re.Pattern[str],
    *,
    least: int,
    most: int | None,
    accepts: Callable[[str], bool],
    index: int = 0,
) -> str:
    """A string of the wanted length that `accepts` takes; the shortest one tried, if none does."""
    first: str | None = None
    skip = index
    for extra in range(_MOST_REPEATS):
        for turn in range(4):
            made = _write(pattern.pattern, extra, turn + index)
            for text in (made, made.ljust(least, "x")):
                first = text if first is None else first
                if most is not None and len(text) > most:
                    continue
                if accepts(text):
                    if skip == 0:
                        return text
                    skip -= 1
                    break
    return first or ""


@lru_cache(maxsize=4096)
def _write(pattern: str, extra: int, turn: int) -> str:
    parser: Any = import_module("re._parser")
    try:
        return _sequence(parser.parse(pattern), extra, turn, {})
    except re.error:
        return ""


def _sequence(items: Iterable[tuple[Any, Any]], extra: int, turn: int, seen: dict[int, str]) -> str:
    return "".join(_item(str(op), argument, extra, turn, seen) for op, argument in items)


def _item(op: str, argument: Any, extra: int, turn: int, seen: dict[int, str]) -> str:
    match op:
        case "LITERAL":
            return chr(argument)
        case "NOT_LITERAL":
            return next(c for c in _ANY if ord(c) != argument)
        case "ANY":
            return _ANY[turn % 26]
        case "IN":
            return _one_of(argument, turn)
        case "BRANCH":
            return _sequence(argument[1][turn % len(argument[1])], extra, turn, seen)
        case "SUBPATTERN":
            text = _sequence(argument[-1], extra, turn, seen)
            seen[argument[0]] = text
            return text
        case "GROUPREF":
            return seen.get(argument, "")
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = argument
            times = min(int(low) + extra, int(high), int(low) + _MOST_REPEATS)
            return "".join(_sequence(inner, 0, turn + n, seen) for n in range(times))
        case "ATOMIC_GROUP":
            return _sequence(argument, extra, turn, seen)
        case _:
            return ""


def _one_of(choices: list[tuple[Any, Any]], turn: int) -> str:
    negated = str(choices[0][0]) == "NEGATE"
    named: list[str] = []
    for op, argument in choices:
        match str(op):
            case "LITERAL":
                named.append(chr(argument))
            case "RANGE":
                low, high = argument
                named.extend(chr(code) for code in range(low, min(high, low + 127) + 1))
            case "CATEGORY":
                named.extend(_CATEGORY.get(str(argument), ""))
            case _:
                pass
    allowed = [c for c in _ANY if c not in named] if negated else named
    return allowed[turn % len(allowed)] if allowed else ""
