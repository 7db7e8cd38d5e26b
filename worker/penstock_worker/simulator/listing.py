"""The things that a sentence lists: "2 oak trays and linen napkins".

Used by the string leaves of a schema for fields named like `items`, where no bullets stand.
"""

from __future__ import annotations

import re
from itertools import takewhile

from .words import stem

_COUNT = r"(?:\d{1,3}(?:x| x| pcs| pieces of)?|one|two|three|four|five|six|seven|eight|nine|ten)"
_NOT_THINGS = (
    r"(?!(?:second|minute|hour|day|week|month|year|time|percent|usd|euro|dollar)s?\b"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)"
)
_CLAUSE = re.compile(r"[.!?;](?:\s|$)|:(?:\s|$)|[\n()]")
_JOINT = re.compile(r",? and |, | & | plus ")
_COUNTED = re.compile(rf"\b{_COUNT} {_NOT_THINGS}[a-z]", re.IGNORECASE)
_LEAD = re.compile(
    r"^.*\b(?:ordered|bought|buy|purchased|received|shipped|sent|need|want|contains?"
    r"|includes?|including|lists?)\s+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*\b(?:from|for|to|by|on|at|in|that|which|but|because|is|are|was|were|has|have|had|did"
    r"|please|yesterday|today|tomorrow|last|arrived|came|total)\b.*$",
    re.IGNORECASE,
)
_THING = re.compile(
    rf"(?:(?:{_COUNT}|a|an|the|some|my) )?{_NOT_THINGS}[a-z][\w'-]*(?: [\w'-]+){{0,4}}",
    re.IGNORECASE,
)
NAMES = frozenset(
    map(stem, ["items", "products", "goods", "articles", "ingredients", "contents", "things"])
)
"""Stems of the names of fields that hold what is listed."""


def listed(text: str) -> list[str]:
    """The things listed in the clause that lists most of them, counts included; [] for none."""
    found = (_things(clause) for clause in _CLAUSE.split(text) if clause)
    return max(found, key=len, default=list[str]())


def _things(clause: str) -> list[str]:
    counted, lead = _COUNTED.search(clause), _LEAD.match(clause)
    starts = [counted.start()] if counted is not None else []
    starts += [lead.end()] if lead is not None else []
    found = max((_run(clause[start:]) for start in starts), key=len, default=list[str]())
    return found if counted is not None or len(found) > 1 else []


def _run(text: str) -> list[str]:
    """The pieces from the start of the text for as long as they name things."""
    pieces = (_TAIL.sub("", piece).strip(" ,") for piece in _JOINT.split(text))
    return list(takewhile(_THING.fullmatch, pieces))
