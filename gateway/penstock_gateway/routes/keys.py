"""Workspaces' own keys for providers: set, tried and taken out; never given back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from penstock_client import Penstock
from penstock_gateway.auth import Connected, KeysWriter, workspace_of
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.config_bodies import KeyBody
from penstock_gateway.naming import WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.views import View
from penstock_gateway.workspace_views import KeyView
from penstock_schemas.errors import UnknownKey, UnknownProvider

router = APIRouter(prefix="/api/v1/llm/providers/{name}/key", tags=["keys"])


class KeySet(View):
    """A key was stored; `key` is what is known of it."""

    success: bool = True
    provider: str
    key: KeyView


class KeyTested(View):
    """What trying the stored key showed; `success`: it works."""

    success: bool
    provider: str
    key: KeyView


@router.post(
    "",
    summary="Set a provider's key",
    openapi_extra=takes(KeyBody, {"api_key": "sk-…"}),
)
async def set_key(
    name: str,
    identity: KeysWriter,
    body: Annotated[KeyBody, Depends(body_of(KeyBody))],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> KeySet:
    """Seal a key, try it with one tiny call by a worker, and store it if it works.

    In force within about a second. Needs the scope `keys:write`.
    """
    of = workspace_of(identity, workspace)
    provider = _provider(penstock, name)
    info = await penstock.keys.set(
        of,
        provider,
        body.api_key.get_secret_value(),
        validate=body.validate_key,
        anyway=body.store_anyway,
    )
    return KeySet(provider=provider, key=KeyView.model_validate(info))


@router.post("/test", summary="Try a stored key")
async def try_key(
    name: str, identity: KeysWriter, penstock: Connected, workspace: WorkspaceQuery = None
) -> KeyTested:
    """Try the stored key with the cheapest real call. Needs the scope `keys:write`."""
    of, provider = workspace_of(identity, workspace), _provider(penstock, name)
    info = await penstock.keys.test(of, provider)
    return KeyTested(
        success=info.works is True, provider=provider, key=KeyView.model_validate(info)
    )


@router.delete("", status_code=204, summary="Take a key out")
async def remove_key(
    name: str, identity: KeysWriter, penstock: Connected, workspace: WorkspaceQuery = None
) -> None:
    """Forget a key: the platform's is used from now on. Needs the scope `keys:write`."""
    of, provider = workspace_of(identity, workspace), _provider(penstock, name)
    if not await penstock.keys.remove(of, provider):
        raise UnknownKey(of, provider)


def _provider(penstock: Penstock, name: str) -> str:
    try:
        return penstock.catalog.provider(name).name
    except UnknownProvider as error:
        raise Refused(404, str(error), kind="unknown-provider") from None
