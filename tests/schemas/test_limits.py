"""Limits and pauses in operators' words: what they mean, and how a wrong one is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock_schemas.configuration import parse_configuration
from penstock_schemas.errors import ConfigurationError
from penstock_schemas.limits import (
    UNITS,
    LimitSetting,
    PauseTarget,
    limit_scope,
    limit_setting,
    limit_word,
    limits_of_file,
    merged,
    parse_limit_word,
    parse_scope,
    pause_target,
)


def said(wrong: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        wrong()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Words.


@pytest.mark.parametrize(
    ("word", "unit", "window_s"),
    [
        ("requests", "requests", 60),
        ("requests/minute", "requests", 60),
        ("tokens/day", "tokens", 86_400),
        ("input-tokens", "input_tokens", 60),
        ("output-tokens/day", "output_tokens", 86_400),
        ("concurrency", "concurrency", 0),
    ],
)
def test_limit_word_has_a_unit_and_a_window(word: str, unit: str, window_s: int) -> None:
    assert parse_limit_word(word) == (unit, window_s)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("window_s", [60, 86_400])
def test_limit_word_reads_as_it_is_written(unit: str, window_s: int) -> None:
    window_s = 0 if unit == "concurrency" else window_s
    assert parse_limit_word(limit_word(unit, window_s)) == (unit, window_s)


@pytest.mark.parametrize("word", ["calls", "requests/hour", "requests/", "concurrency/day", ""])
def test_limit_word_that_means_nothing_is_named(word: str) -> None:
    assert repr(word) in said(lambda: parse_limit_word(word))


@pytest.mark.parametrize("amount", [0, -1, 1.5, 10**16, float("nan"), float("inf")])
def test_amount_is_a_whole_number_above_zero(amount: float) -> None:
    assert said(lambda: limit_setting("openai", "provider", "tokens", amount)).startswith("tokens:")


# Scopes.


@pytest.mark.parametrize(
    "scope",
    [
        "provider",
        "credential:platform",
        "group:platform/gpt-4o",
        "model:org/big:1",
        "workspace:acme",
        "tag:team-a:nightly",
        "workspace:*",
        "group:*",
    ],
)
def test_scope_that_is_one_stays_as_it_is(scope: str) -> None:
    assert limit_setting("openai", scope, "requests", 5).scope == scope


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "openai",
        "provider:openai",
        "workspace",
        "workspace:",
        "workspace:Acme",
        "tag:a|b",
        "model:a b",
        "group:platform",
        "group:/gpt-4o",
        "lane:0",
    ],
)
def test_scope_that_is_none_is_refused(scope: str) -> None:
    said(lambda: parse_scope(scope))


def test_scope_is_the_one_name_that_is_given() -> None:
    assert limit_scope(model=None, workspace="acme") == "workspace:acme"
    assert limit_scope(model=None, workspace=None) == "provider"


def test_scope_of_two_names_is_refused() -> None:
    told = said(lambda: limit_scope(model="gpt-4o", workspace="acme"))
    assert told == "--model and --workspace: give one of them"


# Pauses.


@pytest.mark.parametrize(
    ("given", "provider", "scope", "shown"),
    [
        ({}, "*", "provider", "everything"),
        ({"provider": "openai"}, "openai", "provider", "openai"),
        ({"workspace": "acme"}, "*", "workspace:acme", "workspace acme at every provider"),
        ({"provider": "openai", "lane": "bulk"}, "openai", "lane:1", "lane bulk at openai"),
        ({"tag": "nightly"}, "*", "tag:nightly", "tag nightly at every provider"),
    ],
)
def test_pause_is_of_what_is_named(
    given: dict[str, str], provider: str, scope: str, shown: str
) -> None:
    target = pause_target(**given)
    assert (target, target.shown) == (PauseTarget(provider=provider, scope=scope), shown)


def test_pause_of_an_unknown_lane_names_those_there_are() -> None:
    told = said(lambda: pause_target(lane="slow"))
    assert told == "lane: 'slow' is none of interactive, bulk, background"


def test_pause_of_each_name_is_refused() -> None:
    said(lambda: pause_target(workspace="*"))


# The configuration file.


def test_file_gives_limits_of_a_whole_provider() -> None:
    text = "[providers.openai.limits]\nrequests_per_minute = 500\ntokens_per_day = 2e6\n"
    limits = parse_configuration(text, file="penstock.toml").limits
    assert limits == (
        LimitSetting(provider="openai", scope="provider", unit="requests", window_s=60, amount=500),
        LimitSetting(
            provider="openai", scope="provider", unit="tokens", window_s=86_400, amount=2_000_000
        ),
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("requests_per_hour = 5", "requests_per_hour: is none of"),
        ("concurrency = 0", "concurrency: 0 is not a whole number"),
        ("tokens_per_minute = 1.5", "tokens_per_minute: 1.5 is not a whole number"),
    ],
)
def test_file_with_a_wrong_limit_names_provider_and_key(line: str, told: str) -> None:
    text = f"[providers.openai.limits]\n{line}\n"
    message = said(lambda: parse_configuration(text, file="penstock.toml"))
    assert message.startswith(f"penstock.toml: providers.openai.limits: {told}")


def test_later_layer_goes_first_where_both_name_the_same() -> None:
    file = limits_of_file("openai", {"requests_per_minute": 500, "concurrency": 20})
    table = [limit_setting("openai", "provider", "requests", 100)]
    found = {limit.word: limit.amount for limit in merged(file, table)}
    assert found == {"requests": 100, "concurrency": 20}
