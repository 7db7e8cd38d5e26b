"""Sealing: only the private key opens, for the workspace and provider that it was sealed for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.sealing import (
    binding,
    checked_key,
    ciphertext,
    decode_key,
    encode_key,
    fingerprint,
    seal,
    sealed_to,
    sealing_id,
)
from penstock_schemas.errors import ConfigurationError
from penstock_worker.keyring import CannotOpen, Keyring, PrivateKey

API_KEY = "sk-own-71c0ffee55aa"
PAIR = PrivateKey.new()
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True)


def sealed(workspace: str = "acme", provider: str = "openai") -> bytes:
    return seal(API_KEY, PAIR.public, workspace=workspace, provider=provider)


def test_what_is_sealed_opens_with_the_private_key_for_its_place() -> None:
    assert Keyring([PAIR]).open(sealed(), workspace="acme", provider="openai") == API_KEY


@pytest.mark.parametrize(
    ("workspace", "provider"), [("other", "openai"), ("acme", "mistral"), ("openai", "acme")]
)
def test_a_copy_does_not_open_in_another_place(workspace: str, provider: str) -> None:
    ring, blob = Keyring([PAIR]), sealed()
    ring.open(blob, workspace="acme", provider="openai")
    with pytest.raises(CannotOpen):
        ring.open(blob, workspace=workspace, provider=provider)


def test_no_other_private_key_opens_it() -> None:
    with pytest.raises(CannotOpen) as told:
        Keyring([PrivateKey.new()]).open(sealed(), workspace="acme", provider="openai")
    assert told.value.sealing_key == PAIR.id


@pytest.mark.parametrize("at", [0, 5, 9, 30, 41, -1])
def test_a_changed_byte_keeps_it_shut(at: int) -> None:
    blob = bytearray(sealed())
    blob[at] ^= 1
    with pytest.raises(CannotOpen):
        Keyring([PAIR]).open(bytes(blob), workspace="acme", provider="openai")


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x02" + bytes(80), b"\x01" + bytes(8)])
def test_what_is_no_sealed_key_does_not_open(blob: bytes) -> None:
    assert ciphertext(blob) is None
    with pytest.raises(CannotOpen):
        Keyring([PAIR]).open(blob, workspace="acme", provider="openai")


def test_sealing_twice_gives_nothing_to_compare() -> None:
    assert sealed() != sealed()


def test_a_sealed_key_names_what_it_is_sealed_to_and_hides_the_key() -> None:
    assert sealed_to(sealed()) == sealing_id(PAIR.public) == PAIR.id
    assert API_KEY.encode() not in sealed()


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_two_places_are_bound_alike(a: str, b: str, c: str, d: str) -> None:
    assert (binding(a, b) == binding(c, d)) == ((a, b) == (c, d))


def test_fingerprint_is_the_same_for_the_same_key_alone() -> None:
    assert fingerprint(API_KEY) == fingerprint(API_KEY) != fingerprint(API_KEY + "b")
    assert fingerprint(API_KEY).startswith("key-") and len(fingerprint(API_KEY)) == 14


@pytest.mark.parametrize(
    "given_key", ["", "  \n", "sk one", "sk-\none", "sk-é", "s" * 5000, "a\0b"]
)
def test_what_cannot_be_a_key_is_refused_without_being_quoted(given_key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as told:
        checked_key(given_key)
    assert not given_key.strip() or given_key not in str(told.value)


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    assert checked_key(f" {API_KEY}\r\n") == API_KEY


@pytest.mark.parametrize("text", ["", "nonsense", encode_key(bytes(31)), encode_key(bytes(33))])
def test_a_public_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_PUBLIC_KEY"):
        decode_key(text, variable="PENSTOCK_PUBLIC_KEY")
