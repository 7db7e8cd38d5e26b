"""What the pages of the settings share: their tabs, the workspace they are about, their answers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_gateway.console.rendering import page, part
from penstock_gateway.console.session import may, remember, workspace_shown, workspaces_of
from penstock_gateway.problems import Refused

#: The tabs: where each is, and what it is called.
TABS: Final = (
    ("/settings", "Providers"),
    ("/settings/routing", "Routing"),
    ("/settings/configurations", "Configurations"),
    ("/settings/budgets", "Budgets and retention"),
    ("/settings/tokens", "API tokens"),
)


async def looked_at(request: Request, visitor: Identity, penstock: Penstock) -> str:
    """The workspace that a page of settings shows. Raises UnknownWorkspace, Refused."""
    may(visitor, "config:read")
    return await workspace_shown(request, visitor, penstock)


async def changed(request: Request, visitor: Identity, penstock: Penstock) -> str:
    """The workspace that a form changes, which an administrator's form names in its address.

    Never the one looked at last: another tab may have looked at another. Raises UnknownWorkspace,
    Refused.
    """
    if visitor.workspace is None and not request.query_params.get("workspace"):
        raise Refused(422, "workspace: say which, your token is of all of them", kind="invalid")
    return await workspace_shown(request, visitor, penstock)


async def tab(
    request: Request,
    visitor: Identity,
    penstock: Penstock,
    template: str,
    *,
    workspace: str,
    **shown: Any,
) -> Response:
    """One tab as a whole page."""
    response = page(
        request,
        template,
        visitor,
        workspace=workspace,
        workspaces=await workspaces_of(visitor, penstock),
        tabs=TABS,
        may_change=visitor.may("config:write"),
        **shown,
    )
    remember(response, request, workspace)
    return response


def is_quick(request: Request) -> bool:
    """Whether htmx asks, which takes a part of the page."""
    return "hx-request" in request.headers


def back(path: str, workspace: str) -> Response:
    """The page again, after a form that was sent without htmx."""
    return RedirectResponse(f"{path}?workspace={workspace}", status_code=303)


def section(template: str, **shown: Any) -> Response:
    """A part of a page, which no cache keeps."""
    response = part(template, **shown)
    response.headers["cache-control"] = "no-store"
    return response


def last(form: dict[str, list[str]], name: str) -> str:
    """What was filled in, without the spaces around it; '' for nothing."""
    return form.get(name, [""])[-1].strip()
