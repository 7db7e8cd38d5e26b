"""Configurations of a workspace, and catalogues, for tests of routing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from penstock_client.ledger.rows import WorkspaceConfig
from penstock_schemas.catalog import CapabilityDefault, Catalog, Model, Provider
from penstock_schemas.ids import WorkspaceId

TEXT_CAPABILITIES = ("generate", "reason", "extract", "classify")


def config(**routing: tuple[str, ...]) -> WorkspaceConfig:
    """The workspace `acme` without a budget, and with this routing."""
    now = datetime.now(UTC)
    return WorkspaceConfig(
        workspace=WorkspaceId("acme"),
        routing=routing,
        monthly_tokens=None,
        tokens_used=0,
        budget_resets_at=now,
        created_at=now,
    )


def model(ref: str, price: str | None = "1", **fields: Any) -> Model:
    """A model of 100,000 tokens that costs `price` both ways."""
    provider, _, name = ref.partition("/")
    usual = {
        "display_name": name,
        "context_window": 100_000,
        "capabilities": ["json", "schema"],
        "input_usd_per_mtok": price,
        "output_usd_per_mtok": price,
    }
    return Model.model_validate({"provider": provider, "name": name, **usual, **fields})


def made_of(*models: Model, embed: str = "a/vectors") -> Catalog:
    """A catalogue of these models, where the first is the default, and of one for vectors."""
    vectors = model("a/vectors", kind="embedding", capabilities=[], dimensions=100)
    default = CapabilityDefault(model=models[0].ref, max_output_tokens=1000)
    names = {row.provider for row in (*models, vectors)}
    return Catalog(
        providers=tuple(
            Provider(name=name, display_name=name, base_url="http://localhost")
            for name in sorted(names)
        ),
        models=(*models, vectors),
        capabilities={
            **dict.fromkeys(TEXT_CAPABILITIES, default),
            "embed": CapabilityDefault(model=embed),
        },
        detection={},
    )
