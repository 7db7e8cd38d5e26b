"""Usage and its sum."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock_schemas.usage import NO_USAGE, Usage

TOKENS = st.integers(0, 10**12)
USAGE = st.builds(
    Usage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cache_read_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    estimated=st.booleans(),
)


@settings(deadline=None)
@given(USAGE, USAGE)
def test_usage_adds_each_kind_of_token(one: Usage, other: Usage) -> None:
    both = one + other
    kinds = set(Usage.model_fields) - {"estimated"}
    assert {k: getattr(both, k) for k in kinds} == {
        k: getattr(one, k) + getattr(other, k) for k in kinds
    }


@settings(deadline=None)
@given(USAGE, USAGE)
def test_usage_is_estimated_when_a_part_of_it_is(one: Usage, other: Usage) -> None:
    assert (one + other).estimated is (one.estimated or other.estimated)


@settings(deadline=None)
@given(USAGE)
def test_usage_plus_nothing_is_itself(usage: Usage) -> None:
    assert usage + NO_USAGE == usage == NO_USAGE + usage


@settings(deadline=None)
@given(USAGE, USAGE, USAGE)
def test_usage_sums_alike_in_any_order(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (c + b)


def test_usage_total_does_not_count_parts_twice() -> None:
    usage = Usage(
        input_tokens=100,
        output_tokens=20,
        cache_read_tokens=60,
        cache_write_tokens=10,
        reasoning_tokens=15,
    )
    assert usage.total_tokens == 120


def test_usage_is_frozen() -> None:
    with pytest.raises(ValidationError):
        NO_USAGE.input_tokens = 1  # type: ignore[misc]
