"""Routes of pages: errors are pages too, and who is not logged in goes to the login."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import quote

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from penstock_client.connections import AWAY
from penstock_gateway.console.rendering import page, part
from penstock_gateway.problems import problem_of
from penstock_schemas.errors import PenstockError

_TITLES: Final = {
    400: "That cannot be read",
    403: "Not yours to do",
    404: "Not found",
    422: "That cannot be done",
    503: "Try again in a moment",
}


class LoggedOut(Exception):
    """Nobody is logged in; the page is shown after a login."""


class ConsoleRoute(APIRoute):
    """A route that answers its errors as HTML, never with what was sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with errors told as a page, or as a note to htmx."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except LoggedOut:
                return _to_login(request)
            except HTTPException as error:
                return told(request, error.status_code, error.detail)
            except RequestValidationError:
                return told(request, 422, "A parameter of this page cannot be accepted.")
            except (PenstockError, *AWAY) as error:
                known = problem_of(error, request_id=request.scope.get("request_id"))
                if known is None:
                    raise
                detail = orjson.loads(bytes(known.body)).get("detail") or ""
                return told(request, known.status_code, detail)

        return handled


def _to_login(request: Request) -> Response:
    """Where a visitor goes who is not logged in; htmx goes there as a whole page."""
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": "/login"})
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    follows = request.method == "GET" and wanted != "/"
    target = f"/login?next={quote(wanted)}" if follows else "/login"
    return RedirectResponse(target, status_code=303)


def told(request: Request, status: int, detail: str) -> Response:
    """An error as a page; to htmx as a note, which is shown above the page that stays."""
    title = _TITLES.get(status, "Something went wrong")
    if request.headers.get("hx-request"):
        response = part("_note.html", kind="fault", title=title, detail=detail)
        response.headers["hx-retarget"] = "#notes"
        response.headers["hx-reswap"] = "innerHTML"
        return response
    return page(request, "error.html", None, status=status, title=title, detail=detail)
