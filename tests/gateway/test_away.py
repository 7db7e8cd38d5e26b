"""The gateway while its servers are away."""

from __future__ import annotations

import asyncio

from penstock_client import Penstock, Settings
from tests.gateway.conftest import client_of, serving

NOWHERE = {
    "redis_url": "redis://127.0.0.1:1/0",
    "database_url": "postgresql://u:secret@127.0.0.1:1/x",
}
TOKEN = f"pst_{'0' * 16}_{'A' * 43}"


async def test_gateway_starts_without_its_servers_and_says_503(settings: Settings) -> None:
    away = settings.model_copy(update={**NOWHERE, "deadline_s": 0.2})
    async with serving(away) as app, client_of(app, TOKEN) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.get("/v1/jobs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "secret" not in answer.text


async def test_gateway_without_settings_still_answers_health(settings: Settings) -> None:
    none = settings.model_copy(update={"redis_url": None, "database_url": None})
    async with serving(none) as app, client_of(app, TOKEN) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/v1/jobs")).status_code == 503


async def test_gateway_serves_once_its_servers_are_there(
    penstock: Penstock, empty: Settings
) -> None:
    token = (await penstock.tokens.create("t", workspace="acme")).secret
    away = empty.model_copy(update={**NOWHERE, "deadline_s": 0.2})
    async with serving(away) as app, client_of(app, token) as client:
        assert (await client.get("/v1/jobs")).status_code == 503
        for name in ("redis_url", "database_url"):
            object.__setattr__(away, name, getattr(empty, name))
        async with asyncio.timeout(20):
            while (await client.get("/v1/jobs")).status_code == 503:
                await asyncio.sleep(0.05)
        assert (await client.get("/v1/jobs")).status_code == 200
