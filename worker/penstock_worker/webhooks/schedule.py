"""Pure: what follows from an attempt to deliver.

Source of the delays, and of how statuses are taken: the Standard Webhooks specification,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
(2026-11-21).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from penstock_schemas.webhooks import DeliveryState

#: Seconds from each attempt that failed to the next: 8 attempts within 31 hours and a half.
DELAYS_S: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0)
#: Each delay is longer by a random share of itself, up to this.
JITTER: Final = 0.2
#: `Retry-After` is heeded up to so many seconds.
MOST_RETRY_AFTER_S: Final = 86_400.0
_GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt went. `status` None: there was no answer. `problem` None: it was delivered."""

    status: int | None = None
    problem: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """The state that follows, and the seconds until the next attempt where it waits for one."""

    state: DeliveryState
    wait_s: float = 0.0


def after(outcome: Outcome, *, attempts: int, jitter: float) -> Next:
    """What follows from an attempt that came after `attempts` others; `jitter` is from 0 to 1."""
    if outcome.problem is None:
        return Next(DeliveryState.DELIVERED)
    if outcome.status == _GONE or attempts >= len(DELAYS_S):
        return Next(DeliveryState.GIVEN_UP)
    delay_s = DELAYS_S[attempts] * (1 + JITTER * jitter)
    asked_s = min(outcome.retry_after_s or 0.0, MOST_RETRY_AFTER_S)
    return Next(DeliveryState.WAITING, max(delay_s, asked_s))


def of_status(status: int, *, retry_after: str | None, now: datetime) -> Outcome:
    """What an answer says: 2xx is delivered, whatever else is not."""
    if 200 <= status < 300:
        return Outcome(status=status)
    told = f"HTTP {status}"
    if status == _GONE:
        told += ": the receiver wants no more"
    elif 300 <= status < 400:
        told += ": redirects are not followed; use the address it leads to"
    return Outcome(status=status, problem=told, retry_after_s=_seconds(retry_after, now))


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """A `Retry-After` in seconds, whichever of its two forms it has."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
