"""Rate limits: how much gets through, and what the headers say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_worker.simulator.buckets import PacedBucket
from penstock_worker.simulator.limit_headers import go_duration
from penstock_worker.simulator.limits import Limits


def admitted(limits: Limits, now_s: float, tokens: int = 1, provider: str = "openai") -> bool:
    return limits.admit(provider, tokens, now_s=now_s, wall_s=0).refusal is None


@given(
    limit=st.integers(1, 6000),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_bucket_never_admits_more_than_its_rate_and_one_second(
    limit: int, gaps: list[float]
) -> None:
    bucket, now, taken = PacedBucket(limit), 0.0, 0
    for gap in gaps:
        now += gap
        if bucket.wait_s(now, 1) == 0:
            bucket.take(now, 1)
            taken += 1
    assert taken <= (now + 1) * limit / 60 + 1


def test_limits_give_an_even_caller_the_whole_limit() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=600)
    assert sum(admitted(limits, n / 10) for n in range(600)) == 600


def test_limits_refuse_a_burst_beyond_one_second() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=600)
    assert sum(admitted(limits, 0.0) for _ in range(600)) == 10


def test_limits_name_the_wait_after_which_a_call_passes() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=60)
    assert admitted(limits, 0.0)
    refusal = limits.admit("openai", 1, now_s=0.0, wall_s=0).refusal
    assert refusal is not None
    assert refusal.retry_after_s == pytest.approx(1.0)
    assert admitted(limits, 1.0)


def test_limits_count_tokens() -> None:
    limits = Limits()
    limits.set("openai", tokens_per_minute=6000)
    assert admitted(limits, 0.0, 100)
    assert not admitted(limits, 0.5, 100)
    assert admitted(limits, 1.0, 100)


def test_limits_refuse_a_call_above_the_whole_limit_without_a_time() -> None:
    limits = Limits()
    limits.set("openai", tokens_per_minute=100)
    refusal = limits.admit("openai", 101, now_s=0, wall_s=0).refusal
    assert refusal is not None
    assert refusal.retry_after_s is None


def test_slice_of_a_minute_lets_a_minutes_worth_through_at_once() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=60, slice_s=60)
    assert sum(admitted(limits, 0.0) for _ in range(100)) == 60


@pytest.mark.parametrize("wrong", [{"slice_s": 0}, {"slice_s": 61}, {"tokens": "all"}])
def test_limits_refuse_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits().set("openai", requests_per_minute=60, **wrong)


def test_stranger_takes_its_share_and_leaves_the_rest() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=600)
    limits.set_stranger("openai", 0.3, now_s=0.0)
    mine = sum(admitted(limits, n / 10) for n in range(600))
    stranger = limits.strangers(now_s=59.95)["openai"]
    assert mine + stranger.taken <= 611
    assert mine >= 420
    assert stranger.taken + stranger.refused == 180


def test_stranger_is_seen_in_what_remains() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=60, tokens_per_minute=6000, slice_s=60)
    limits.set_stranger("openai", 1.0, now_s=0.0)
    limits.admit("openai", 100, now_s=0.0, wall_s=0)
    headers = limits.admit("openai", 100, now_s=1.0, wall_s=0).headers
    assert headers["x-ratelimit-remaining-requests"] == "57"
    assert headers["x-ratelimit-remaining-tokens"] == "5700"


def test_stranger_can_use_tokens_alone() -> None:
    limits = Limits()
    limits.set("openai", tokens_per_minute=6000)
    limits.set_stranger("openai", 0.5, now_s=0.0)
    assert limits.strangers(now_s=59.95)["openai"].taken == 300


def test_stranger_that_nobody_watched_is_counted_all_the_same() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=600)
    limits.set_stranger("openai", 0.5, now_s=0.0)
    stranger = limits.strangers(now_s=3599.9)["openai"]
    assert (stranger.taken, stranger.refused) == (18_000, 0)


def test_stranger_can_be_sent_away() -> None:
    limits = Limits()
    limits.set("openai", requests_per_minute=60)
    limits.set_stranger("openai", 1.0, now_s=0.0)
    limits.set_stranger("openai", 0, now_s=1.0)
    assert limits.strangers(now_s=9.0) == {}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_stranger_has_a_share_of_the_whole(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Limits().set_stranger("openai", share, now_s=0.0)


def test_limits_of_providers_are_apart() -> None:
    limits = Limits()
    limits.set(requests_per_minute=60)
    assert admitted(limits, 0.0, provider="openai")
    assert admitted(limits, 0.0, provider="mistral")
    assert not admitted(limits, 0.0, provider="mistral")


@pytest.mark.parametrize(
    ("provider", "name", "value"),
    [
        ("openai", "x-ratelimit-limit-requests", "60"),
        ("openai", "x-ratelimit-remaining-requests", "59"),
        ("openai", "x-ratelimit-reset-requests", "1s"),
        ("azure", "x-ratelimit-reset-requests", "1"),
        ("groq", "x-ratelimit-limit-requests", "86400"),
        ("anthropic", "anthropic-ratelimit-requests-remaining", "59"),
        ("anthropic", "anthropic-ratelimit-requests-reset", "1970-01-01T00:00:01Z"),
        ("anthropic", "anthropic-ratelimit-input-tokens-limit", "6000"),
        ("mistral", "x-ratelimit-remaining-req-minute", "59"),
        ("fireworks", "x-ratelimit-limit-tokens-prompt", "6000"),
    ],
)
def test_headers_have_the_names_of_the_provider(provider: str, name: str, value: str) -> None:
    limits = Limits()
    limits.set(requests_per_minute=60, tokens_per_minute=6000)
    assert limits.admit(provider, 1, now_s=0, wall_s=0).headers[name] == value


@pytest.mark.parametrize("tokens", ["max", "sum"])
def test_headers_of_anthropic_name_tokens_where_output_counts(tokens: Any) -> None:
    limits = Limits()
    limits.set(tokens_per_minute=6000, tokens=tokens)
    headers = limits.admit("anthropic", 1, now_s=0, wall_s=0).headers
    assert headers["anthropic-ratelimit-tokens-limit"] == "6000"
    assert "anthropic-ratelimit-input-tokens-limit" not in headers


def test_headers_are_absent_where_the_provider_sends_none() -> None:
    limits = Limits()
    limits.set(requests_per_minute=60)
    assert limits.admit("deepseek", 1, now_s=0, wall_s=0).headers == {}


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "0ms"), (0.02, "20ms"), (1.5, "1.5s"), (360, "6m0s")]
)
def test_go_duration_writes_as_go_does(seconds: float, written: str) -> None:
    assert go_duration(seconds) == written


async def test_limited_call_is_answered_429_with_retry_after(call: Any) -> None:
    await call.control("POST", "limits", {"provider": "openai", "requests_per_minute": 1})
    assert (await call.openai()).status == 200
    reply = await call.openai()
    assert (reply.status, reply.body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert int(reply.headers["retry-after-ms"]) <= 60_000


async def test_limited_message_is_a_rate_limit_error(call: Any) -> None:
    call.sim.limits.set("anthropic", requests_per_minute=1)
    await call.anthropic()
    reply = await call.anthropic()
    assert (reply.status, reply.body["error"]["type"]) == (429, "rate_limit_error")


async def test_max_tokens_counts_on_openai_and_not_on_anthropic(call: Any) -> None:
    call.sim.limits.set(tokens_per_minute=1000)
    assert (await call.openai(max_tokens=1001)).status == 429
    assert (await call.anthropic(max_tokens=1001)).status == 200


@pytest.mark.parametrize("tokens", ["max", "input", "sum"])
async def test_what_counts_as_tokens_can_be_set(call: Any, tokens: str) -> None:
    limits = {"provider": "openai", "tokens_per_minute": 6_000_000, "slice_s": 60}
    await call.control("POST", "limits", {**limits, "tokens": tokens})
    reply = await call.openai("x" * 400, max_tokens=150)
    usage = reply.body["usage"]
    asked, answered = usage["prompt_tokens"], usage["completion_tokens"]
    assert answered > 0
    charged = {"max": 150, "input": asked, "sum": asked + answered}[tokens]
    assert int(reply.headers["x-ratelimit-remaining-tokens"]) == 6_000_000 - charged


async def test_refusal_does_not_wait_for_the_latency(call: Any) -> None:
    call.sim.latency.set(latency_ms=60_000)
    call.sim.limits.set("openai", tokens_per_minute=10)
    async with asyncio.timeout(10):
        assert (await call.openai(max_tokens=11)).status == 429


async def test_call_is_charged_before_its_latency(call: Any) -> None:
    call.sim.latency.set(latency_ms=60_000)
    call.sim.limits.set("openai", requests_per_minute=1)
    under_way = asyncio.create_task(call.openai())
    await call.until(lambda: call.sim.stats()["calls"] == 1)
    async with asyncio.timeout(10):
        assert (await call.openai()).status == 429
    under_way.cancel()


async def test_stranger_is_set_and_counted_over_http(call: Any) -> None:
    call.sim.limits.set("openai", requests_per_minute=6000)
    given = {"provider": "openai", "share": 0.5}
    assert (await call.control("POST", "stranger", given)).status == 200
    await call.until(lambda: call.sim.stats()["strangers"]["openai"]["taken"] >= 2)
    stats = (await call.control("GET", "stats")).body
    assert stats["strangers"]["openai"]["refused"] == 0
    assert stats["calls"] == 0


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("stranger", {"provider": "openai", "share": 2}),
        ("stranger", {"share": 0.3}),
        ("limits", {"requests_per_minute": 5, "slice_s": 0}),
        ("limits", {"tokens_per_minute": 5, "tokens": "none"}),
    ],
)
async def test_wrong_setting_is_refused_with_a_reason(
    call: Any, name: str, body: dict[str, Any]
) -> None:
    reply = await call.control("POST", name, body)
    assert reply.status == 400
    assert reply.body["error"]
