"""What a provider's trouble costs: an outage, a spent quota, answers cut off. All simulated."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.stand import WORKSPACE, Control, Stand
from penstock_client import Generate
from penstock_client.handle import Handle
from penstock_worker.steering import START_CALLS

FIRST, SECOND = "openai", "anthropic"
MODEL, FALLBACK = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5-20251001"
_JOBS, _ROWS, _CUT = 500, 100, 20
_DOWN_S, _DOWN_FULL_S = 20, 90
_CAPABILITY = "outage"
_WITHIN_S = 300.0
_SCHEMA = {
    "type": "object",
    "properties": {f"field_{n}": {"type": "string"} for n in range(40)},
    "required": [f"field_{n}" for n in range(40)],
}


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Calls that failed, jobs that did not, and how long it took."""
    down_s = _DOWN_FULL_S if full else _DOWN_S
    return [
        *await _outage(stand, down_s, fallback=True),
        *await _outage(stand, down_s, fallback=False),
        *await _quota(stand),
        *await _cut_off(stand),
    ]


async def _outage(stand: Stand, down_s: int, *, fallback: bool) -> list[Figure]:
    """A provider answers 503 for a while, with 500 jobs queued for it."""
    await stand.clear()
    routes = [MODEL, FALLBACK] if fallback else [MODEL]
    async with stand.client():
        await stand.route(WORKSPACE, _CAPABILITY, routes)
    async with (
        stand.simulated(FIRST, SECOND, concurrency=50) as simulator,
        stand.client() as penstock,
    ):
        for provider in (FIRST, SECOND):
            await simulator.tell("latency", provider=provider, latency_ms=100)
        await simulator.tell("faults", kind="status", provider=FIRST, status=503)
        began = time.monotonic()
        handles = await penstock.submit_many(_texts(_JOBS))
        up_again = asyncio.create_task(_come_back(simulator, down_s))
        states = await _ended(handles)
        took_s = time.monotonic() - began
        await up_again
        recovering = await penstock.submit_many(_texts(20, model=MODEL))
        recovered = await _ended(recovering)
        failed = (await simulator.counts(FIRST))["by_status"].get("503", 0)
    kind = "with a fallback" if fallback else "without a fallback"
    # Five failures open the breaker, and those in flight then end; a half-open round tries three.
    most = 5 + START_CALLS + 3 * (int(min(took_s, down_s)) // 60)
    return [
        _figure(f"calls that failed in {down_s} s down, {kind}", failed, "", most),
        _figure(f"jobs of {_JOBS} that failed, {kind}", _JOBS - states["succeeded"], "", 0),
        _figure(f"all jobs ended after, {kind}", took_s, "s", None),
        _figure(f"jobs that failed once it was back, {kind}", 20 - recovered["succeeded"], "", 0),
    ]


async def _come_back(simulator: Control, down_s: int) -> None:
    await asyncio.sleep(down_s)
    await simulator.clear_faults()


async def _quota(stand: Stand) -> list[Figure]:
    """A credential has nothing left: its jobs wait, and run once it has."""
    await stand.clear()
    async with stand.simulated(FIRST, concurrency=50) as simulator, stand.client() as penstock:
        await simulator.tell("latency", provider=FIRST, latency_ms=100)
        await simulator.tell("faults", kind="insufficient_quota", provider=FIRST)
        handles = await penstock.submit_many(_texts(_ROWS, model=MODEL))
        await asyncio.sleep(8)
        while_spent = await simulator.counts(FIRST)
        await simulator.clear_faults()
        async with stand.index(FIRST) as index:
            await index.try_gate("credential:platform")
        states = await _ended(handles)
    in_flight = while_spent["max_in_flight"]
    return [
        _figure("calls with the quota spent", while_spent["calls"], "", in_flight),
        _figure(
            f"rows of {_ROWS} that failed for a spent quota", _ROWS - states["succeeded"], "", 0
        ),
    ]


async def _cut_off(stand: Stand) -> list[Figure]:
    """Structured answers that do not fit their limit: asked once more, with more room."""
    await stand.clear()
    async with stand.simulated(FIRST, concurrency=50) as simulator, stand.client() as penstock:
        jobs = [
            Generate(workspace=WORKSPACE, prompt=f"{n}", model=MODEL, schema=_SCHEMA, max_tokens=8)
            for n in range(_CUT)
        ]
        await _ended(await penstock.submit_many(jobs))
        calls = (await simulator.counts(FIRST))["calls"]
    return [_figure("paid calls a row whose answer is cut off", calls / _CUT, "", 2)]


async def _ended(handles: Sequence[Handle]) -> Counter[str]:
    results = await asyncio.gather(*(handle.result(timeout_s=_WITHIN_S) for handle in handles))
    return Counter(result.status.label for result in results)


def _texts(count: int, *, model: str | None = None) -> list[Generate]:
    return [
        Generate(workspace=WORKSPACE, capability=_CAPABILITY, prompt=f"message {n}", model=model)
        for n in range(count)
    ]


def _figure(name: str, value: float, unit: str, goal: float | None) -> Figure:
    return Figure(bench="outage", name=name, value=value, unit=unit, goal=goal)
