"""Prompt caching from end to end: the hint is sent, the second job hits, the statistics say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock_client import Generate, Penstock
from penstock_schemas.system_prompt import system_hash

SYSTEM = "Answer as the house rules say. " * 200  # long enough for a provider to cache


async def test_second_job_reads_the_system_prompt_from_the_cache(
    penstock: Penstock, work_for
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    await work_for("anthropic")
    asked = {"workspace": "acme", "system": SYSTEM, "cache_system": True}
    first, second = (Generate(prompt=prompt, **asked) for prompt in ("One?", "Two?"))
    wrote = await penstock.call(first, timeout_s=20)
    read = await penstock.call(second, timeout_s=20)
    assert wrote.usage.cache_read_tokens == 0 < wrote.usage.cache_write_tokens
    assert read.usage.cache_read_tokens == wrote.usage.cache_write_tokens
    (use,) = await penstock.prompt_cache("acme", since=since)
    assert (use.provider, use.system_hash) == ("anthropic", system_hash(second))
    assert (use.calls, use.hits, use.hit_rate) == (2, 1, 0.5)
    assert (use.read_tokens, use.written_tokens) == (use.written_tokens, use.read_tokens) != (0, 0)
    assert use.simulated
    assert use.saved_usd is not None
    assert use.saved_usd > 0
