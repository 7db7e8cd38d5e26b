"""What follows from a failed attempt: the table, the limits, the waits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_worker.outcome import (
    BACKOFF_LAST_S,
    QUOTA_PAUSE_S,
    RULES,
    Again,
    Fail,
    Outcome,
    Reroute,
    Retry,
    Shut,
    decide,
    shut_by,
    works,
)

ROUTES = ("openai/a", "anthropic/b", "google/c")
FREE = {ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED}
CHARGED = {
    ErrorKind.OVERLOADED,
    ErrorKind.SLOW_DOWN,
    ErrorKind.SERVER_ERROR,
    ErrorKind.CONNECT_ERROR,
}
ONCE = {
    ErrorKind.INTERRUPTED,
    ErrorKind.MALFORMED_ANSWER,
    ErrorKind.INVALID_OUTPUT,
    ErrorKind.LENGTH,
}
#: Another model or key may do what this one cannot.
REROUTED_AT_ONCE = {
    ErrorKind.REQUEST_EXCEEDS_LIMIT,
    ErrorKind.AUTHENTICATION,
    ErrorKind.PERMISSION,
    ErrorKind.MODEL_NOT_FOUND,
    ErrorKind.CONTEXT_LENGTH,
    ErrorKind.UNSUPPORTED,
    ErrorKind.MISSING_KEY,
}
#: Nothing that Penstock could do would change the answer.
FINAL = {
    ErrorKind.CONTENT_FILTER,
    ErrorKind.REFUSAL,
    ErrorKind.INVALID_REQUEST,
    ErrorKind.BUDGET_EXCEEDED,
    ErrorKind.CANCELLED,
    ErrorKind.EXPIRED,
    ErrorKind.QUEUE_TIMEOUT,
    ErrorKind.POISON,
    ErrorKind.INTERNAL,
}
WAITING = FREE | CHARGED
SHUTTING = {
    ErrorKind.AUTHENTICATION,
    ErrorKind.PERMISSION,
    ErrorKind.MODEL_NOT_FOUND,
    ErrorKind.QUOTA_EXHAUSTED,
}
REROUTABLE = (CHARGED | ONCE | REROUTED_AT_ONCE) - {ErrorKind.LENGTH}


def decided(kind: ErrorKind, *, retry_after_s: float | None = None, **changes: Any) -> Outcome:
    error = ProviderError(kind, "told", provider="openai", retry_after_s=retry_after_s)
    given_values: dict[str, Any] = {
        "number": 1,
        "tries": 0,
        "max_attempts": 5,
        "last_error": None,
        "route": ROUTES[0],
        "routes": ROUTES,
        "remaining_s": None,
        "jitter": lambda: 0.5,
    }
    return decide(error, **(given_values | changes))


def waited(outcome: Outcome) -> float:
    assert isinstance(outcome, Retry)
    return outcome.wait_s


def test_every_kind_of_error_has_its_rule() -> None:
    assert set(RULES) == set(ErrorKind)
    assert set(ErrorKind) == FREE | CHARGED | ONCE | REROUTED_AT_ONCE | FINAL


@pytest.mark.parametrize("kind", sorted(FREE))
def test_waiting_for_a_limit_is_never_charged(kind: ErrorKind) -> None:
    outcome = decided(kind, tries=4, number=40, routes=ROUTES[:1])
    assert isinstance(outcome, Retry) and not outcome.charge


def test_an_empty_credential_goes_to_the_next_route_uncharged() -> None:
    outcome = decided(ErrorKind.QUOTA_EXHAUSTED, tries=4)
    assert outcome == Reroute(ROUTES[1], charge=False)


@pytest.mark.parametrize("kind", sorted(CHARGED))
def test_passing_trouble_is_retried_and_charged(kind: ErrorKind) -> None:
    outcome = decided(kind, last_error=kind)
    assert isinstance(outcome, Retry) and outcome.charge


@pytest.mark.parametrize("kind", sorted(ONCE))
def test_a_bad_answer_is_asked_again_at_once_and_charged(kind: ErrorKind) -> None:
    assert decided(kind) == Retry(0.0, charge=True)


@pytest.mark.parametrize("kind", sorted(ONCE - {ErrorKind.LENGTH}))
def test_a_bad_answer_twice_running_goes_to_the_next_route(kind: ErrorKind) -> None:
    assert decided(kind, last_error=kind) == Reroute(ROUTES[1])


def test_an_answer_cut_off_twice_running_fails() -> None:
    assert decided(ErrorKind.LENGTH, last_error=ErrorKind.LENGTH) == Fail()


@pytest.mark.parametrize("kind", sorted(ONCE))
def test_a_bad_answer_after_another_kind_of_error_is_asked_again(kind: ErrorKind) -> None:
    assert decided(kind, last_error=ErrorKind.SERVER_ERROR) == Retry(0.0, charge=True)


@pytest.mark.parametrize("kind", sorted(REROUTED_AT_ONCE))
def test_what_this_route_cannot_do_goes_to_the_next_at_once(kind: ErrorKind) -> None:
    assert decided(kind) == Reroute(ROUTES[1])


@pytest.mark.parametrize("kind", sorted(FINAL))
def test_what_no_route_can_change_fails(kind: ErrorKind) -> None:
    assert decided(kind) == Fail()


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - FREE))
def test_the_last_attempt_fails_whatever_the_routes(kind: ErrorKind) -> None:
    assert decided(kind, tries=4) == Fail()


@pytest.mark.parametrize("kind", sorted(REROUTED_AT_ONCE))
@pytest.mark.parametrize(
    ("route", "following"),
    [
        (ROUTES[1], Reroute(ROUTES[2])),
        (ROUTES[2], Fail()),
        ("xai/elsewhere", Fail()),
    ],
)
def test_routes_are_taken_in_order_to_their_end(
    kind: ErrorKind, route: str, following: Outcome
) -> None:
    assert decided(kind, route=route) == following


@pytest.mark.parametrize("kind", [ErrorKind.AUTHENTICATION, ErrorKind.QUOTA_EXHAUSTED])
def test_the_credentials_trouble_is_left_behind_with_its_provider(kind: ErrorKind) -> None:
    outcome = decided(kind, routes=("openai/a", "openai/b", "google/c"))
    assert isinstance(outcome, Reroute) and outcome.route == "google/c"


# Deadlines.


@pytest.mark.parametrize("kind", sorted(CHARGED))
def test_a_wait_beyond_the_deadline_goes_to_the_next_route(kind: ErrorKind) -> None:
    assert decided(kind, remaining_s=0.1) == Reroute(ROUTES[1])


@pytest.mark.parametrize("kind", sorted(FREE))
def test_a_limit_without_another_route_never_waits_beyond_the_deadline(kind: ErrorKind) -> None:
    outcome = decided(kind, retry_after_s=30, remaining_s=0.0, routes=ROUTES[:1])
    assert outcome == Fail()


def test_a_limit_that_lasts_beyond_the_deadline_goes_to_the_next_route_uncharged() -> None:
    outcome = decided(ErrorKind.RATE_LIMITED, retry_after_s=30, remaining_s=20, tries=4)
    assert outcome == Reroute(ROUTES[1], charge=False)


@pytest.mark.parametrize("kind", sorted(WAITING))
def test_a_wait_within_the_deadline_is_waited(kind: ErrorKind) -> None:
    outcome = decided(kind, remaining_s=QUOTA_PAUSE_S + 1, routes=ROUTES[:1])
    assert isinstance(outcome, Retry)


# Waits.


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(WAITING - {ErrorKind.QUOTA_EXHAUSTED})),
    number=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
)
def test_backoff_doubles_up_to_a_minute_and_is_spread_over_half_of_it(
    kind: ErrorKind, number: int, jitter: float
) -> None:
    outcome = decided(kind, number=number, jitter=lambda: jitter)
    ceiling = min(BACKOFF_LAST_S, 2.0 ** min(number - 1, 20))
    assert ceiling / 2 <= waited(outcome) <= ceiling


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted((WAITING | ONCE) - {ErrorKind.QUOTA_EXHAUSTED})),
    hint_s=st.floats(0, 1e6),
    number=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
)
def test_the_providers_hint_is_waited_out_and_hardly_exceeded(
    kind: ErrorKind, hint_s: float, number: int, jitter: float
) -> None:
    outcome = decided(kind, retry_after_s=hint_s, number=number, jitter=lambda: jitter)
    assert hint_s <= waited(outcome) <= hint_s + 0.5


def test_an_empty_credential_is_held_by_its_gate_not_by_each_job() -> None:
    outcome = decided(ErrorKind.QUOTA_EXHAUSTED, retry_after_s=30, routes=ROUTES[:1])
    assert waited(outcome) == 0.0


# Gates, and what an error says of the provider.


def refused(kind: ErrorKind, *, retry_after_s: float | None = None) -> ProviderError:
    return ProviderError(kind, "told", provider="openai", status=400, retry_after_s=retry_after_s)


def test_an_empty_credential_without_a_hint_is_shut_for_a_while() -> None:
    shut = shut_by(refused(ErrorKind.QUOTA_EXHAUSTED))
    assert shut == Shut(of_model=False, state="quota_spent", for_s=QUOTA_PAUSE_S)


def test_an_empty_credential_is_shut_until_the_providers_date() -> None:
    shut = shut_by(refused(ErrorKind.QUOTA_EXHAUSTED, retry_after_s=7200))
    assert shut is not None and shut.for_s == 7200


@pytest.mark.parametrize("kind", [ErrorKind.PERMISSION, ErrorKind.MODEL_NOT_FOUND])
def test_what_a_key_may_not_use_shuts_that_model_alone(kind: ErrorKind) -> None:
    shut = shut_by(refused(kind))
    assert shut is not None and shut.of_model


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - SHUTTING))
def test_other_errors_shut_nothing(kind: ErrorKind) -> None:
    assert shut_by(refused(kind)) is None


def test_what_was_never_answered_shuts_nothing() -> None:
    error = ProviderError(ErrorKind.AUTHENTICATION, "told", provider="openai")
    assert shut_by(error) is None


@pytest.mark.parametrize("kind", sorted(ErrorKind))
def test_breakers_count_trouble_of_the_provider_not_limits_nor_jobs(kind: ErrorKind) -> None:
    trouble = CHARGED | {ErrorKind.INTERRUPTED, ErrorKind.MALFORMED_ANSWER}
    silent = SHUTTING | {ErrorKind.RATE_LIMITED, ErrorKind.REQUEST_EXCEEDS_LIMIT}
    assert works(kind) is (False if kind in trouble else None if kind in silent else True)


# Laws.


@settings(deadline=None)
@given(
    kind=st.sampled_from(ErrorKind),
    number=st.integers(1, 100),
    tries=st.integers(0, 60),
    max_attempts=st.integers(1, 50),
    last_error=st.none() | st.sampled_from(ErrorKind),
    route=st.sampled_from(ROUTES),
    remaining_s=st.none() | st.floats(-10, 100),
    retry_after_s=st.none() | st.floats(0, 100),
)
def test_no_job_is_charged_beyond_its_attempts_nor_waits_beyond_its_deadline(
    kind: ErrorKind,
    tries: int,
    max_attempts: int,
    remaining_s: float | None,
    retry_after_s: float | None,
    **rest: Any,
) -> None:
    outcome = decided(
        kind,
        tries=tries,
        max_attempts=max_attempts,
        remaining_s=remaining_s,
        retry_after_s=retry_after_s,
        **rest,
    )
    if isinstance(outcome, Retry):
        assert not outcome.charge or tries + 1 < max_attempts
        assert remaining_s is None or outcome.wait_s < remaining_s
        assert outcome.charge is (RULES[kind].again is not Again.FREE)
    if isinstance(outcome, Reroute):
        assert not outcome.charge or tries + 1 < max_attempts
        assert kind in REROUTABLE | FREE
        assert outcome.charge is (RULES[kind].again is not Again.FREE)
        assert ROUTES.index(outcome.route) == ROUTES.index(rest["route"]) + 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(set(ErrorKind) - FREE)), min_size=12, max_size=12))
def test_any_run_of_charged_failures_ends_within_its_attempts(kinds: list[ErrorKind]) -> None:
    tries, last, route = 0, None, ROUTES[0]
    for number, kind in enumerate(kinds, start=1):
        outcome = decided(kind, number=number, tries=tries, last_error=last, route=route)
        if isinstance(outcome, Fail):
            break
        tries, last = tries + 1, kind
        route = outcome.route if isinstance(outcome, Reroute) else route
    assert tries < 5
