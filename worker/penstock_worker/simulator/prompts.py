"""What a prompt asks for in words: labels to choose from, a JSON shape, a fixed reply.

Used when the wire carries no schema. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from json import JSONDecoder
from typing import Any

from .request import JsonObject, is_array, is_object

_CHOICES = re.compile(
    r"(?:one of(?: the following)?|labels?|categories|classes|options|choose from|choices)"
    r"[^:\n]{0,40}:[ \t]*(?:\n((?:[ \t]*(?:[-*•]|\d+[.)])[ \t]*\S.*\n?)+)|(\S.*))",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_END_OF_LIST = re.compile(r"[.;](?:\s|$)|\s(?:text|input|message)\s*:", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*(?:,|\||/| or | and )\s*(?:or |and )?")
_LITERAL = re.compile(
    r"\b(?i:(?:reply|respond|answer|say|output|return)(?: with)?(?: (?:only|exactly|just))*"
    r"(?: the (?:word|text|single word))?)\s*:?\s*"
    r"(?:[\"'`]([^\"'`\n]{1,80})[\"'`]|(?!JSON|YAML|XML|CSV|HTML)([A-Z]{2,12})\b)",
)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b[^:\n]{0,20}:?\s+"
    r"([\"'`]?\w+[\"'`]?(?:(?:,\s*(?:and )?| and )[\"'`]?\w+[\"'`]?)*)",
    re.IGNORECASE,
)
_QUOTES = " \t\"'`*."
_LONGEST_LABEL = 60


@lru_cache(maxsize=1024)
def labels_in(text: str) -> tuple[str, ...]:
    """Labels that a prompt lists ("one of: a, b, c" or bullets), () when it lists none."""
    match = _CHOICES.search(text)
    if match is None:
        return ()
    if match[1]:
        found = _BULLET.findall(match[1])
    else:
        listed = match[2].strip().strip("[](){}")
        found = _SEPARATOR.split(_END_OF_LIST.split(listed, maxsplit=1)[0])
    labels = tuple(label for part in found if (label := part.strip(_QUOTES + "[](){}")))
    plausible = len(labels) > 1 and all(len(label) <= _LONGEST_LABEL for label in labels)
    return labels if plausible else ()


def literal_in(text: str) -> str | None:
    """The fixed reply that a prompt asks for ("Reply with OK"), None when it asks for none."""
    match = _LITERAL.search(text) if len(text) < 400 else None
    return None if match is None else match[1] or match[2]


@lru_cache(maxsize=256)
def schema_in(text: str) -> JsonObject | None:
    """A JSON Schema, or an example object, written in the prompt; None when there is none."""
    decoder = JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        if value:
            return _as_schema(value)
        start = text.find("{", end)
    return None


def keys_in(text: str) -> tuple[str, ...]:
    """Names of the JSON keys that a prompt asks for in prose."""
    match = _KEYS.search(text)
    return tuple(re.findall(r"\w+", re.sub(r"\band\b", ",", match[1]))) if match else ()


def _as_schema(value: JsonObject) -> JsonObject:
    inner = value.get("schema")
    if is_object(inner) and "properties" in inner:
        return inner
    if is_object(value.get("properties")) or "$ref" in value:
        return value
    return _schema_of(value)


def _schema_of(example: Any) -> JsonObject:
    if is_object(example):
        properties = {name: _schema_of(item) for name, item in example.items()}
        return {"type": "object", "properties": properties, "required": list(example)}
    if is_array(example):
        return {"type": "array", "items": _schema_of(example[0]) if example else {}}
    match example:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case "string" | "integer" | "number" | "boolean":
            return {"type": example}
        case _:
            return {"type": "string"}
