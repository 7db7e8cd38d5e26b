"""What the HTTP API costs: jobs submitted one a request, beside a bare FastAPI route that echoes.

One gateway process on the worker's core, started as the command starts it; one client process with
as many requests under way as connections. What lies between the two routes is Penstock's part.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp
from fastapi import FastAPI, Request, Response

from benchmarks.figures import Figure, percentile
from benchmarks.stand import IDLE_MODEL, WORKSPACE, Stand

_UNDER_WAY = 64
_WARM_UP, _REQUESTS, _REQUESTS_FULL = 500, 6000, 30_000
_GOAL = 1000


def echo() -> FastAPI:
    """An application with one bare route, for comparison."""
    app = FastAPI()

    @app.post("/v1/jobs")
    async def answer(request: Request) -> Response:
        return Response(await request.body(), 202, media_type="application/json")

    return app


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Requests per second and latencies of both, one after the other, with their CPU."""
    count = _REQUESTS_FULL if full else _REQUESTS
    async with stand.client() as penstock:
        made = await penstock.tokens.create("benchmark", workspace=WORKSPACE)
    figures: list[Figure] = []
    for name, role, goal in (("submit", "gateway", _GOAL), ("bare route", "echo", None)):
        async with stand.listening(role) as url:
            await _run(url, made.secret, _WARM_UP)
            before = stand.cpu()
            took_s, latencies_ms = await _run(url, made.secret, count)
            after = stand.cpu()
        figures += _figures(name, count / took_s, latencies_ms, goal=goal)
        each = after.us_each(before, role, count)
        figures.append(Figure(bench="gateway", name=f"{name}: CPU", value=each, unit="µs/request"))
        if role == "gateway":
            for part in ("postgres", "valkey"):
                each = after.us_each(before, part, count)
                figures.append(
                    Figure(
                        bench="gateway",
                        name=f"{name}: CPU of {part}",
                        value=each,
                        unit="µs/request",
                    )
                )
    return figures


def _figures(
    name: str, rate: float, latencies_ms: list[float], *, goal: float | None
) -> list[Figure]:
    latency = f"{name}: {{}} with {_UNDER_WAY} under way"
    return [
        Figure(
            bench="gateway", name=name, value=rate, unit="requests/s", goal=goal, within="at least"
        ),
        *(
            Figure(
                bench="gateway",
                name=latency.format(label),
                value=percentile(latencies_ms, share),
                unit="ms",
            )
            for label, share in (("p50", 0.5), ("p99", 0.99))
        ),
    ]


async def _run(url: str, token: str, count: int) -> tuple[float, list[float]]:
    """Seconds that so many requests took, and each one's latency in ms."""
    latencies_ms: list[float] = []
    bodies = _bodies(count)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=_UNDER_WAY)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as http:

        async def submit() -> None:
            for body in bodies:
                began = time.perf_counter()
                async with http.post("/v1/jobs", data=body) as answer:
                    await answer.read()
                    if answer.status != 202:
                        raise RuntimeError(f"refused with {answer.status}: {await answer.text()}")
                latencies_ms.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        await asyncio.gather(*(submit() for _ in range(_UNDER_WAY)))
        return time.perf_counter() - began, latencies_ms


def _bodies(count: int) -> Iterator[bytes]:
    for number in range(count):
        job = {
            "type": "classify",
            "workspace": WORKSPACE,
            "model": IDLE_MODEL,
            "text": f"message {number}: I want it back",
            "labels": ["refund", "praise", "question"],
            "skill": "triage",
        }
        yield json.dumps(job).encode()
