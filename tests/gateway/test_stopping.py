"""A gateway that is told to stop: whoever only waits is answered at once."""

from __future__ import annotations

import asyncio
import time

import httpx
import uvicorn

from penstock_client import Penstock, Settings
from penstock_gateway.app import create_app
from penstock_gateway.awaiting import Waits
from penstock_gateway.server import Server
from tests.gateway.conftest import Ticket


async def test_waits_end_when_they_are_stopped() -> None:
    waits = Waits()

    async def wait() -> bool:
        try:
            async with waits.within(60):
                await asyncio.Event().wait()
        except TimeoutError:
            return True
        return False

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waits.stop()
    async with asyncio.timeout(10):
        assert await waiting
        assert await wait()  # one that comes late


async def test_server_that_stops_answers_long_polls_as_pending(
    empty: Settings, penstock: Penstock, ticket: Ticket
) -> None:
    token = (await penstock.tokens.create("t", workspace="acme")).secret
    app = create_app(empty)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=20
    )
    server = Server(config, app.state.serving)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        job_id = (await client.post("/v1/jobs", json=ticket())).json()["job_id"]
        polling = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait_s=60", timeout=30))
        waits = app.state.serving.waits
        async with asyncio.timeout(10):
            while not waits.count:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        server.should_exit = True
        answer = await polling
    await serving
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert time.monotonic() - began < 10
