"""When a provider says to come back: headers and dates to seconds, at the edge.

Inside Penstock a hint is always a number of seconds from the answer's own time.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

_REGAIN = re.compile(r"regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}))?", re.IGNORECASE)


def retry_after_s(headers: httpx.Headers) -> float | None:
    """`retry-after-ms`, which is the precise one, else `retry-after` (seconds or an HTTP date).

    In seconds; None where neither is there or can be read; never negative. Azure sends 0 ms beside
    whole seconds: then the seconds are meant.
    """
    precise_s = _seconds(headers.get("retry-after-ms"), per_s=1000)
    if precise_s:
        return precise_s
    stated_s = _retry_after(headers)
    return precise_s if stated_s is None else stated_s


def regain_after_s(message: str, headers: httpx.Headers) -> float | None:
    """Seconds until the date that Anthropic names in a usage-limit message (UTC), or None."""
    found = _REGAIN.search(message)
    if found is None:
        return None
    try:
        then = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}+00:00")
    except ValueError:
        return None
    return max((then - _answered_at(headers)).total_seconds(), 0.0)


def _retry_after(headers: httpx.Headers) -> float | None:
    stated = headers.get("retry-after")
    seconds = _seconds(stated, per_s=1)
    if seconds is not None or stated is None:
        return seconds
    then = _http_date(stated)
    return None if then is None else max((then - _answered_at(headers)).total_seconds(), 0.0)


def _seconds(stated: str | None, *, per_s: int) -> float | None:
    if stated is None:
        return None
    try:
        value = float(stated.strip().removesuffix("s")) / per_s
    except ValueError:
        return None
    return max(value, 0.0) if math.isfinite(value) else None


def _http_date(stated: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(stated)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _answered_at(headers: httpx.Headers) -> datetime:
    """The provider's own clock where it states it, so that a skewed clock here does not count."""
    stated = headers.get("date")
    return (stated and _http_date(stated)) or datetime.now(UTC)
