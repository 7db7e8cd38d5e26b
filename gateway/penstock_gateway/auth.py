"""Who asks, and what they may see.

A token of one workspace finds nothing of another, by whatever route: the answer is the one for what
does not exist.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer

from penstock_client import Penstock
from penstock_client.tokens import Identity, Scope
from penstock_gateway.problems import Refused
from penstock_gateway.serving import serving_of
from penstock_schemas.errors import UnknownWorkspace
from penstock_schemas.ids import is_workspace_id

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Allowed(HTTPBearer):
    """A dependency: the caller, who has a scope and sees the workspace that the path names."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(
            auto_error=False,
            scheme_name="token",
            description="A token of `penstock workspace token create`, or of POST "
            "/api/workspaces/{workspace}/tokens. Each operation says which scope it needs.",
        )
        self.scope: Scope = scope

    async def __call__(self, request: Request) -> Identity:  # pyright: ignore[reportIncompatibleMethodOverride] - it gives who it is
        """Raises Refused, and UnknownWorkspace for one that this token does not see."""
        credentials = await super().__call__(request)
        if credentials is None:
            told = "send a token, as `Authorization: Bearer pst_…`"
            raise Refused(401, told, kind="no-token", headers=_CHALLENGE)
        identity = await serving_of(request).tokens.identity(credentials.credentials)
        if identity is None:
            told = "this token is unknown, expired or revoked"
            raise Refused(401, told, kind="no-token", headers=_CHALLENGE)
        if not identity.may(self.scope):
            raise Refused(403, f"this token lacks the scope {self.scope}", kind="not-allowed")
        named: str | None = request.path_params.get("workspace")
        if named is not None and not (is_workspace_id(named) and identity.sees(named)):
            raise UnknownWorkspace(named)
        return identity


def needs(scope: Scope) -> Dependency:
    """A guard for routes that do not ask who it is."""
    return Dependency(Allowed(scope))


async def _connected(request: Request) -> Penstock:
    return serving_of(request).connection.penstock


Connected = Annotated[Penstock, Depends(_connected)]
JobsReader = Annotated[Identity, Depends(Allowed("jobs:read"))]
JobsWriter = Annotated[Identity, Depends(Allowed("jobs:write"))]
ConfigReader = Annotated[Identity, Depends(Allowed("config:read"))]
ConfigWriter = Annotated[Identity, Depends(Allowed("config:write"))]
KeysWriter = Annotated[Identity, Depends(Allowed("keys:write"))]
UsageReader = Annotated[Identity, Depends(Allowed("usage:read"))]
Admin = Annotated[Identity, Depends(Allowed("admin"))]


def workspace_of(identity: Identity, named: str | None) -> str:
    """The workspace that a request is about: the token's own, or the one it names.

    Raises UnknownWorkspace for another's, Refused where a token of all names none.
    """
    if named is None:
        if identity.workspace is None:
            raise Refused(422, "workspace: say which, this token is of all of them", kind="invalid")
        return identity.workspace
    if not identity.sees(named):
        raise UnknownWorkspace(named)
    return named
