"""What a call cost, and what one may cost: pure arithmetic over the catalogue's prices.

Settlement asks for the cost of an attempt, admission for the estimate that it reserves, routing
by strategy for the estimate that it compares, and reports for what prompt caching saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from penstock_schemas.catalog import Model
from penstock_schemas.usage import Usage

_MTOK = Decimal(1_000_000)


def cost_usd(model: Model, usage: Usage) -> Decimal | None:
    """The cost of a call in US dollars, cache reads and writes at their own prices.

    None if a price that it needs is unknown, which does not mean free; local models cost 0.
    """
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    plain = max(usage.input_tokens - read - written, 0)
    return _sum_usd(
        model,
        (plain, model.input_usd_per_mtok),
        (read, model.cached_input_usd_per_mtok),
        (written, _write_price(model)),
        (usage.output_tokens, model.output_usd_per_mtok),
    )


def estimate_usd(model: Model, input_tokens: int, output_tokens: int) -> Decimal | None:
    """The cost of so many tokens in US dollars with nothing cached, or None if unknown."""
    given, taken = model.input_usd_per_mtok, model.output_usd_per_mtok
    return _sum_usd(model, (input_tokens, given), (output_tokens, taken))


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """The most that one token of a model costs, in and out, in US dollars; None is unknown."""

    input_usd: Decimal | None
    output_usd: Decimal | None


UNPRICED = TokenPrices(None, None)


def token_prices(model: Model) -> TokenPrices:
    """What a call reserves for each token: input may all be written to the provider's cache."""
    given, taken = model.input_usd_per_mtok, model.output_usd_per_mtok
    if given is None:
        return UNPRICED
    dearest = max(given, model.cache_write_usd_per_mtok or Decimal(0))
    none_out = model.kind == "embedding" and taken is None
    taken = Decimal(0) if none_out else taken
    return TokenPrices(dearest / _MTOK, None if taken is None else taken / _MTOK)


def is_priced(model: Model) -> bool:
    """Whether what a call of a model costs is known."""
    prices = token_prices(model)
    return prices.input_usd is not None and prices.output_usd is not None


def cache_saved_usd(model: Model, usage: Usage) -> Decimal | None:
    """What prompt caching saved on a call in US dollars; below 0 where its writes cost more.

    That is what the tokens read from the cache would have cost as plain input, less what they cost,
    less the surcharge of the tokens written to it. None if a price that it needs is unknown.
    """
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    plain = _sum_usd(model, (read + written, model.input_usd_per_mtok))
    cached = _sum_usd(
        model, (read, model.cached_input_usd_per_mtok), (written, _write_price(model))
    )
    return None if plain is None or cached is None else plain - cached


def _sum_usd(model: Model, *priced: tuple[int, Decimal | None]) -> Decimal | None:
    """Tokens at their prices; None if a price that is needed is unknown."""
    total = Decimal(0)
    for tokens, price in priced:
        if not tokens:
            continue
        if price is None:
            return None
        total += tokens * price
    return total / _MTOK if total or _unused_is_free(model) else None


def _unused_is_free(model: Model) -> bool:
    """Whether a call of no tokens is known to cost nothing."""
    return model.input_usd_per_mtok is not None


def _write_price(model: Model) -> Decimal | None:
    """Where no price for cache writes is listed, writes are ordinary input."""
    written = model.cache_write_usd_per_mtok
    return model.input_usd_per_mtok if written is None else written
