"""Pure: (error, attempt, routes) -> what happens to the job. Table-driven; decides by kind alone.

Source of the rules: the error references of the providers, cited in `providers/failures.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind

#: The wait before a retry doubles from the first to the last, in seconds, with full jitter.
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 60.0
#: How long a job waits when its credential has nothing left and the provider gives no hint.
QUOTA_PAUSE_S = 60.0
#: A job whose worker was lost this many times is not started again.
POISON_CRASHES = 3


class Again(Enum):
    """How often the same route is tried for a kind of error."""

    NEVER = "never"
    ONCE = "once"  # not after the same error
    CHARGED = "charged"  # as long as attempts are left
    FREE = "free"  # as long as it takes; waiting consumes no attempt


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of error means: the same route again, and another route afterwards."""

    again: Again
    other_route: bool


RULES: dict[ErrorKind, Rule] = {
    ErrorKind.RATE_LIMITED: Rule(Again.FREE, other_route=False),
    ErrorKind.QUOTA_EXHAUSTED: Rule(Again.FREE, other_route=False),
    ErrorKind.OVERLOADED: Rule(Again.CHARGED, other_route=True),
    ErrorKind.SLOW_DOWN: Rule(Again.CHARGED, other_route=True),
    ErrorKind.SERVER_ERROR: Rule(Again.CHARGED, other_route=True),
    ErrorKind.CONNECT_ERROR: Rule(Again.CHARGED, other_route=True),
    ErrorKind.INTERRUPTED: Rule(Again.ONCE, other_route=True),
    ErrorKind.MALFORMED_ANSWER: Rule(Again.ONCE, other_route=True),
    ErrorKind.LENGTH: Rule(Again.ONCE, other_route=False),
    ErrorKind.INVALID_OUTPUT: Rule(Again.ONCE, other_route=True),
    ErrorKind.REQUEST_EXCEEDS_LIMIT: Rule(Again.NEVER, other_route=True),
    ErrorKind.AUTHENTICATION: Rule(Again.NEVER, other_route=True),
    ErrorKind.PERMISSION: Rule(Again.NEVER, other_route=True),
    ErrorKind.MODEL_NOT_FOUND: Rule(Again.NEVER, other_route=True),
    ErrorKind.CONTEXT_LENGTH: Rule(Again.NEVER, other_route=True),
    ErrorKind.UNSUPPORTED: Rule(Again.NEVER, other_route=True),
    ErrorKind.MISSING_KEY: Rule(Again.NEVER, other_route=True),
    ErrorKind.CONTENT_FILTER: Rule(Again.NEVER, other_route=False),
    ErrorKind.REFUSAL: Rule(Again.NEVER, other_route=False),
    ErrorKind.INVALID_REQUEST: Rule(Again.NEVER, other_route=False),
    ErrorKind.BUDGET_EXCEEDED: Rule(Again.NEVER, other_route=False),
    ErrorKind.CANCELLED: Rule(Again.NEVER, other_route=False),
    ErrorKind.EXPIRED: Rule(Again.NEVER, other_route=False),
    ErrorKind.POISON: Rule(Again.NEVER, other_route=False),
    ErrorKind.INTERNAL: Rule(Again.NEVER, other_route=False),
}


@dataclass(frozen=True, slots=True)
class Retry:
    """The same route again after `wait_s`; `charge` says whether it counts as a try."""

    wait_s: float
    charge: bool


@dataclass(frozen=True, slots=True)
class Reroute:
    """The next route, at once."""

    route: str


@dataclass(frozen=True, slots=True)
class Fail:
    """No route is left."""


Outcome = Retry | Reroute | Fail


def decide(
    error: ProviderError,
    *,
    number: int,
    tries: int,
    max_attempts: int,
    last_error: ErrorKind | None,
    route: str,
    routes: tuple[str, ...],
    remaining_s: float | None,
    jitter: Callable[[], float],
) -> Outcome:
    """What follows from a failed attempt.

    `number` is the attempt's, `tries` counts earlier ones that were charged; `remaining_s` is the
    time left until the job's deadline; `jitter` gives a number from 0 to 1.
    """
    rule = RULES[error.kind]
    left = tries + 1 < max_attempts
    wait_s = _wait_s(error, number, jitter)
    in_time = remaining_s is None or wait_s < remaining_s
    if in_time and _same_route(rule.again, error.kind, last_error, left=left):
        return Retry(wait_s, charge=rule.again is not Again.FREE)
    following = _next_route(route, routes)
    if rule.other_route and left and following is not None:
        return Reroute(following)
    return Fail()


def _same_route(again: Again, kind: ErrorKind, last: ErrorKind | None, *, left: bool) -> bool:
    match again:
        case Again.NEVER:
            return False
        case Again.ONCE:
            return left and last is not kind
        case Again.CHARGED:
            return left
        case Again.FREE:
            return True


def _wait_s(error: ProviderError, number: int, jitter: Callable[[], float]) -> float:
    if error.retry_after_s is not None:
        return error.retry_after_s + jitter() * 0.5
    if error.kind is ErrorKind.QUOTA_EXHAUSTED:
        return QUOTA_PAUSE_S
    if RULES[error.kind].again is Again.ONCE:
        return 0.0
    ceiling = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2.0 ** min(number - 1, 16))
    return ceiling * (0.5 + 0.5 * jitter())


def _next_route(route: str, routes: tuple[str, ...]) -> str | None:
    if route not in routes:
        return None
    following = routes.index(route) + 1
    return routes[following] if following < len(routes) else None
