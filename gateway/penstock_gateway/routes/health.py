"""Whether this process answers, and whether the servers behind it do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response, status
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


def health_router(settings: Callable[[], Settings]) -> APIRouter:
    """`/healthz` asks nobody else, so that a lost database never restarts the gateway; `/readyz`
    asks the servers, for load balancers.
    """
    router = APIRouter(tags=["health"])

    async def healthz() -> Health:
        return Health()

    async def readyz(response: Response) -> Readiness:
        where = settings()
        found = await check_stack(database_url=where.database_url, redis_url=where.redis_url)
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

    router.add_api_route("/healthz", healthz, summary="This process answers")
    router.add_api_route(
        "/readyz",
        readyz,
        summary="Postgres and Redis answer too",
        responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Readiness}},
    )
    return router
