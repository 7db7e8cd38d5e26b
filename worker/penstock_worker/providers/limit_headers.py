"""What providers say of their limits, on every answer and when they refuse: to one shape, purely.

The limiter is moved by what is read here. `read_limits` runs on every answer, so it looks at the
names of the provider's own family alone and reads only values that are there; what makes no sense
is left out, and nothing raises. Which family a provider has is data: `limit_policy`.

Source: https://developers.openai.com/api/docs/guides/rate-limits (2026-11-21)
Source: https://platform.claude.com/docs/en/api/rate-limits (2026-11-21)
Source: https://console.groq.com/docs/rate-limits (2026-11-21)
Source: https://docs.fireworks.ai/serverless/rate-limits (2026-11-21)
Source: https://inference-docs.cerebras.ai/support/rate-limits (2026-11-21)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal, NamedTuple

import httpx

from penstock_schemas.errors import ProviderError
from penstock_schemas.limit_policy import WINDOW_MS, HeaderFamily, LimitPolicy
from penstock_schemas.status import ErrorKind

LimitUnit = Literal["requests", "tokens", "input_tokens", "output_tokens"]

MINUTE_MS, DAY_MS = WINDOW_MS["minute"], WINDOW_MS["day"]
#: Larger ones stand for "no limit".
_LARGEST = 10**12


class SeenLimit(NamedTuple):
    """A limit as a provider told it: `limit` units in each window of `window_ms`.

    `used` are the units that are not available now, `reset_s` the seconds until all are again; each
    is None where it was not told.
    """

    unit: LimitUnit
    window_ms: int
    limit: int
    used: int | None
    reset_s: float | None


class _Told(NamedTuple):
    """A limit that a family tells of; `window_ms` None is the provider's window of requests."""

    unit: LimitUnit
    window_ms: int | None
    limit: str
    remaining: str
    reset: str = ""


def _alike(unit: LimitUnit, window_ms: int | None, names: str, *, reset: bool = True) -> _Told:
    """A limit whose names differ by one word, for which `{}` stands."""
    limit, remaining, end = (names.format(word) for word in ("limit", "remaining", "reset"))
    return _Told(unit, window_ms, limit, remaining, end if reset else "")


_FAMILIES: Mapping[HeaderFamily, Sequence[_Told]] = {
    "openai": (
        _alike("requests", None, "x-ratelimit-{}-requests"),
        _alike("tokens", MINUTE_MS, "x-ratelimit-{}-tokens"),
    ),
    "anthropic": (
        _alike("requests", None, "anthropic-ratelimit-requests-{}"),
        _alike("tokens", MINUTE_MS, "anthropic-ratelimit-tokens-{}"),
        _alike("input_tokens", MINUTE_MS, "anthropic-ratelimit-input-tokens-{}"),
        _alike("output_tokens", MINUTE_MS, "anthropic-ratelimit-output-tokens-{}"),
    ),
    "mistral": (
        _alike("requests", None, "x-ratelimit-{}-req-minute", reset=False),
        _alike("tokens", MINUTE_MS, "x-ratelimit-{}-tokens-minute", reset=False),
    ),
    "fireworks": (
        _alike("requests", None, "x-ratelimit-{}-requests", reset=False),
        _alike("input_tokens", MINUTE_MS, "x-ratelimit-{}-tokens-prompt", reset=False),
        _alike("output_tokens", MINUTE_MS, "x-ratelimit-{}-tokens-generated", reset=False),
    ),
    "cerebras": (
        _alike("requests", None, "x-ratelimit-{}-requests-day"),
        _alike("tokens", MINUTE_MS, "x-ratelimit-{}-tokens-minute"),
    ),
}

_PARTS = 3  # limit, remaining, reset: name -> its place among those of all limits of the family
_PLACES: Mapping[HeaderFamily, Mapping[bytes, int]] = {
    family: {
        name.encode(): _PARTS * at + part
        for at, told in enumerate(limits)
        for part, name in enumerate((told.limit, told.remaining, told.reset))
        if name
    }
    for family, limits in _FAMILIES.items()
}
_LENGTHS = {family: frozenset(map(len, places)) for family, places in _PLACES.items()}


def read_limits(policy: LimitPolicy, headers: httpx.Headers) -> tuple[SeenLimit, ...]:
    """The limits that an answer tells of, in the order of the family; what makes no sense is not
    among them."""
    family = policy.headers
    if family is None:
        return ()
    places = _PLACES[family]
    lengths = _LENGTHS[family]
    values: dict[int, bytes] = {}
    raw = headers.raw
    for name, value in raw:
        if len(name) in lengths and (place := places.get(name.lower())) is not None:
            values[place] = value
    if not values:
        return ()
    seen: list[SeenLimit] = []
    get = values.get
    for at, told in enumerate(_FAMILIES[family]):
        place = _PARTS * at
        stated, remaining, reset = get(place), get(place + 1), get(place + 2)
        if stated is None:
            continue
        try:
            limit = int(stated)
            left = limit if remaining is None else int(remaining)
        except ValueError:
            continue
        if 0 < limit <= _LARGEST and 0 <= left <= limit:
            used = None if remaining is None else limit - left
            reset_s = None if reset is None else _until_s(reset, raw)
            window_ms = told.window_ms or policy.request_window_ms
            seen.append(SeenLimit(told.unit, window_ms, limit, used, reset_s))
    return tuple(seen)


_GO_DURATION = re.compile(
    rb"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)


def _until_s(stated: bytes, raw: list[tuple[bytes, bytes]]) -> float | None:
    """Seconds from the answer until a reset, told as `20ms`, `6m0s`, `1.5` or a date."""
    try:
        if stated.endswith(b"ms"):
            seconds = int(stated[:-2]) / 1000
        elif b"T" in stated:
            return _until_date_s(stated, raw)
        else:
            minutes, is_split, rest = stated.removesuffix(b"s").partition(b"m")
            seconds = 60 * int(minutes) + float(rest) if is_split else float(minutes)
    except ValueError:
        return _go_duration_s(stated)
    return seconds if 0 <= seconds < math.inf else None


def _go_duration_s(stated: bytes) -> float | None:
    found = _GO_DURATION.fullmatch(stated)
    if found is None or not stated:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


def _until_date_s(stated: bytes, raw: list[tuple[bytes, bytes]]) -> float | None:
    """By the provider's own clock; None where it does not tell the time."""
    answered = next((value for name, value in raw if name.lower() == b"date"), b"")
    now, then = _epoch_s(answered), _epoch_s(stated)
    return None if now is None or then is None else max(then - now, 0.0)


@lru_cache(maxsize=64)
def _epoch_s(stated: bytes) -> float | None:
    """Seconds since 1970 of an RFC 3339 time or an HTTP date; many answers state the same."""
    text = stated.decode("ascii", "replace")
    try:
        date = datetime.fromisoformat(text) if "T" in text[8:12] else parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


_LIMITED = frozenset(
    (ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.REQUEST_EXCEEDS_LIMIT)
)
_NAME_BREAK = re.compile(r"(?<=[a-z])(?=[A-Z])|[-_]")
_UNIT = re.compile(
    r"\b(?:(input|prompt|output|generated|completion) )?(token|request|call)s?\b(?: \([a-z]+\))?"
    r"(?=(?: per \w+)*? per (?:min|day)| rate limit| quota| has exceeded)"
)
_A_DAY = re.compile(r"\bper day\b|\bdaily\b")
_UNITS: Mapping[str, LimitUnit] = {
    "input token": "input_tokens",
    "prompt token": "input_tokens",
    "output token": "output_tokens",
    "generated token": "output_tokens",
    "completion token": "output_tokens",
    " token": "tokens",
}


def refused_units(error: ProviderError) -> tuple[tuple[LimitUnit, int], ...]:
    """Which limits a refusal was about, by its code and message: units, and the window in ms.

    Empty where they do not tell. A window that is not told is a minute; where a day is named too,
    it is that: it is what has to be waited for.
    """
    words = _words(error)
    window_ms = DAY_MS if _A_DAY.search(words) else MINUTE_MS
    units: list[LimitUnit] = [
        _UNITS.get(f"{side} {what}", "requests") for side, what in _UNIT.findall(words)
    ]
    return tuple((unit, window_ms) for unit in dict.fromkeys(units))


def _words(error: ProviderError) -> str:
    """Code and message of a refusal in plain lower-case words, nothing of other errors."""
    if error.kind not in _LIMITED:
        return ""
    return _NAME_BREAK.sub(" ", f"{error.code or ''}: {error.message}").lower()
