"""All pages of the console, and the files that they load."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from penstock_gateway.console import (
    backfills,
    jobs,
    overview,
    playground,
    runs,
    session,
    settings,
    usage,
)
from penstock_gateway.console.pulse import Pulses
from penstock_gateway.console.rendering import STATIC


class _Static(StaticFiles):
    """Files that may be kept for ever: their addresses change with what is in them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or 404."""
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def install(app: FastAPI) -> None:
    """Add the console to an application."""
    app.state.pulses = Pulses(lambda: app.state.serving.connection.penstock)
    app.mount("/static", _Static(directory=STATIC), name="static")
    for router in _routers():
        app.include_router(router)


def _routers() -> tuple[APIRouter, ...]:
    return (
        session.router,
        overview.router,
        jobs.router,
        playground.router,
        backfills.router,
        runs.router,
        settings.router,
        usage.router,
    )
