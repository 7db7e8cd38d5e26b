"""How much of a provider's rate limit is used, and how often it has to refuse. All simulated.

The simulator enforces a minute's limit in slices of one second, as providers may. Nothing is
configured: limits are learned from its headers, and how much others take from how they move.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure
from benchmarks.stand import WORKSPACE, Stand
from penstock_client import Generate

#: OpenAI's headers tell of requests; Mistral's limits count tokens in and out.
REQUESTS_MODEL, TOKENS_MODEL = "openai/gpt-4o-mini", "mistral/mistral-large-latest"
REQUESTS, TOKENS = 1200, 200_000
_WARM_UP_S, _SPAN_S, _SPAN_FULL_S = 10, 30, 75
_ROWS = 4000
_TEXT = "I want it back. " * 27  # 220 tokens with its answer, as the simulator counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One limit, who else draws on it, and how much of what is left should be used."""

    name: str
    goal: float
    workers: int = 1
    stranger: float = 0.0
    of_tokens: bool = False
    latency_ms: int = 300


RUNS = (
    Run(name="alone", goal=0.98),
    Run(name="alone, 4 workers", goal=0.98, workers=4),
    Run(name="a stranger takes 30 %", goal=0.95, stranger=0.3),
    Run(name="a stranger takes 30 %, 4 workers", goal=0.95, stranger=0.3, workers=4),
    Run(name="tokens, answers of 5 s", goal=0.90, of_tokens=True, latency_ms=5000),
    Run(name="tokens, 5 s, 4 workers", goal=0.90, of_tokens=True, latency_ms=5000, workers=4),
)


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """The share of the limit that was used, and of the answers that were 429."""
    figures: list[Figure] = []
    for run in RUNS:
        figures += await _measure(stand, run, _SPAN_FULL_S if full else _SPAN_S)
    return figures


async def _measure(stand: Stand, run: Run, span_s: int) -> list[Figure]:
    model = TOKENS_MODEL if run.of_tokens else REQUESTS_MODEL
    provider = model.partition("/")[0]
    await stand.clear()
    async with (
        stand.simulated(provider, workers=run.workers, concurrency=400) as simulator,
        stand.client() as penstock,
    ):
        if run.of_tokens:
            await simulator.tell(
                "limits", provider=provider, tokens_per_minute=TOKENS, tokens="sum"
            )
        else:
            await simulator.tell("limits", provider=provider, requests_per_minute=REQUESTS)
        await simulator.tell("latency", provider=provider, latency_ms=run.latency_ms)
        if run.stranger:
            await simulator.tell("stranger", provider=provider, share=run.stranger)
        await penstock.submit_many(_rows(model))
        await asyncio.sleep(_WARM_UP_S + run.latency_ms / 1000)
        before, began = await simulator.counts(provider), time.monotonic()
        await asyncio.sleep(span_s)
        after, took_s = await simulator.counts(provider), time.monotonic() - began
    accepted = _status(after, "200") - _status(before, "200")
    refused = _status(after, "429") - _status(before, "429")
    used = accepted if not run.of_tokens else _tokens(after) - _tokens(before)
    available = (TOKENS if run.of_tokens else REQUESTS) * took_s / 60 * (1 - run.stranger)
    return [
        Figure(
            bench="limits",
            name=f"of the limit used, {run.name}",
            value=100 * used / available,
            unit="%",
            goal=100 * run.goal,
            within="at least",
        ),
        Figure(
            bench="limits",
            name=f"answered 429, {run.name}",
            value=100 * refused / max(1, accepted + refused),
            unit="%",
            goal=0.5,
        ),
    ]


def _rows(model: str) -> list[Generate]:
    return [
        Generate(workspace=WORKSPACE, prompt=f"{number} {_TEXT}", model=model, lane="bulk")
        for number in range(_ROWS)
    ]


def _status(counts: dict[str, Any], status: str) -> int:
    return counts.get("by_status", {}).get(status, 0)


def _tokens(counts: dict[str, Any]) -> int:
    return counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
