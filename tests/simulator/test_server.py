"""The server: counting, latency, canned answers, start and stop."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from penstock_worker.simulator.latency import Latency
from penstock_worker.simulator.server import Simulator, run


async def test_stats_count_calls_tokens_and_statuses(call: Any) -> None:
    await call.openai("x" * 40)
    await call.openai(temperature=9)
    stats = (await call.control("GET", "stats")).body
    counts = stats["by_provider"]["openai"]
    assert stats["calls"] == counts["calls"] == 2
    assert (counts["ok"], counts["by_status"]) == (1, {"200": 1, "400": 1})
    assert counts["input_tokens"] == 10
    assert counts["output_tokens"] > 0


async def test_stats_name_jobs_that_were_called_again(call: Any) -> None:
    for identity in ("a:1", "b:1", "a:2", "a:3"):
        await call.openai(job=identity)
    stats = call.sim.stats()
    assert (stats["jobs"], stats["repeated"], stats["repeated_calls"]) == (2, {"a": 3}, 2)


async def test_stats_know_the_most_calls_in_flight(call: Any) -> None:
    call.sim.latency.set(latency_ms=100)
    await asyncio.gather(*(call.openai() for _ in range(5)))
    counts = call.sim.stats()["by_provider"]["openai"]
    assert (counts["max_in_flight"], counts["in_flight"]) == (5, 0)


async def test_stats_leave_model_lists_out(call: Any) -> None:
    url = f"{call.sim.base_url('openai')}/models"
    await call.request("GET", url, headers={"authorization": "Bearer k"})
    assert call.sim.stats()["calls"] == 0


async def test_reset_starts_the_counts_again(call: Any) -> None:
    await call.openai(job="a:1")
    await call.control("POST", "reset")
    stats = call.sim.stats()
    assert (stats["calls"], stats["jobs"]) == (0, 0)


def test_latency_is_repeatable_by_seed_and_within_its_bounds() -> None:
    one, other = (Latency(latency_ms=10, jitter_ms=5, seed=7) for _ in range(2))
    drawn = [one.next_s("openai") for _ in range(50)]
    assert drawn == [other.next_s("openai") for _ in range(50)]
    assert 0.010 <= min(drawn) < max(drawn) <= 0.015


def test_latency_can_differ_by_provider() -> None:
    latency = Latency(latency_ms=10)
    latency.set("groq", latency_ms=1)
    assert (latency.next_s("groq"), latency.next_s("openai")) == (0.001, 0.010)


async def test_latency_can_be_set_over_http(call: Any) -> None:
    await call.control("POST", "latency", {"provider": "openai", "latency_ms": 50})
    assert call.sim.latency.next_s("openai") == 0.05


@pytest.mark.parametrize("path", ["openai/v1/chat/completions", "anthropic/v1/messages"])
async def test_canned_mode_answers_and_counts_without_reading(path: str) -> None:
    async with Simulator(canned=True) as sim, aiohttp.ClientSession() as session:
        async with session.post(f"{sim.url}/{path}", data=b"anything") as reply:
            body = await reply.json()
        assert (reply.status, "usage" in body) == (200, True)
        assert sim.stats()["calls"] == 1


async def test_canned_mode_still_limits_requests() -> None:
    async with Simulator(canned=True, requests_per_minute=1) as sim:
        async with aiohttp.ClientSession() as session:
            url = f"{sim.base_url('openai')}/chat/completions"
            statuses = [(await session.post(url, data=b"x")).status for _ in range(2)]
    assert statuses == [200, 429]


@pytest.mark.parametrize(("tokens", "charged"), [("max", 500), ("input", 10), ("sum", 11)])
async def test_canned_mode_charges_tokens_where_they_are_limited(tokens: Any, charged: int) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 40}]}
    limits: dict[str, Any] = {"tokens_per_minute": 60_000, "tokens": tokens, "slice_s": 60}
    async with Simulator(canned=True, **limits) as sim, aiohttp.ClientSession() as session:
        url = f"{sim.base_url('openai')}/chat/completions"
        async with session.post(url, json={**body, "max_tokens": 500}) as reply:
            left = int(reply.headers["x-ratelimit-remaining-tokens"])
    assert 60_000 - left == charged


async def test_unknown_control_address_is_404(call: Any) -> None:
    assert (await call.control("GET", "nothing")).status == 404


async def test_run_tells_its_address_and_stops_on_cancellation() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(run(on_ready=ready.set_result))
    url = await ready
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/_sim/health") as reply:
            assert (await reply.json())["simulated"] is True
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{url}/_sim/health")


async def test_simulator_says_that_its_port_is_taken() -> None:
    async with Simulator() as sim:
        port = int(sim.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="address"):
            async with Simulator(port=port):
                pass
