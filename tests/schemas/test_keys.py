"""The names of Redis keys and channels."""

from __future__ import annotations

import re

import pytest

from penstock_schemas.catalog import catalog
from penstock_schemas.keys import PREFIX, STEWARD, ProviderKeys, deltas_key, done_channel


def all_keys(provider: str) -> list[str]:
    keys = ProviderKeys(provider)
    return [
        keys.epoch,
        keys.leases,
        keys.unsettled,
        keys.workers,
        keys.wake,
        keys.result("0190a0b0-0000-7000-8000-00000000abcd"),
    ]


def test_keys_of_a_provider_share_one_slot() -> None:
    tags = {re.findall(r"\{(.*?)\}", key)[0] for key in all_keys("openai")}
    assert tags == {"openai"}


def test_keys_are_all_different_and_carry_the_version() -> None:
    keys = [key for provider in ("openai", "anthropic") for key in all_keys(provider)]
    keys += [STEWARD, done_channel("acme"), deltas_key("0190a0b0-0000-7000-8000-00000000abcd")]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(f"{PREFIX}:") for key in keys)


def test_keys_start_with_what_scripts_derive_them_from() -> None:
    base = ProviderKeys("openai").base
    assert all(key.startswith(base) for key in all_keys("openai"))


def test_done_channels_differ_by_workspace() -> None:
    assert done_channel("acme") != done_channel("acme2")


@pytest.mark.parametrize("provider", [provider.name for provider in catalog().providers])
def test_provider_names_are_fit_to_be_a_hash_tag(provider: str) -> None:
    assert re.fullmatch(r"[a-z0-9_.-]+", provider)
