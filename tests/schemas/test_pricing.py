"""Costs from prices and usage."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock_schemas.catalog import Model
from penstock_schemas.pricing import cache_saved_usd, cost_usd, estimate_usd
from penstock_schemas.usage import Usage


def model(**prices: str | None) -> Model:
    return Model.model_validate(
        {"provider": "p", "name": "m", "wire_id": "m", "display_name": "m", **prices}
    )


PRICED = model(
    input_usd_per_mtok="3",
    output_usd_per_mtok="15",
    cached_input_usd_per_mtok="0.3",
    cache_write_usd_per_mtok="3.75",
)
USAGE = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=600, cache_write_tokens=200)


def test_cost_counts_each_kind_of_token_at_its_own_price() -> None:
    expected = Decimal(200) * 3 + 600 * Decimal("0.3") + 200 * Decimal("3.75") + 100 * 15
    assert cost_usd(PRICED, USAGE) == expected / 1_000_000


def test_cost_is_unknown_where_a_needed_price_is() -> None:
    assert cost_usd(model(), USAGE) is None
    assert cost_usd(model(), Usage()) is None
    only_input = model(input_usd_per_mtok="3")
    assert cost_usd(only_input, Usage(input_tokens=1, output_tokens=1)) is None
    assert cost_usd(only_input, Usage(input_tokens=1, cache_read_tokens=1)) is None


def test_cost_needs_no_price_for_what_was_not_used() -> None:
    assert cost_usd(model(input_usd_per_mtok="1"), Usage(input_tokens=7)) == Decimal("0.000007")


def test_local_models_cost_nothing() -> None:
    local = model(input_usd_per_mtok="0", output_usd_per_mtok="0", cached_input_usd_per_mtok="0")
    assert cost_usd(local, USAGE) == 0


@pytest.mark.parametrize(("given", "taken"), [(1_000_000, 0), (0, 1_000_000)])
def test_estimate_takes_nothing_as_cached(given: int, taken: int) -> None:
    assert estimate_usd(PRICED, given, taken) == (3 if given else 15)


# What prompt caching saved.


def test_saved_is_what_reads_cost_less_and_writes_cost_more() -> None:
    expected = 600 * (Decimal(3) - Decimal("0.3")) - 200 * (Decimal("3.75") - 3)
    assert cache_saved_usd(PRICED, USAGE) == expected / 1_000_000


def test_saved_is_the_difference_between_the_costs_with_and_without_a_cache() -> None:
    plain = Usage(input_tokens=USAGE.input_tokens, output_tokens=USAGE.output_tokens)
    without, with_cache = cost_usd(PRICED, plain), cost_usd(PRICED, USAGE)
    assert without is not None
    assert with_cache is not None
    assert cache_saved_usd(PRICED, USAGE) == without - with_cache


def test_saved_is_below_zero_where_nothing_is_read_again() -> None:
    saved = cache_saved_usd(PRICED, Usage(input_tokens=100, cache_write_tokens=100))
    assert saved == Decimal("-0.000075")


def test_saved_needs_no_price_for_writes() -> None:
    free = model(input_usd_per_mtok="3", cached_input_usd_per_mtok="1")
    assert cache_saved_usd(free, USAGE) == Decimal("0.0012")


@pytest.mark.parametrize(
    "prices", [{}, {"input_usd_per_mtok": "3"}, {"cached_input_usd_per_mtok": "1"}]
)
def test_saved_is_unknown_where_a_needed_price_is(prices: dict[str, str]) -> None:
    assert cache_saved_usd(model(**prices), USAGE) is None
