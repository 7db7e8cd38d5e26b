"""Pure: the most that a job may cost, over all its routes and tries."""

from __future__ import annotations

from decimal import Decimal

import orjson

from penstock_client.ledger import NewJob
from penstock_client.routing import CHARS_PER_TOKEN
from penstock_schemas.catalog import Catalog
from penstock_schemas.pricing import token_prices
from penstock_worker.outcome import POISON_CRASHES

#: What providers add to a prompt of their own, in tokens.
_OVERHEAD_TOKENS = 1000


def worst_case_usd(placed: NewJob, catalog: Catalog) -> Decimal | None:
    """The most that a job may cost, in US dollars; None where a price is not known.

    Every byte as a token, the longest answer, each try at the dearest of its routes, and a lost
    call for each worker that may be lost. A repair shows the answer that was wrong once more.
    """
    routes: list[str] = orjson.loads(placed.body)["routes"]
    given = len(placed.body) + placed.output_tokens * CHARS_PER_TOKEN + _OVERHEAD_TOKENS
    dearest = Decimal(0)
    for route in routes:
        prices = token_prices(catalog.resolve(route))
        if prices.input_usd is None or prices.output_usd is None:
            return None
        cost = given * prices.input_usd + placed.output_tokens * prices.output_usd
        dearest = max(dearest, cost)
    return dearest * (placed.max_attempts + POISON_CRASHES)
