"""Configurations of a workspace for tests of routing."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock_client.ledger.rows import WorkspaceConfig
from penstock_schemas.ids import WorkspaceId


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
