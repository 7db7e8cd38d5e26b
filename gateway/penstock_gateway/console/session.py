"""Who looks at the console: whoever logged in with a token of the API, for as long as it is good.

The cookie holds the token itself: scripts cannot read it, other sites cannot make the browser send
it, and it never stands in a page or a URL. So there is no second secret to keep, a revoked token
ends its sessions within seconds, and any gateway serves any of them.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from penstock_client import Penstock
from penstock_client.tokens import Identity, Scope
from penstock_gateway.console.pages import ConsoleRoute, LoggedOut
from penstock_gateway.console.rendering import page
from penstock_gateway.problems import Refused
from penstock_gateway.serving import serving_of
from penstock_schemas.errors import UnknownWorkspace
from penstock_schemas.ids import is_workspace_id

COOKIE: Final = "penstock_session"
#: The workspace that an administrator looked at last.
LAST_WORKSPACE: Final = "penstock_workspace"
#: A session ends after so long, in seconds, whatever happens.
LASTS_S: Final = 12 * 3600
_MOST_FORM_BYTES: Final = 1 << 20
_MOST_TOKEN: Final = 200

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False)


async def _visitor(request: Request) -> Identity:
    token = request.cookies.get(COOKIE)
    identity = await serving_of(request).tokens.identity(token) if token else None
    if identity is None:
        raise LoggedOut
    if request.method not in {"GET", "HEAD"}:
        _refuse_other_sites(request)
    return identity


def _refuse_other_sites(request: Request) -> None:
    """Let only our own pages change anything: browsers say where a request comes from."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    same = site == "same-origin" if site else bool(origin) and _is_here(request, origin or "")
    if not same:
        raise Refused(403, "this came from a page of another site", kind="not-allowed")


def _is_here(request: Request, origin: str) -> bool:
    return urlsplit(origin).netloc == request.headers.get("host")


Visitor = Annotated[Identity, Depends(_visitor)]


def may(visitor: Identity, scope: Scope) -> None:
    """Raises Refused for a visitor whose token lacks a scope."""
    if not visitor.may(scope):
        raise Refused(403, f"your token lacks the scope {scope}", kind="not-allowed")


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form that was sent; each may come several times. Raises Refused."""
    body = await request.body()
    if len(body) > _MOST_FORM_BYTES:
        raise Refused(413, "a form may have 1 MiB at most", kind="too-large")
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=500)
    except (UnicodeDecodeError, ValueError):
        raise Refused(400, "the form cannot be read", kind="invalid") from None


async def workspace_shown(request: Request, visitor: Identity, penstock: Penstock) -> str:
    """The workspace that a page is about: the visitor's own, else the one named by `workspace` in
    the path or the query, else the one looked at last, else the first.

    Raises UnknownWorkspace.
    """
    named = request.path_params.get("workspace") or request.query_params.get("workspace")
    if named:
        if not (is_workspace_id(named) and visitor.sees(named)):
            raise UnknownWorkspace(named[:100])
        return (await penstock.workspaces.get(named)).workspace
    if visitor.workspace is not None:
        return visitor.workspace
    known = await workspaces_of(visitor, penstock)
    last = request.cookies.get(LAST_WORKSPACE)
    if last in known:
        return last
    if not known:
        raise Refused(404, "there is no workspace yet: make one with `penstock workspace create`")
    return known[0]


async def workspaces_of(visitor: Identity, penstock: Penstock) -> list[str]:
    """The workspaces that a visitor may choose from, at most 1,000."""
    if visitor.workspace is not None:
        return [visitor.workspace]
    return [each.workspace for each in await penstock.ledger.workspaces(limit=1000)]


def remember(response: Response, request: Request, workspace: str) -> None:
    """Keep the workspace that was looked at, for pages that name none."""
    response.set_cookie(LAST_WORKSPACE, workspace, **_cookie(request))  # type: ignore[arg-type]


def _cookie(request: Request) -> dict[str, object]:
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    return {
        "httponly": True,
        "samesite": "strict",
        "secure": forwarded == "https",
        "path": "/",
        "max_age": LASTS_S,
    }


@router.get("/login")
async def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - its name in the URL
    """Ask for a token."""
    return page(request, "login.html", None, next=_own_path(next), error=None)


@router.post("/login")
async def login(request: Request) -> Response:
    """Log in with a token."""
    _refuse_other_sites(request)
    form = await form_of(request)
    token = form.get("token", [""])[0].strip()
    following = _own_path(form.get("next", ["/"])[0])
    known = len(token) <= _MOST_TOKEN and await serving_of(request).tokens.identity(token)
    if not known:
        told = "This token is unknown, expired or revoked."
        return page(request, "login.html", None, status=401, next=following, error=told)
    response = RedirectResponse(following, status_code=303)
    response.set_cookie(COOKIE, token, **_cookie(request))  # type: ignore[arg-type]
    return response


@router.post("/logout")
async def logout(_: Visitor) -> Response:
    """Forget the token."""
    response = RedirectResponse("/login", status_code=303)
    for name in (COOKIE, LAST_WORKSPACE):
        response.delete_cookie(name, path="/")
    return response


def _own_path(wanted: str) -> str:
    """A path of this site, whatever was asked for."""
    parts = urlsplit(wanted)
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_own and not parts.netloc and not parts.scheme else "/"
