"""The gateway's HTTP application: the composition root of its process.

`/healthz` says that this process answers and asks nobody else, so that a lost database never
restarts the gateway. `/readyz` says whether the servers behind it answer, for load balancers.
"""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI, Response, status
from pydantic import BaseModel, ConfigDict

from penstock_client.settings import Settings
from penstock_gateway.readiness import check_stack


class Health(BaseModel):
    """The answer of `/healthz`."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One server behind the gateway; `problem` is null when it answered in time."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    duration_ms: float
    problem: str | None


class Readiness(BaseModel):
    """The answer of `/readyz`: 200 and `ready`, or 503 and `unready`, with the checks by server."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ready", "unready"]
    checks: dict[str, Check]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Builds the application; `settings` default to the `PENSTOCK_*` environment."""
    settings = settings or Settings()
    app = FastAPI(title="Penstock", docs_url="/docs", redoc_url=None)

    async def healthz() -> Health:
        return Health()

    async def readyz(response: Response) -> Readiness:
        found = await check_stack(database_url=settings.database_url, redis_url=settings.redis_url)
        ready = all(result.ok for result in found)
        if not ready:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(
            status="ready" if ready else "unready",
            checks={
                result.name: Check(
                    ok=result.ok, duration_ms=result.duration_ms, problem=result.problem
                )
                for result in found
            },
        )

    app.add_api_route("/healthz", healthz, tags=["health"], summary="This process answers")
    app.add_api_route(
        "/readyz",
        readyz,
        tags=["health"],
        summary="Postgres and Redis answer too",
        responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Readiness}},
    )
    return app
