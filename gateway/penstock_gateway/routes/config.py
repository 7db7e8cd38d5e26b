"""A workspace's LLM configuration and its named configurations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.auth import ConfigReader, ConfigWriter, Connected, needs, workspace_of
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.config_bodies import ConfigBody, ConfigurationBody, NewConfiguration
from penstock_gateway.naming import WorkspaceQuery
from penstock_gateway.problems import FieldError, Refused
from penstock_gateway.workspace_views import (
    Configurations,
    ConfigurationView,
    LlmConfig,
    configuration_view,
    configuration_views,
    llm_config,
)
from penstock_schemas.errors import (
    ConfigurationError,
    KeyRefused,
    KeyUntested,
    UnknownConfiguration,
)
from penstock_schemas.workspaces import ConfigurationChanges, WorkspaceChanges

router = APIRouter(prefix="/api/workspaces/{workspace}/llm", tags=["configuration"])
named = APIRouter(prefix="/api/v1/llm/configs", tags=["configuration"])

_EXAMPLE = {
    "providers": {"openai": {"api_key": "sk-…"}},
    "routing": {"reason": "openai/gpt-4o"},
}
_NAMED_EXAMPLE = {"name": "nightly", "primary": "openai/gpt-4o-mini", "daily_usd": "5"}


@router.get(
    "/config",
    summary="Routing, providers, budgets and configurations",
    dependencies=[needs("config:read")],
)
async def get_config(workspace: str, penstock: Connected) -> LlmConfig:
    """The workspace's configuration as it stands now. Needs the scope `config:read`."""
    return await _shown(penstock, workspace)


@router.post(
    "/config",
    summary="Set provider keys, routing and budgets",
    openapi_extra=takes(ConfigBody, _EXAMPLE),
)
async def set_config(
    workspace: str,
    identity: ConfigWriter,
    body: Annotated[ConfigBody, Depends(body_of(ConfigBody))],
    penstock: Connected,
) -> LlmConfig:
    """Change what is named; the rest stays. Each key is tried with one tiny call, and stored sealed
    only if it works; then the rest is changed. A key that fails changes nothing but keys that
    worked. Needs `config:write`, and `keys:write` where there are keys.
    """
    changes = body.changes()
    await penstock.workspaces.read(workspace)
    _check_names(penstock, body, changes)
    keyed = {name: c for name, c in body.providers.items() if "api_key" in c.model_fields_set}
    if keyed:
        _check_may_set_keys(identity)
        await _set_keys(penstock, workspace, body, list(keyed))
    if changes.model_fields_set:
        await penstock.workspaces.set(workspace, changes)
    return await _shown(penstock, workspace)


async def _shown(penstock: Penstock, workspace: str) -> LlmConfig:
    config = await penstock.workspaces.read(workspace)
    return llm_config(config, await penstock.keys.list(workspace), penstock.catalog)


def _check_may_set_keys(identity: Identity) -> None:
    if not identity.may("keys:write"):
        raise Refused(403, "this token lacks the scope keys:write", kind="not-allowed")


def _check_names(penstock: Penstock, body: ConfigBody, changes: WorkspaceChanges) -> None:
    """Refuse what `set` would refuse before any key is tried."""
    errors: list[FieldError] = []
    names: list[tuple[str, Any, str]] = [
        (f"providers.{name}", penstock.catalog.provider, name) for name in body.providers
    ]
    for capability, models in changes.routing.items():
        names += [
            (f"routing.{capability}", penstock.catalog.resolve, name) for name in models or ()
        ]
    for field, look_up, name in names:
        try:
            look_up(name)
        except ConfigurationError as error:
            errors.append(FieldError(field=field, message=str(error)))
    if errors:
        raise Refused(
            422, "some names are unknown; nothing was changed", kind="invalid", errors=errors
        )


async def _set_keys(
    penstock: Penstock, workspace: str, body: ConfigBody, providers: Sequence[str]
) -> None:
    async def change(provider: str) -> FieldError | None:
        key = body.providers[provider].api_key
        if key is None:
            await penstock.keys.remove(workspace, provider)
            return None
        try:
            await penstock.keys.set(
                workspace,
                provider,
                key.get_secret_value(),
                validate=body.validate_keys,
                anyway=body.store_anyway,
            )
        except (KeyRefused, KeyUntested, ConfigurationError) as error:
            return FieldError(field=f"providers.{provider}.api_key", message=str(error))
        return None

    found = await asyncio.gather(*(change(provider) for provider in providers))
    errors = [error for error in found if error is not None]
    if errors:
        told = "some keys could not be stored; nothing else was changed"
        raise Refused(422, told, kind="key-refused", errors=errors)


@named.get("", summary="List named configurations")
async def list_configurations(
    identity: ConfigReader, penstock: Connected, workspace: WorkspaceQuery = None
) -> Configurations:
    """The configurations of the token's workspace. Needs the scope `config:read`."""
    config = await penstock.workspaces.read(workspace_of(identity, workspace))
    return Configurations(configurations=configuration_views(config))


@named.post(
    "",
    status_code=201,
    summary="Make or change a named configuration",
    openapi_extra=takes(NewConfiguration, _NAMED_EXAMPLE),
)
async def make_configuration(
    identity: ConfigWriter,
    body: Annotated[NewConfiguration, Depends(body_of(NewConfiguration))],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> ConfigurationView:
    """Make a configuration, or change the one of that name. Needs the scope `config:write`."""
    name = workspace_of(identity, workspace)
    return await _set(penstock, name, body.name, body, is_default=body.is_default)


@named.get("/{name}", summary="Get a named configuration")
async def get_configuration(
    name: str, identity: ConfigReader, penstock: Connected, workspace: WorkspaceQuery = None
) -> ConfigurationView:
    """A configuration, with what it has spent. Needs the scope `config:read`."""
    config = await penstock.workspaces.read(workspace_of(identity, workspace))
    try:
        found = config.configuration(name)
    except UnknownConfiguration as error:
        raise Refused(404, str(error), kind="unknown-configuration") from None
    return configuration_view(found, default=config.default_configuration)


@named.put(
    "/{name}",
    summary="Change a named configuration",
    openapi_extra=takes(ConfigurationBody, {"fallback": "openai/gpt-4o-mini"}),
)
async def change_configuration(
    name: str,
    identity: ConfigWriter,
    body: Annotated[ConfigurationBody, Depends(body_of(ConfigurationBody))],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> ConfigurationView:
    """Change what is named; the rest stays. Makes one that is not there. Scope `config:write`."""
    of = workspace_of(identity, workspace)
    return await _set(penstock, of, name, body, is_default=body.is_default)


@named.delete("/{name}", status_code=204, summary="Remove a named configuration")
async def remove_configuration(
    name: str, identity: ConfigWriter, penstock: Connected, workspace: WorkspaceQuery = None
) -> None:
    """Remove a configuration that is not the default one. Needs the scope `config:write`."""
    of = workspace_of(identity, workspace)
    try:
        await penstock.workspaces.remove_configuration(of, name)
    except UnknownConfiguration as error:
        raise Refused(404, str(error), kind="unknown-configuration") from None


async def _set(
    penstock: Penstock, workspace: str, name: str, body: ConfigurationChanges, *, is_default: bool
) -> ConfigurationView:
    given = body.model_fields_set.difference({"name", "is_default"})
    changes = ConfigurationChanges(**{field: getattr(body, field) for field in given})
    config = await penstock.workspaces.set_configuration(workspace, name, changes)
    if is_default:
        config = await penstock.workspaces.set(workspace, default_configuration=name)
    return configuration_view(config.configuration(name), default=config.default_configuration)
