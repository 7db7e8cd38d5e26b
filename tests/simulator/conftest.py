"""A running simulator and a client that speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest

from penstock_worker.simulator.server import Simulator

OPENAI_HEADERS = {"authorization": "Bearer key"}
ANTHROPIC_HEADERS = {"x-api-key": "key", "anthropic-version": "2023-06-01"}


class Reply(NamedTuple):
    status: int
    headers: Any
    body: Any
    text: str


class Caller:
    """Posts to one simulator; bodies get what every call needs."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session

    async def request(
        self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        async with self.session.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            try:
                parsed = await response.json() if is_json else None
            except ValueError:
                parsed = None
            return Reply(response.status, response.headers, parsed, text)

    async def openai(
        self, content: str = "Hello there.", *, provider: str = "openai", job: str = "", **body: Any
    ) -> Reply:
        whole = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **body}
        headers = {**OPENAI_HEADERS, **({"x-client-request-id": job} if job else {})}
        url = f"{self.sim.base_url(provider)}/chat/completions"
        return await self.request("POST", url, whole, headers)

    async def anthropic(self, content: Any = "Hello there.", **body: Any) -> Reply:
        whole = {
            "model": "claude-sonnet-4-20250514",
            "max_tokens": 1000,
            "messages": [{"role": "user", "content": content}],
            **body,
        }
        url = f"{self.sim.base_url('anthropic')}/v1/messages"
        return await self.request("POST", url, whole, ANTHROPIC_HEADERS)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def control(self, method: str, name: str, body: Any = None) -> Reply:
        return await self.request(method, f"{self.sim.url}/_sim/{name}", body)


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        yield Caller(sim, session)
