"""Workspaces and their configuration, cached in memory for five minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock_client.ledger import Ledger, WorkspaceConfig
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import ConfigurationError, InvalidJob, UnknownWorkspace
from penstock_schemas.ids import is_workspace_id

#: How long a configuration is believed before it is read again.
CACHE_S = 300.0
MOST_WEIGHT = 1000


class Workspaces:
    """Look up, list, create and change workspaces."""

    def __init__(
        self, ledger: Ledger, models: Catalog, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._models = models
        self._clock = clock
        self._cache: dict[str, tuple[float, WorkspaceConfig]] = {}

    async def get(self, workspace: str) -> WorkspaceConfig:
        """The configuration of a workspace, at most five minutes old; raises UnknownWorkspace."""
        cached = self._cache.get(workspace)
        if cached is not None and self._clock() - cached[0] < CACHE_S:
            return cached[1]
        found = await self._ledger.workspaces(workspace)
        if not found:
            raise UnknownWorkspace(workspace)
        self._cache[workspace] = (self._clock(), found[0])
        return found[0]

    async def list(self) -> list[WorkspaceConfig]:
        """All workspaces, by name."""
        return await self._ledger.workspaces()

    async def create(self, workspace: str, *, monthly_tokens: int | None) -> bool:
        """Create a workspace with the default routing; False when it exists already.

        `monthly_tokens` None is unlimited. Raises InvalidJob for a name that cannot be one.
        """
        if not is_workspace_id(workspace):
            raise InvalidJob(
                f"workspace: {workspace!r} must be lower case letters, digits, '.', '_' or '-', "
                "at most 63, starting with a letter or digit",
                field="workspace",
            )
        routing = {
            name: default.model
            for name, default in self._models.capabilities.items()
            if name != "embed"
        }
        self._cache.pop(workspace, None)
        return await self._ledger.create_workspace(
            workspace, routing=routing, monthly_tokens=monthly_tokens
        )

    async def set(
        self,
        workspace: str,
        *,
        weight: float | None = None,
        budget: tuple[int | None] | None = None,
    ) -> None:
        """Change a workspace's weight and its monthly tokens, `(None,)` for unlimited.

        What is None stays. Raises UnknownWorkspace, and ConfigurationError for a weight that is
        not from 0.001 to 1000.
        """
        if weight is not None and not 0.001 <= weight <= MOST_WEIGHT:
            raise ConfigurationError(f"weight: {weight:g} is not from 0.001 to {MOST_WEIGHT}")
        self._cache.pop(workspace, None)
        if not await self._ledger.set_workspace(workspace, weight=weight, budget=budget):
            raise UnknownWorkspace(workspace)
