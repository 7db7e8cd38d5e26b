"""The gateway's HTTP application: the composition root of its process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.params import Depends as Dependency
from fastapi.telemetry import TelemetryConfig

from penstock_client.ledger import NewJob
from penstock_client.settings import Settings
from penstock_client.tokens import Identity
from penstock_gateway import problems
from penstock_gateway.auth import Allowed
from penstock_gateway.awaiting import Waits
from penstock_gateway.connection import Connection
from penstock_gateway.console import router as console
from penstock_gateway.metrics import metrics_router, readings_of
from penstock_gateway.openapi import DESCRIPTION, TITLE, describe
from penstock_gateway.routes import (
    backfills,
    catalogue,
    config,
    health,
    job,
    jobs,
    keys,
    many,
    operations,
    runs,
    skills,
    usage,
    webhooks,
    workspaces,
)
from penstock_gateway.serving import Serving
from penstock_gateway.shell import Shell
from penstock_gateway.sse import Readers
from penstock_gateway.submits import Submits
from penstock_gateway.token_cache import TokenCache
from penstock_gateway.trace_context import TraceContext
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import JobId

#: FastAPI's own spans tell the messages of errors, which may quote what was sent.
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
}


#: The routes of the API that need no place of their own.
_PARTS: Final = (
    job,
    skills,
    runs,
    backfills,
    config,
    keys,
    usage,
    catalogue,
    workspaces,
    operations,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Builds the application; `settings` default to the `PENSTOCK_*` environment."""

    @cache
    def loaded() -> Settings:
        return settings or Settings.load()

    serving = _serving(Connection(loaded))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with serving.connection:
            yield
            await serving.submits.close()
            await serving.tokens.close()
            await app.state.pulses.close()
            with suppress(Unavailable):  # where there never was a connection
                await readings().close()

    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=version("penstock-gateway"),
        docs_url=None,  # its page loads from other hosts
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.serving = serving
    app.openapi = lambda: describe(app)
    problems.install(app)
    bounds = loaded()
    app.add_middleware(TraceContext)
    app.add_middleware(
        Shell,
        most_body_bytes=bounds.max_body_bytes,
        body_within_s=bounds.body_timeout_s,
    )
    app.include_router(jobs.router)  # first: nothing is asked as often
    app.include_router(many.router)
    app.include_router(health.health_router(loaded))
    guards: Sequence[Dependency] = () if bounds.metrics_open else (Depends(Allowed("metrics")),)
    readings = readings_of(lambda: serving.connection.penstock)
    app.include_router(metrics_router(readings, guards=guards))
    for part in _PARTS:
        app.include_router(part.router)
    app.include_router(config.named)
    console.install(app)
    app.include_router(webhooks.router)
    return app


def _serving(connection: Connection) -> Serving:
    async def check(token: str) -> Identity | None:
        return await connection.penstock.tokens.check(token)

    async def record(placed: Sequence[NewJob]) -> list[JobId]:
        return await connection.penstock.record(placed)

    return Serving(connection, TokenCache(check), Submits(record), Readers(), Waits())
