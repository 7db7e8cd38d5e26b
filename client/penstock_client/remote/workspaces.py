"""`workspaces` over HTTP; each method promises what that of `Workspaces` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic import TypeAdapter

from penstock_client.ledger import WorkspaceConfig
from penstock_client.remote.http import Http
from penstock_client.remote.problems import Exists
from penstock_client.workspaces import Workspaces
from penstock_schemas.workspaces import (
    NEW_MONTHLY_TOKENS,
    ConfigurationChanges,
    WorkspaceChanges,
    checked,
)

_CONFIG: Final = TypeAdapter(WorkspaceConfig)
_PAGE: Final = 1000


class RemoteWorkspaces(Workspaces):
    """Look up, list, create and change workspaces and their named configurations.

    Tokens of one workspace see that one alone; creating and listing needs an administrator's.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self, workspace: str) -> WorkspaceConfig:
        """The configuration of a workspace; raises UnknownWorkspace."""
        return await self.read(workspace)

    async def read(self, workspace: str) -> WorkspaceConfig:
        """The configuration as it stands now, with what is used; raises UnknownWorkspace."""
        return _config(await self._http.get(_path(workspace)))

    async def list(
        self, *, after: str | None = None, limit: int | None = None
    ) -> list[WorkspaceConfig]:
        """Workspaces by name, all of them or a page of those after the name `after`."""
        names: list[str] = []
        while limit is None or len(names) < limit:
            most = _PAGE if limit is None else min(_PAGE, limit - len(names))
            found = await self._http.get("/api/workspaces", {"after": after, "limit": most})
            names += [each["workspace"] for each in found["workspaces"]]
            after = found["next"]
            if after is None:
                break
        return [await self.read(name) for name in names]

    async def create(
        self, workspace: str, *, monthly_tokens: int | None = NEW_MONTHLY_TOKENS
    ) -> bool:
        """Create a workspace with the default routing; False when it exists already."""
        body = {"workspace": workspace, "monthly_tokens": monthly_tokens}
        try:
            await self._http.ask("POST", "/api/workspaces", body, repeatable=False)
        except Exists:
            return False
        return True

    async def set(
        self, workspace: str, changes: WorkspaceChanges | None = None, **fields: Any
    ) -> WorkspaceConfig:
        """Change a workspace by the fields of `WorkspaceChanges`; what is not named stays."""
        given = _given(changes or checked(WorkspaceChanges, fields))
        if "providers" in given:
            switched: Mapping[str, bool] = given["providers"]
            given["providers"] = {name: {"enabled": on} for name, on in switched.items()}
        return _config(await self._http.ask("POST", _path(workspace), given))

    async def set_configuration(
        self, workspace: str, name: str, changes: ConfigurationChanges | None = None, **fields: Any
    ) -> WorkspaceConfig:
        """Make a configuration, or change one by the fields of `ConfigurationChanges`."""
        given = _given(changes or checked(ConfigurationChanges, fields))
        await self._http.ask("PUT", _named(name), given, params={"workspace": workspace})
        return await self.read(workspace)

    async def remove_configuration(self, workspace: str, name: str) -> WorkspaceConfig:
        """Remove a configuration that is not the default one; see `Workspaces`."""
        of = {"workspace": workspace}
        await self._http.ask("DELETE", _named(name), params=of, repeatable=False)
        return await self.read(workspace)

    async def changed(self, workspace: str) -> WorkspaceConfig:
        """The configuration as it stands now: a gateway tells of changes by itself."""
        return await self.read(workspace)

    def forget(self, workspace: str | None) -> None:
        """Nothing is remembered here."""


def _path(workspace: str) -> str:
    return f"/api/workspaces/{quote(workspace, safe='')}/llm/config"


def _named(name: str) -> str:
    return f"/api/v1/llm/configs/{quote(name, safe='')}"


def _given(changes: WorkspaceChanges | ConfigurationChanges) -> dict[str, Any]:
    return changes.model_dump(mode="json", include=changes.model_fields_set)


def _config(shown: Mapping[str, Any]) -> WorkspaceConfig:
    providers: list[Mapping[str, Any]] = shown["providers"]
    named: list[Mapping[str, Any]] = shown["configurations"]
    routing: Mapping[str, str | list[str]] = shown["routing"]
    return _CONFIG.validate_python(
        {
            **shown,
            "routing": {
                name: (models,) if isinstance(models, str) else tuple(models)
                for name, models in routing.items()
            },
            "providers": {each["provider"]: False for each in providers if not each["enabled"]},
            "own_keys": {
                each["provider"]: each["fingerprint"] for each in providers if each["fingerprint"]
            },
            "configurations": {each["name"]: each for each in named},
        }
    )
