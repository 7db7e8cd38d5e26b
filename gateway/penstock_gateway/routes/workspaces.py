"""Workspaces themselves, and their API tokens; for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from penstock_gateway.auth import Connected, needs
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.config_bodies import NewWorkspace, TokenBody
from penstock_gateway.problems import Refused
from penstock_gateway.workspace_views import (
    NewTokenView,
    TokenList,
    TokenView,
    Workspaces,
    WorkspaceView,
    workspace_view,
)
from penstock_schemas.workspaces import WorkspaceChanges

router = APIRouter(prefix="/api/workspaces", tags=["workspaces"])


@router.get("", summary="List workspaces", dependencies=[needs("admin")])
async def list_workspaces(
    penstock: Connected,
    after: Annotated[
        str | None, Query(max_length=63, pattern=r"^[^\x00]+$", description="The next page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Workspaces:
    """Workspaces by name. Needs the scope `admin`."""
    found = await penstock.workspaces.list(after=after, limit=limit)
    return Workspaces(
        workspaces=[workspace_view(config) for config in found],
        next=found[-1].workspace if len(found) == limit else None,
    )


@router.post(
    "",
    status_code=201,
    summary="Make a workspace",
    openapi_extra=takes(NewWorkspace, {"workspace": "acme", "monthly_tokens": 2_000_000}),
    dependencies=[needs("admin")],
)
async def make_workspace(
    body: Annotated[NewWorkspace, Depends(body_of(NewWorkspace))],
    penstock: Connected,
) -> WorkspaceView:
    """A workspace with the default routing; 409 if it is there already. Needs the scope `admin`."""
    if not await penstock.workspaces.create(body.workspace, monthly_tokens=body.monthly_tokens):
        raise Refused(409, f"workspace {body.workspace!r} is there already", kind="exists")
    return workspace_view(await penstock.workspaces.read(body.workspace))


@router.get("/{workspace}", summary="Get a workspace", dependencies=[needs("config:read")])
async def get_workspace(workspace: str, penstock: Connected) -> WorkspaceView:
    """A workspace, with what it has used. Needs the scope `config:read`."""
    return workspace_view(await penstock.workspaces.read(workspace))


@router.patch(
    "/{workspace}",
    summary="Change a workspace",
    openapi_extra=takes(WorkspaceChanges, {"weight": 3, "budget_mode": "hard"}),
    dependencies=[needs("admin")],
)
async def change_workspace(
    workspace: str,
    body: Annotated[WorkspaceChanges, Depends(body_of(WorkspaceChanges))],
    penstock: Connected,
) -> WorkspaceView:
    """Change what is named; the rest stays. In force at once. Needs the scope `admin`."""
    return workspace_view(await penstock.workspaces.set(workspace, body))


@router.get(
    "/{workspace}/tokens", summary="List API tokens", tags=["tokens"], dependencies=[needs("admin")]
)
async def list_tokens(workspace: str, penstock: Connected) -> TokenList:
    """The tokens of a workspace, revoked ones too. Needs the scope `admin`."""
    await penstock.workspaces.get(workspace)
    found = await penstock.tokens.list(workspace)
    return TokenList(tokens=[TokenView.model_validate(info) for info in found])


@router.post(
    "/{workspace}/tokens",
    status_code=201,
    summary="Make an API token",
    tags=["tokens"],
    openapi_extra=takes(TokenBody, {"name": "crawler", "scopes": ["jobs:read", "jobs:write"]}),
    dependencies=[needs("admin")],
)
async def make_token(
    workspace: str,
    body: Annotated[TokenBody, Depends(body_of(TokenBody))],
    penstock: Connected,
) -> NewTokenView:
    """A token of this workspace; `token` is shown this once. Needs the scope `admin`."""
    made = await penstock.tokens.create(
        body.name, workspace=workspace, scopes=body.scopes, expires_at=body.expires_at
    )
    shown = TokenView.model_validate(made.info)
    return NewTokenView(**shown.model_dump(), token=made.secret)


@router.delete(
    "/{workspace}/tokens/{token_id}",
    summary="Revoke an API token",
    tags=["tokens"],
    dependencies=[needs("admin")],
)
async def revoke_token(workspace: str, token_id: str, penstock: Connected) -> TokenView:
    """End a token: within seconds it is refused everywhere. Needs the scope `admin`."""
    return TokenView.model_validate(await penstock.tokens.revoke(token_id, workspace=workspace))
