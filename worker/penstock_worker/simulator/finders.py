"""What kind of value a property's name asks for, as data: patterns by hint words.

Used by the leaf nodes of a schema to look for a value in the passage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from .passage import Passage
from .words import stem

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    rf"\b(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\.?,? \d{{4}}"
    rf"|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}})\b",
    re.IGNORECASE,
)
_DATE_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_EMAIL = re.compile(r"\b[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b")
_URL = re.compile(r"\bhttps?://[^\s<>\"')\]}]*[^\s<>\"')\]}.,;:]")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_IPV4 = re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b")
_CVE = re.compile(r"\bCVE-\d{4}-\d{4,}\b")
_IDENTIFIER = re.compile(
    r"\b(?:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}|[A-Z]{2,}-\d[\d-]*|[A-Z]-\d\d[\d-]*)\b"
)
_NUMBERED = re.compile(
    r"\b(?:order|invoice|reference|case|account|ticket)s?(?: (?:number|no\.?|id))?:? "
    r"#?((?:[A-Z]{1,4}-?)?\d{3,}[\d-]*)\b",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?<![\w.])v?(\d+(?:\.\d+)+(?:[-.]?(?:rc|alpha|beta|post|dev|a|b)\.?\d*)?)(?![\w])"
)
_PHONE = re.compile(r"(?<![\w-])(?!\d{4}-\d\d-\d\d)\+?\(?\d[\d ()-]{6,}\d(?!\w)")
_MONEY = re.compile(r"[$€£]\s?\d[\d,]*(?:\.\d+)?|\b\d[\d,]*(?:\.\d+)?\s?(?:USD|EUR|GBP)\b")
_CURRENCY = re.compile(r"\b(USD|EUR|GBP|JPY|CHF|INR|CAD|AUD)\b")
_TIME = re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]m)?\b", re.IGNORECASE)
_CODE_NAME = re.compile(r"`([\w][\w.@/-]*)`")
_PERSON = re.compile(r"\b[A-Z][a-z]+(?: [A-Z](?:[a-z]|['-][A-Z])[a-z'-]*)+\b")
_PROPER = re.compile(r"(?<=[a-z,;:] )[A-Z][A-Za-z0-9]+(?:[ -][A-Z][A-Za-z0-9]+)*")
_NAMED = re.compile(r"\b(?:called|named|name is|I am|I'm)\s+([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)")
_QUOTED = re.compile(r"[\"“]([^\"”\n]{1,80})[\"”]")

NUMBER = re.compile(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?(?!\w|\.\d|-\d)")

_BY_WORD: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = (
    ("email mail", (_EMAIL,)),
    ("url link website homepage href", (_URL,)),
    ("uuid guid", (_UUID,)),
    ("ip", (_IPV4,)),
    ("cve", (_CVE,)),
    ("alias aliases identifier identifiers advisory id ids", (_IDENTIFIER, _UUID)),
    ("order invoice reference case account ticket", (_IDENTIFIER, _NUMBERED, _UUID)),
    ("version versions release fixed patched", (_VERSION,)),
    ("date day deadline due birthday published", (_DATE_TIME, _DATE)),
    ("time hour", (_TIME,)),
    ("phone telephone mobile", (_PHONE,)),
    ("currency", (_CURRENCY,)),
    ("price amount cost total", (_MONEY,)),
    ("package library crate module function product software", (_CODE_NAME, _NAMED, _PROPER)),
    ("person customer author sender recipient contact employee", (_NAMED, _PERSON)),
    ("name company organisation organization vendor city", (_NAMED, _PERSON, _CODE_NAME, _PROPER)),
    ("quote title", (_QUOTED,)),
)  # fmt: skip
_BY_STEM = {stem(word): patterns for words, patterns in _BY_WORD for word in words.split()}
_BY_FORMAT = {
    "email": (_EMAIL,), "uri": (_URL,), "url": (_URL,), "uuid": (_UUID,), "ipv4": (_IPV4,),
    "date": (_DATE,), "date-time": (_DATE_TIME, _DATE), "time": (_TIME,),
}  # fmt: skip
_SENTENCE_WORDS = frozenset(
    stem(w)
    for w in [
        "summary",
        "abstract",
        "overview",
        "tldr",
        "description",
        "gist",
        "headline",
        "subject",
    ]
)
FORMAT_DEFAULTS = {
    "email": "unknown@example.com", "uri": "https://example.com/", "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "date": "1970-01-01", "date-time": "1970-01-01T00:00:00Z", "time": "00:00:00Z",
    "hostname": "example.com", "duration": "PT0S",
}  # fmt: skip


def iso_date(text: str) -> str | None:
    """A written date as YYYY-MM-DD, None when it names no day; 3/4/2024 is read month first."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    month = next((m for m in re.findall(r"[a-z]{3}", text.lower()) if m in _MONTHS), None)
    try:
        if month is not None and len(numbers) >= 2:
            return date(numbers[1], _MONTHS.index(month) + 1, numbers[0]).isoformat()
        if len(numbers) < 3:
            return None
        if numbers[0] > 31:
            return date(*numbers[:3]).isoformat()
        first, second, year = numbers[:3]
        month_, day = (second, first) if first > 12 else (first, second)
        return date(year, month_, day).isoformat()
    except ValueError:
        return None


def formatted(text: str, format_: str | None) -> str | None:
    """A found span in the form that a JSON Schema `format` asks for, None when it has none."""
    if format_ == "date":
        return iso_date(text[:40])
    if format_ == "date-time":
        if _DATE_TIME.fullmatch(text):
            stamp = text.replace(" ", "T")
            stamp += ":00" if stamp.count(":") == 1 else ""
            return stamp if re.search(r"(Z|[+-]\d\d:\d\d)$", stamp) else stamp + "Z"
        day = iso_date(text[:40])
        return None if day is None else f"{day}T00:00:00Z"
    if format_ == "time":
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", text)
        return None if match is None else f"{match[1]:0>2}:{match[2]}:{match[3] or '00'}Z"
    if format_ in _BY_FORMAT:
        return text if any(p.fullmatch(text) for p in _BY_FORMAT[format_]) else None
    return None if format_ in FORMAT_DEFAULTS else text


def spans(
    passage: Passage, name: tuple[str, ...], hint: frozenset[str], format_: str | None
) -> Iterator[str]:
    """Spans of the passage that answer a string property, best first.

    `name` holds the stems of the property's name, last word first; `hint` those of name and
    description. Yields nothing when only a guess would be left.
    """
    value = passage.field(frozenset(name))
    patterns = _BY_FORMAT.get(format_ or "") or next(
        (_BY_STEM[word] for word in name if word in _BY_STEM), ()
    )
    if value is not None:
        for pattern in patterns:
            if match := pattern.search(value):
                yield match[match.lastindex or 0]
        yield value
    for pattern in patterns:
        yield from passage.matches(pattern, hint)
    if _SENTENCE_WORDS.intersection(name) and passage.first_sentence:
        yield passage.first_sentence
