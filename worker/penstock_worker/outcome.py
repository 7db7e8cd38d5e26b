"""Pure: (error, attempt, routes) -> what happens to the job, and what it says of the provider.

Table-driven; decides by kind alone.

Source of the rules: the error references of the providers, cited in `providers/failures.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind

#: The wait before a retry doubles from the first to the last, in seconds, with full jitter.
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 60.0
#: How long a gate stays shut before a call tries it, in seconds, where the provider gives no hint.
QUOTA_PAUSE_S = 60.0
BAD_KEY_S = 300.0
NO_ACCESS_S = 600.0
#: How long to hold after "slow down" without a hint, in seconds.
SLOW_DOWN_S = 15.0
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
    """What one kind of error means: the same route again, and another route afterwards.

    `elsewhere`: only a route at another provider helps, since it is the credential's trouble.
    """

    again: Again
    other_route: bool
    elsewhere: bool = False


RULES: dict[ErrorKind, Rule] = {
    ErrorKind.RATE_LIMITED: Rule(Again.FREE, other_route=False),
    ErrorKind.QUOTA_EXHAUSTED: Rule(Again.FREE, other_route=True, elsewhere=True),
    ErrorKind.OVERLOADED: Rule(Again.CHARGED, other_route=True),
    ErrorKind.SLOW_DOWN: Rule(Again.CHARGED, other_route=True),
    ErrorKind.SERVER_ERROR: Rule(Again.CHARGED, other_route=True),
    ErrorKind.CONNECT_ERROR: Rule(Again.CHARGED, other_route=True),
    ErrorKind.INTERRUPTED: Rule(Again.ONCE, other_route=True),
    ErrorKind.MALFORMED_ANSWER: Rule(Again.ONCE, other_route=True),
    ErrorKind.LENGTH: Rule(Again.ONCE, other_route=False),
    ErrorKind.INVALID_OUTPUT: Rule(Again.ONCE, other_route=True),
    ErrorKind.REQUEST_EXCEEDS_LIMIT: Rule(Again.NEVER, other_route=True),
    ErrorKind.AUTHENTICATION: Rule(Again.NEVER, other_route=True, elsewhere=True),
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
    ErrorKind.QUEUE_TIMEOUT: Rule(Again.NEVER, other_route=False),
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
    """The next route, at once; `charge` says whether it counts as a try."""

    route: str
    charge: bool = True


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
    free = rule.again is Again.FREE
    following = _next_route(route, routes, elsewhere=rule.elsewhere)
    if free and rule.other_route and following is not None:
        return Reroute(following, charge=False)
    wait_s = _wait_s(error, number, jitter)
    in_time = remaining_s is None or wait_s < remaining_s
    if in_time and _same_route(rule.again, error.kind, last_error, left=left):
        return Retry(wait_s, charge=not free)
    if following is not None and (free or (rule.other_route and left)):
        return Reroute(following, charge=not free)
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
    if error.kind is ErrorKind.QUOTA_EXHAUSTED:
        return 0.0  # its credential's gate holds it
    if error.retry_after_s is not None:
        return error.retry_after_s + jitter() * 0.5
    if RULES[error.kind].again is Again.ONCE:
        return 0.0
    ceiling = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2.0 ** min(number - 1, 16))
    return ceiling * (0.5 + 0.5 * jitter())


def _next_route(route: str, routes: tuple[str, ...], *, elsewhere: bool) -> str | None:
    if route not in routes:
        return None
    left = routes[routes.index(route) + 1 :]
    here = f"{route.partition('/')[0]}/"
    return next((other for other in left if not (elsewhere and other.startswith(here))), None)


@dataclass(frozen=True, slots=True)
class Shut:
    """A gate that an error shuts: a credential, or its access to one model."""

    of_model: bool
    state: str
    for_s: float


_SHUTS: dict[ErrorKind, Shut] = {
    ErrorKind.AUTHENTICATION: Shut(of_model=False, state="bad_key", for_s=BAD_KEY_S),
    ErrorKind.QUOTA_EXHAUSTED: Shut(of_model=False, state="quota_spent", for_s=QUOTA_PAUSE_S),
    ErrorKind.PERMISSION: Shut(of_model=True, state="no_access", for_s=NO_ACCESS_S),
    ErrorKind.MODEL_NOT_FOUND: Shut(of_model=True, state="model_not_found", for_s=NO_ACCESS_S),
}

_FAILURES = frozenset(
    {
        ErrorKind.OVERLOADED,
        ErrorKind.SLOW_DOWN,
        ErrorKind.SERVER_ERROR,
        ErrorKind.CONNECT_ERROR,
        ErrorKind.INTERRUPTED,
        ErrorKind.MALFORMED_ANSWER,
    }
)
_SILENT = frozenset({*_SHUTS, ErrorKind.RATE_LIMITED, ErrorKind.REQUEST_EXCEEDS_LIMIT})


def shut_by(error: ProviderError) -> Shut | None:
    """The gate that an error shuts, for as long as the provider says or as is usual."""
    found = _SHUTS.get(error.kind)
    if found is None or error.status is None:
        return None
    hint_s = error.retry_after_s
    return found if hint_s is None else replace(found, for_s=max(hint_s, 1.0))


def works(kind: ErrorKind) -> bool | None:
    """What an error says of the provider: that it works, that it fails, or nothing (None)."""
    if kind in _FAILURES:
        return False
    return None if kind in _SILENT else True
