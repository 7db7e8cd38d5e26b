"""The JSON value in what a model wrote, whatever stands around it.

Pure; `structured` then checks the value against what was asked for.
"""

from __future__ import annotations

import re
from typing import Any, cast

import json_repair
import orjson

_LONGEST_REPAIR_CHARS = 200_000
#: What can be written again as JSON, in levels of nesting.
_DEEPEST = 250
_FENCE = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_NOT_JSON_NUMBER = re.compile(r"[:\[,]\s*-?(?:NaN|Infinity|inf)\s*(?=[,}\]])", re.IGNORECASE)


class Mismatch(ValueError):
    """The answer is not JSON, or not the JSON that was asked for; says the first reasons."""


def read_json(text: str) -> tuple[Any, bool]:
    """The JSON value in a model's text, and whether it had to be repaired.

    Takes thinking, a code fence or words around it, and minor breakage. Raises Mismatch where
    there is none, and for NaN and infinities, which are not JSON.
    """
    value, repaired = _read(text)
    if text.count("{") + text.count("[") > _DEEPEST:
        _refuse_depth(value)
    return value, repaired


def _read(text: str) -> tuple[Any, bool]:
    try:
        return orjson.loads(text), False
    except orjson.JSONDecodeError:
        pass
    text = _THINKING.sub("", text).strip()
    for candidate in (*_FENCE.findall(text), _outermost(text), text):
        try:
            return orjson.loads(candidate), False
        except orjson.JSONDecodeError:
            continue
    if _NOT_JSON_NUMBER.search(text):
        raise Mismatch("the answer has a number that is not JSON (NaN or Infinity)")
    if len(text) > _LONGEST_REPAIR_CHARS or not ("{" in text or "[" in text):
        raise Mismatch("the answer is not JSON")
    return _repaired(text), True


def _refuse_depth(value: Any) -> None:
    try:
        orjson.dumps(value)
    except TypeError:
        raise Mismatch("the answer is nested too deeply to be kept") from None


def _repaired(text: str) -> Any:
    try:
        value = cast("Any", json_repair.loads(text, skip_json_loads=True))
        # What cannot be written as JSON is not JSON; orjson would write NaN as null.
        return orjson.loads(orjson.dumps(value))
    except (ValueError, TypeError, RecursionError):
        raise Mismatch("the answer is not JSON") from None


def _outermost(text: str) -> str:
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=0)
    return text[start : max(text.rfind("}"), text.rfind("]")) + 1]
