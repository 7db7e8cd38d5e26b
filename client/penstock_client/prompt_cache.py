"""Pure: the ledger's counts of prompt caching, with what it saved by the catalogue's prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_client.ledger.rows import CacheUse
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import UnknownModel, UnknownProvider
from penstock_schemas.pricing import cache_saved_usd
from penstock_schemas.usage import Usage


def priced(counts: Mapping[str, Any], catalog: Catalog) -> CacheUse:
    """A row of the query `prompt_cache`, with what was saved.

    That is None for a model whose provider the catalogue does not know.
    """
    used = Usage(
        input_tokens=counts["input_tokens"],
        cache_read_tokens=counts["read_tokens"],
        cache_write_tokens=counts["written_tokens"],
    )
    try:
        model = catalog.resolve(f"{counts['provider']}/{counts['model']}")
    except (UnknownModel, UnknownProvider):
        return CacheUse(**counts, saved_usd=None)
    return CacheUse(**counts, saved_usd=cache_saved_usd(model, used))
