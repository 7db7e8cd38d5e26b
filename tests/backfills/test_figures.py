"""Rates, error rates and estimates, from a few kept numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.backfill.figures import ENOUGH_ROWS, ERROR_ROWS, Fit, Recent


def recent(*marks: tuple[float, int, int]) -> Recent:
    found = Recent().plus(0.0, ended=0, failed=0)
    for at_s, ended, failed in marks:
        found = found.plus(at_s, ended=ended, failed=failed)
    return found


def test_rate_is_that_of_the_rows_since_counting_began() -> None:
    assert recent((2.0, 100, 0), (4.0, 100, 0)).rows_per_s(5.0) == pytest.approx(40)


def test_rate_forgets_what_is_older_than_a_minute() -> None:
    marks = [(float(second), 10, 0) for second in range(1, 101)]
    assert recent(*marks).rows_per_s(200.0) == 0
    assert recent(*marks).rows_per_s(100.0) == pytest.approx(10, rel=0.05)


def test_error_rate_is_that_of_the_last_rows() -> None:
    found = recent((1.0, 1000, 0), (3.0, ERROR_ROWS, ERROR_ROWS // 3))
    assert found.failed_share() == pytest.approx(1 / 3)


def test_error_rate_is_not_told_of_a_few_rows() -> None:
    assert recent((1.0, ENOUGH_ROWS - 1, 5)).failed_share() is None


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 500)), max_size=600))
def test_marks_stay_few_and_lose_no_late_row(steps: list[tuple[float, int]]) -> None:
    found, now = Recent().plus(0.0, ended=0, failed=0), 0.0
    for step_s, ended in steps:
        now += step_s
        found = found.plus(now, ended=ended, failed=0)
    assert len(found.marks) <= 402
    assert Recent.of([list(mark) for mark in found.marks]) == found


def test_estimate_follows_the_length_of_rows() -> None:
    chance = random.Random(7)
    sizes = [chance.randint(50, 5000) for _ in range(5000)]
    costs = [0.00001 + size * 2e-8 + chance.gauss(0, 1e-6) for size in sizes]
    fit = Fit()
    for size, cost in list(zip(sizes, costs, strict=True))[:100]:
        fit = fit.plus(size, cost)
    rest, error = fit.rest(4900, sum(sizes[100:]))
    assert rest == pytest.approx(sum(costs[100:]), rel=0.02)
    assert abs(rest - sum(costs[100:])) <= error * 2


def test_rows_of_unknown_cost_count_as_ended_only() -> None:
    fit = Fit().plus(10, None).plus(10, 0.5)
    assert (fit.rows, fit.ended, fit.ended_x) == (1, 2, 20)
    assert Fit.of(fit.numbers()) == fit
