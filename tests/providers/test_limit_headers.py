"""What providers say of their limits: headers on every answer, and the words of a refusal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_schemas.errors import ProviderError
from penstock_schemas.limit_policy import HeaderFamily, LimitPolicy, limit_policy
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.limit_headers import (
    SeenLimit,
    read_limits,
    refused_units,
)

DAY_MS = 86_400_000
OPENAI = {
    "x-ratelimit-limit-requests": "15000",
    "x-ratelimit-limit-tokens": "40000000",
    "x-ratelimit-remaining-requests": "14999",
    "x-ratelimit-remaining-tokens": "39999816",
    "x-ratelimit-reset-requests": "4ms",
    "x-ratelimit-reset-tokens": "0s",
}


def seen(provider: str, headers: dict[str, str]) -> tuple[SeenLimit, ...]:
    return read_limits(limit_policy(provider), httpx.Headers(headers))


def requests(limit: str, remaining: str, reset: str = "1s") -> tuple[SeenLimit, ...]:
    words = {"limit": limit, "remaining": remaining, "reset": reset}
    return seen("openai", {f"x-ratelimit-{word}-requests": told for word, told in words.items()})


def test_limits_of_openai_are_read() -> None:
    assert seen("openai", OPENAI) == (
        SeenLimit("requests", 60_000, 15_000, 1, 0.004),
        SeenLimit("tokens", 60_000, 40_000_000, 184, 0.0),
    )


def test_limits_of_anthropic_are_read_by_its_own_clock() -> None:
    headers = {"date": "Sat, 21 Nov 2026 06:00:00 GMT"}
    for unit, limit in (("requests", 50), ("tokens", 38), ("input-tokens", 30)):
        headers[f"anthropic-ratelimit-{unit}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{unit}-remaining"] = str(limit - 5)
        headers[f"anthropic-ratelimit-{unit}-reset"] = "2026-11-21T06:00:21Z"
    assert seen("anthropic", headers) == (
        SeenLimit("requests", 60_000, 50, 5, 21.0),
        SeenLimit("tokens", 60_000, 38, 5, 21.0),
        SeenLimit("input_tokens", 60_000, 30, 5, 21.0),
    )


def test_a_date_without_a_clock_beside_it_is_no_duration() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-reset": "2026-11-21T06:00:21Z",
    }
    assert seen("anthropic", headers) == (SeenLimit("requests", 60_000, 50, None, None),)


def test_requests_of_groq_are_by_the_day() -> None:
    found = {limit.unit: limit.window_ms for limit in seen("groq", OPENAI)}
    assert found == {"requests": DAY_MS, "tokens": 60_000}


def test_limits_of_mistral_are_read() -> None:
    headers = {
        "x-ratelimit-limit-req-minute": "100",
        "x-ratelimit-remaining-req-minute": "99",
        "x-ratelimit-limit-tokens-minute": "100000",
        "x-ratelimit-remaining-tokens-minute": "99969",
    }
    assert seen("mistral", headers) == (
        SeenLimit("requests", 60_000, 100, 1, None),
        SeenLimit("tokens", 60_000, 100_000, 31, None),
    )


def test_limits_of_fireworks_are_read_without_what_remains_of_them() -> None:
    headers = {
        "X-Ratelimit-Limit-Tokens-Prompt": "900000",
        "X-Ratelimit-Limit-Tokens-Generated": "36000",
    }
    assert seen("fireworks", headers) == (
        SeenLimit("input_tokens", 60_000, 900_000, None, None),
        SeenLimit("output_tokens", 60_000, 36_000, None, None),
    )


def test_limits_of_cerebras_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests-day": "14400",
        "x-ratelimit-remaining-requests-day": "14399",
        "x-ratelimit-reset-requests-day": "33011.382867",
    }
    assert seen("cerebras", headers) == (SeenLimit("requests", DAY_MS, 14_400, 1, 33011.382867),)


@pytest.mark.parametrize("provider", ["google", "deepseek", "together", "no-such-provider"])
def test_nothing_is_read_where_a_provider_has_no_headers(provider: str) -> None:
    assert seen(provider, OPENAI) == ()


@pytest.mark.parametrize(
    ("stated", "reset_s"),
    [
        ("20ms", 0.02),
        ("0s", 0.0),
        ("1.5s", 1.5),
        ("6m0s", 360.0),
        ("1m1.25s", 61.25),
        ("2h0m5s", 7205.0),
        ("24h0m0s", 86_400.0),
        ("12.5ms", 0.0125),
        ("1s250ms", 1.25),
        ("17", 17.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-3s", None),
        ("nan", None),
        ("1e400", None),
        ("2026-99-99T00:00:00Z", None),
    ],
)
def test_reset_is_read_in_all_its_spellings(stated: str, reset_s: float | None) -> None:
    assert requests("10", "9", stated) == (SeenLimit("requests", 60_000, 10, 1, reset_s),)


@pytest.mark.parametrize(
    ("limit", "remaining"),
    [
        ("0", "0"),
        ("-5", "1"),
        ("10", "11"),
        ("10", "-1"),
        ("many", "9"),
        ("10", "some"),
        ("10.5", "1"),
        ("9223372036854767616", "9223372036854767616"),
    ],
)
def test_a_limit_that_makes_no_sense_is_left_out(limit: str, remaining: str) -> None:
    assert requests(limit, remaining) == ()


@given(
    family=st.sampled_from(("openai", "anthropic", "mistral", "fireworks", "cerebras")),
    told=st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")), min_size=6),
)
def test_no_header_makes_reading_fail(family: HeaderFamily, told: list[str]) -> None:
    names = [*OPENAI, "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-reset"]
    headers = [
        (name.encode(), value.encode("latin-1")) for name, value in zip(names, told, strict=False)
    ]
    for limit in read_limits(LimitPolicy(headers=family), httpx.Headers(headers)):
        assert limit.limit > 0


def refusal(message: str, code: str | None, kind: ErrorKind = ErrorKind.RATE_LIMITED) -> Any:
    return ProviderError(kind, message, provider="any", status=429, code=code)


@pytest.mark.parametrize(
    ("code", "message", "unit", "window_ms"),
    [
        (
            "rate_limit_exceeded",
            (
                "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit"
                " 30000, Used 29000, Requested 2000. Please try again in 2s."
            ),
            "tokens",
            60_000,
        ),
        (
            "rate_limit_exceeded",
            "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3.",
            "requests",
            60_000,
        ),
        (
            "rate_limit_exceeded",
            "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200.",
            "requests",
            DAY_MS,
        ),
        (
            "rate_limit_error",
            (
                "This request would exceed your organization's rate limit of 30,000 input tokens"
                " per minute (org: x, model: y)."
            ),
            "input_tokens",
            60_000,
        ),
        (
            "rate_limit_error",
            (
                "This request would exceed your organization's rate limit of 8,000 output tokens"
                " per minute."
            ),
            "output_tokens",
            60_000,
        ),
        (
            "rate_limit_error",
            "Number of request tokens has exceeded your daily rate limit",
            "tokens",
            DAY_MS,
        ),
        (
            "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
            "You exceeded your current quota.",
            "requests",
            60_000,
        ),
        (
            "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "You exceeded your current quota.",
            "requests",
            DAY_MS,
        ),
        (
            "GenerateContentInputTokensPerModelPerMinute-FreeTier",
            "You exceeded your current quota.",
            "input_tokens",
            60_000,
        ),
        (
            "429",
            (
                "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of"
                " your current pricing tier. Please retry after 6 seconds."
            ),
            "tokens",
            60_000,
        ),
        ("1300", "Requests rate limit exceeded", "requests", 60_000),
        ("token_quota_exceeded", "Too many tokens processed.", "tokens", 60_000),
        ("rate_limited", "Too Many Requests", None, 60_000),
        (None, "Please slow down", None, 60_000),
    ],
)
def test_a_refusal_says_which_limit_it_was_about(
    code: str | None, message: str, unit: str | None, window_ms: int
) -> None:
    told = () if unit is None else ((unit, window_ms),)
    assert refused_units(refusal(message, code)) == told


def test_a_failure_that_is_no_refusal_is_about_no_limit() -> None:
    error = refusal("tokens per min", "overloaded", ErrorKind.OVERLOADED)
    assert refused_units(error) == ()


def recorded() -> Iterator[dict[str, Any]]:
    default = Path(__file__).parents[2] / "../shared/recordings"
    folder = Path(os.environ.get("PENSTOCK_RECORDINGS", default))
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


NAMES = {"azure_openai": "azure", "openai": "openai", "anthropic": "anthropic", "groq": "groq"}


def test_recorded_headers_of_limits_are_all_read() -> None:
    """The recordings are not part of the repository; without them nothing is checked here."""
    for record in recorded():
        headers = {k.lower(): v for k, v in (record.get("response_headers") or {}).items()}
        provider = NAMES.get(record["provider"])
        told = [name for name in headers if "ratelimit" in name and "limit-requests" in name]
        if provider and told:
            found = seen(provider, headers)
            assert {"requests", "tokens"} <= {limit.unit for limit in found}
            assert all(limit.used is not None for limit in found)
