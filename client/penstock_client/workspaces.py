"""Workspaces and their configuration: the one service that reads and changes them.

A process believes a configuration for five minutes, and hears at once of changes that were made
through here in any process, by a message on Redis. While Redis is away the five minutes stand.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import asyncpg
from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.gates import forget_rooms
from penstock_client.ledger import Ledger, WorkspaceConfig
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import (
    ConfigurationError,
    InvalidJob,
    UnknownConfiguration,
    UnknownWorkspace,
)
from penstock_schemas.ids import is_workspace_id
from penstock_schemas.keys import CHANGED
from penstock_schemas.workspaces import (
    KEY_CHECK,
    MOST_NAMES,
    NEW_MAX_TOKENS,
    NEW_MONTHLY_TOKENS,
    NEW_TEMPERATURE,
    ConfigurationChanges,
    WorkspaceChanges,
    checked,
)

#: How long a configuration is believed before it is read again.
CACHE_S = 300.0
#: Told of a workspace whose configuration has changed, with the names of its configurations.
OnChanged = Callable[[str, Sequence[str]], Awaitable[None]]


class Workspaces:
    """Look up, list, create and change workspaces and their named configurations."""

    def __init__(
        self,
        ledger: Ledger,
        models: Callable[[], Catalog],
        *,
        on_changed: OnChanged | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._models = models
        self._on_changed = on_changed
        self._clock = clock
        self._cache: dict[str, tuple[float, WorkspaceConfig]] = {}
        self._forgotten = 0

    async def get(self, workspace: str) -> WorkspaceConfig:
        """The configuration of a workspace, at most five minutes old; raises UnknownWorkspace."""
        cached = self._cache.get(workspace)
        if cached is not None and self._clock() - cached[0] < CACHE_S:
            return cached[1]
        return await self.read(workspace)

    async def read(self, workspace: str) -> WorkspaceConfig:
        """The configuration as it stands now, with what is used; raises UnknownWorkspace."""
        forgotten = self._forgotten
        found = await self._ledger.workspaces(workspace)
        self._cache.pop(workspace, None)
        if not found:
            raise UnknownWorkspace(workspace)
        if forgotten == self._forgotten:  # else it may have been changed while it was read
            self._cache[workspace] = (self._clock(), found[0])
        return found[0]

    async def list(
        self, *, after: str | None = None, limit: int | None = None
    ) -> list[WorkspaceConfig]:
        """Workspaces by name, all of them or a page of those after the name `after`."""
        return await self._ledger.workspaces(after=after, limit=limit)

    async def create(
        self, workspace: str, *, monthly_tokens: int | None = NEW_MONTHLY_TOKENS
    ) -> bool:
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
            for name, default in self._models().capabilities.items()
            if name != "embed"
        }
        return await self._ledger.create_workspace(
            workspace, routing=routing, monthly_tokens=monthly_tokens
        )

    async def set(
        self, workspace: str, changes: WorkspaceChanges | None = None, **fields: Any
    ) -> WorkspaceConfig:
        """Change a workspace by the fields of `WorkspaceChanges`; what is not named stays.

        Returns the configuration as it stands then. In force at once, everywhere. Raises
        UnknownWorkspace, UnknownConfiguration, UnknownProvider, UnknownModel, and
        ConfigurationError that names the field.
        """
        changes = changes or checked(WorkspaceChanges, fields)
        given = changes.model_dump(include=changes.model_fields_set)
        config = await self.read(workspace)
        if "default_configuration" in given:
            config.configuration(changes.default_configuration)
        for capability, models in changes.routing.items():
            self._check_models(f"routing.{capability}", models or ())
        _check_room("routing", config.routing, changes.routing)
        for provider in changes.providers:
            self._models().provider(provider)
        if "routing" in given:
            given["routing"] = {
                capability: models[0] if models is not None and len(models) == 1 else models
                for capability, models in changes.routing.items()
            }
        if "providers" in given:
            given["providers"] = {name: {"enabled": on} for name, on in changes.providers.items()}
        try:
            await self._ledger.change_workspace(workspace, given)
        except asyncpg.ForeignKeyViolationError:  # it was removed meanwhile
            known = tuple(config.configurations)
            raise UnknownConfiguration(workspace, changes.default_configuration, known) from None
        except asyncpg.InvalidParameterValueError:
            zone = changes.time_zone
            raise ConfigurationError(f"time_zone: Postgres does not know {zone!r}") from None
        return await self.changed(workspace)

    async def set_configuration(
        self, workspace: str, name: str, changes: ConfigurationChanges | None = None, **fields: Any
    ) -> WorkspaceConfig:
        """Make a configuration, or change one by the fields of `ConfigurationChanges`.

        A new one has a temperature of 0.7 and 4,096 `max_tokens` unless they are given. Returns and
        raises as `set` does.
        """
        changes = changes or checked(ConfigurationChanges, fields)
        if name == KEY_CHECK or not is_workspace_id(name):
            told = f"configuration: {name!r} cannot be the name of one"
            raise ConfigurationError(f"{told}: use lower case letters, digits, '.', '_' or '-'")
        config = await self.read(workspace)
        _check_room("configurations", config.configurations, (name,))
        before = config.configurations.get(name)
        _check_room("task_routing", before.task_routing if before else (), changes.task_routing)
        self._check_models("primary", (changes.primary,))
        self._check_models("fallback", (changes.fallback,))
        for task, model in changes.task_routing.items():
            self._check_models(f"task_routing.{task}", (model,))
        given = changes.model_dump(include=changes.model_fields_set)
        new = {"temperature": NEW_TEMPERATURE, "max_tokens": NEW_MAX_TOKENS}
        if not await self._ledger.set_configuration(workspace, name, given, new=new):
            raise UnknownWorkspace(workspace)
        return await self.changed(workspace)

    async def remove_configuration(self, workspace: str, name: str) -> WorkspaceConfig:
        """Remove a configuration; jobs that named it and have not run draw on no money budget.

        Raises UnknownWorkspace, UnknownConfiguration, and ConfigurationError for the default one.
        """
        config = await self.read(workspace)
        config.configuration(name)
        if name == config.default_configuration:
            raise ConfigurationError(
                f"configuration: {name!r} is the default one of workspace {workspace}; "
                "make another the default first"
            )
        with contextlib.suppress(asyncpg.ForeignKeyViolationError):  # it became the default one
            if await self._ledger.remove_configuration(workspace, name):
                return await self.changed(workspace)
        raise ConfigurationError(f"configuration: {name!r} was changed meanwhile; try again")

    async def changed(self, workspace: str) -> WorkspaceConfig:
        """Something of a workspace was changed: read it again here, and have others do so."""
        config = await self.read(workspace)
        if self._on_changed is not None:
            await self._on_changed(workspace, tuple(config.configurations))
        return config

    def forget(self, workspace: str | None) -> None:
        """Read a workspace again when it is next asked for; None: all of them."""
        self._forgotten += 1
        if workspace is None:
            self._cache.clear()
        else:
            self._cache.pop(workspace, None)

    def _check_models(self, field: str, models: Sequence[str | None]) -> None:
        for name in filter(None, models):
            try:
                self._models().resolve(name)
            except ConfigurationError as error:
                error.args = (f"{field}: {error}",)
                raise


def _check_room(field: str, present: Collection[str], given: Collection[str]) -> None:
    """No field grows without bounds, however many changes are made to it."""
    if len({*present, *given}) > MOST_NAMES:
        raise ConfigurationError(f"{field}: more than {MOST_NAMES} names; take some out first")


def announcer(redis: ArqRedis, models: Callable[[], Catalog]) -> OnChanged:
    """Tells all processes of a change, and has jobs look again that wait for room in a budget."""

    async def announce(workspace: str, configurations: Sequence[str]) -> None:
        providers = [provider.name for provider in models().providers]
        with contextlib.suppress(*REDIS_AWAY):  # then it is found out within five minutes
            await redis.publish(CHANGED, workspace)  # pyright: ignore[reportUnknownMemberType]
            await forget_rooms(redis, providers, workspace, configurations)

    return announce
