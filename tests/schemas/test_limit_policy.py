"""What providers count against their limits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from penstock_schemas.catalog import catalog
from penstock_schemas.limit_policy import LimitPolicy, _policies, limit_policy


def test_policies_are_of_providers_in_the_catalogue() -> None:
    assert set(_policies()) <= {provider.name for provider in catalog().providers}


@pytest.mark.parametrize(
    ("provider", "counted"),
    [("openai", "max"), ("azure", "max"), ("google", "input"), ("anthropic", "sum")],
)
def test_policy_says_what_tokens_count(provider: str, counted: str) -> None:
    assert limit_policy(provider).counted == counted


def test_policy_of_a_provider_without_a_row_is_the_default() -> None:
    assert limit_policy("no-such-provider") == LimitPolicy()


def test_policy_is_read_once() -> None:
    assert limit_policy("openai") is limit_policy("openai")


@pytest.mark.parametrize(
    ("provider", "counts"), [("anthropic", False), ("groq", False), ("openai", True)]
)
def test_policy_says_whether_cache_reads_count(provider: str, counts: bool) -> None:
    assert limit_policy(provider).cache_reads_count is counts


def test_policy_knows_the_window_of_requests() -> None:
    assert limit_policy("groq").request_window_ms == 86_400_000
    assert limit_policy("openai").request_window_ms == 60_000


@pytest.mark.parametrize(
    ("model", "group"),
    [
        ("claude-opus-4-8", "claude-opus-4"),
        ("claude-opus-4-5-20251101", "claude-opus-4"),
        ("claude-sonnet-4-6", "claude-sonnet-4"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001"),
    ],
)
def test_group_of_joins_models_that_share_a_limit(model: str, group: str) -> None:
    assert limit_policy("anthropic").group_of(model) == group


def test_policy_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        LimitPolicy.model_validate({"counted": "guess"})
    with pytest.raises(ValidationError):
        LimitPolicy.model_validate({"patience": 1})
