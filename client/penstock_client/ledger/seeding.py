"""The packaged catalogue into the ledger's tables, each time that the database is migrated.

An operator's edits outlive it: see `queries/seed_models.sql` for how they are told apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from penstock_client.ledger.queries import query
from penstock_schemas.catalog import Catalog, Model, Provider

if TYPE_CHECKING:
    from penstock_client.ledger.ledger import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """The rows that a seeding added and those that it changed, as `provider` or `provider/model`.

    A changed row may keep every value that its operator had set.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed)


async def seed_catalogue(connection: Connection, catalog: Catalog, *, today: date) -> Seeded:
    """Write a catalogue's providers and models; needs the tables of migration 2.

    Atomic and idempotent. `today` decides which models are still active. Fields that an operator
    has changed, rows of their own and rows that have left the catalogue are kept.
    """
    providers = [_provider_row(provider) for provider in catalog.providers]
    models = [_model_row(model, today) for model in catalog.models]
    async with connection.transaction():
        await connection.execute(query("lock_catalogue"))
        rows = await connection.fetch(query("seed_providers"), json.dumps(providers))
        found = [(row["name"], row["is_new"]) for row in rows]
        rows = await connection.fetch(query("seed_models"), json.dumps(models))
        found += [(f"{row['provider']}/{row['model_id']}", row["is_new"]) for row in rows]
    return Seeded(
        added=tuple(sorted(name for name, is_new in found if is_new)),
        changed=tuple(sorted(name for name, is_new in found if not is_new)),
    )


def _provider_row(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "display_name": provider.display_name,
        "base_url": provider.base_url,
        "auth_type": provider.auth_type,
        "wire": provider.wire,
        "supported_features": sorted(provider.features),
        "supports_embeddings": provider.embeddings,
        "is_local": provider.local,
        "is_active": True,
    }


def _model_row(model: Model, today: date) -> dict[str, Any]:
    fields = model.model_dump(mode="json", include=_SAME_IN_BOTH)
    return {
        **fields,
        "model_id": model.name,
        "capabilities": sorted(model.capabilities),
        "is_active": model.is_active(today),
    }


#: The columns of `llm_models` that are named as the fields of `Model`. Prices go as text.
_SAME_IN_BOTH = {
    "provider",
    "wire_id",
    "display_name",
    "kind",
    "context_window",
    "max_output_tokens",
    "dimensions",
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "cache_write_usd_per_mtok",
    "long_context_above_tokens",
    "long_context_factor",
    "speed_tier",
    "quality_tier",
    "size_category",
    "retires_on",
}
