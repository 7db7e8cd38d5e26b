"""Rate-limit headers in each provider's own names.

Source: the providers' rate-limit pages, 2026-11: OpenAI `x-ratelimit-*` with Go durations, Azure
the same with whole seconds, Groq the same with requests per day, Anthropic `anthropic-ratelimit-*`
with RFC 3339 times, Mistral per-minute names, Fireworks per prompt tokens, DeepSeek none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Literal

_MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands: units a minute, units left of it, seconds until all are back."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Standings:
    """How a provider's limits stand; `wall_s` is the wall clock, for headers that name a time.

    `counted` is what counts as tokens, None where it is what the provider itself counts.
    """

    requests: Standing | None
    tokens: Standing | None
    wall_s: float
    counted: Literal["max", "input", "sum"] | None = None


_Writer = Callable[[Standings], dict[str, str]]


def go_duration(seconds: float) -> str:
    """Seconds as Go writes durations: `20ms`, `1.5s`, `6m0s`."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _openai(standings: Standings) -> dict[str, str]:
    return _openai_names(standings.requests, standings.tokens, go_duration)


def _azure(standings: Standings) -> dict[str, str]:
    return _openai_names(standings.requests, standings.tokens, lambda seconds: str(ceil(seconds)))


def _groq(standings: Standings) -> dict[str, str]:
    requests = standings.requests
    if requests is not None:
        more = requests.limit * (_MINUTES_A_DAY - 1)
        requests = Standing(requests.limit + more, requests.remaining + more, requests.reset_s)
    return _openai_names(requests, standings.tokens, go_duration)


def _openai_names(
    requests: Standing | None, tokens: Standing | None, duration: Callable[[float], str]
) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, standing in (("requests", requests), ("tokens", tokens)):
        if standing is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(standing.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = duration(standing.reset_s)
    return headers


def _anthropic(standings: Standings) -> dict[str, str]:
    """The real `tokens` are input and output together, so they go out where both are counted."""
    headers: dict[str, str] = {}
    tokens = "tokens" if standings.counted in ("max", "sum") else "input-tokens"
    for unit, standing in (("requests", standings.requests), (tokens, standings.tokens)):
        if standing is not None:
            reset = datetime.fromtimestamp(ceil(standings.wall_s + standing.reset_s), UTC)
            headers[f"anthropic-ratelimit-{unit}-limit"] = str(standing.limit)
            headers[f"anthropic-ratelimit-{unit}-remaining"] = str(standing.remaining)
            headers[f"anthropic-ratelimit-{unit}-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers


def _mistral(standings: Standings) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, standing in (("req", standings.requests), ("tokens", standings.tokens)):
        if standing is not None:
            headers[f"x-ratelimit-limit-{unit}-minute"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{unit}-minute"] = str(standing.remaining)
    return headers


def _fireworks(standings: Standings) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, standing in (
        ("requests", standings.requests),
        ("tokens-prompt", standings.tokens),
    ):
        if standing is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
    return headers


_WRITERS: dict[str, _Writer | None] = {
    "anthropic": _anthropic,
    "azure": _azure,
    "deepseek": None,
    "fireworks": _fireworks,
    "google": None,
    "groq": _groq,
    "mistral": _mistral,
}


def limit_headers(provider: str, standings: Standings) -> dict[str, str]:
    """The headers that a provider sends for how its limits stand; unknown ones send OpenAI's."""
    writer = _WRITERS.get(provider, _openai)
    return {} if writer is None else writer(standings)


def retry_headers(provider: str, retry_after_s: float | None) -> dict[str, str]:
    """What a 429 says about when to come back: whole seconds, OpenAI milliseconds too."""
    if retry_after_s is None or provider in ("deepseek", "google"):
        return {}
    headers = {"retry-after": str(max(1, ceil(retry_after_s)))}
    if provider in ("openai", "azure"):
        headers["retry-after-ms"] = str(ceil(retry_after_s * 1000))
    return headers
