"""Sealing a workspace's provider key to the workers' public key. Whoever seals cannot open.

HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Workspace and provider go into its `info`,
from which the encryption key is derived: a sealed key that is copied to another workspace or
provider does not open. A sealed key begins with a version byte and the ID of what it is sealed to.

Source: https://www.rfc-editor.org/rfc/rfc9180 (2026-11-21).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from penstock_schemas.errors import ConfigurationError

#: Pins the public key that keys are sealed to, in base64.
PUBLIC_KEY_VARIABLE = "PENSTOCK_PUBLIC_KEY"
#: An X25519 key, private or public, has so many bytes.
KEY_BYTES = 32
#: The longest key of a provider that is taken, in characters.
MOST_CHARACTERS = 4096
_VERSION = b"\x01"
_ID_BYTES = 8
_HEAD_BYTES = len(_VERSION) + _ID_BYTES


def suite() -> Suite:
    """The algorithms that keys are sealed with."""
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal(api_key: str, public_key: bytes, *, workspace: str, provider: str) -> bytes:
    """Seal a key for one workspace and provider; different at each call.

    Raises ConfigurationError for a public key that is none.
    """
    try:
        recipient = X25519PublicKey.from_public_bytes(public_key)
        info = binding(workspace, provider)
        sealed = suite().encrypt(api_key.encode(), recipient, info=info)
    except ValueError:
        raise ConfigurationError("the workers' public key is not an X25519 key") from None
    return _VERSION + _id_of(public_key) + sealed


def binding(workspace: str, provider: str) -> bytes:
    """What ties a sealed key to its place; no two places have the same."""
    return b"penstock provider key 1\0" + json.dumps([workspace, provider]).encode()


def sealing_id(public_key: bytes) -> str:
    """The name of a pair of keys, by its public half."""
    return "seal-" + _id_of(public_key).hex()


def sealed_to(sealed: bytes) -> str:
    """The name of the pair of keys that a sealed key was sealed to; nothing is checked."""
    return "seal-" + sealed[len(_VERSION) : _HEAD_BYTES].hex()


def ciphertext(sealed: bytes) -> bytes | None:
    """What HPKE made of a key; None for what cannot be a sealed key of this version."""
    if not sealed.startswith(_VERSION) or len(sealed) <= _HEAD_BYTES:
        return None
    return sealed[_HEAD_BYTES:]


def fingerprint(api_key: str) -> str:
    """A name for a key: the same key, the same name. It names the credential in the index.

    40 bits of a SHA-256. A provider's key is random, of 128 bits or more: nobody finds it by
    hashing guesses, and of the keys that share a fingerprint none is more likely than another.
    """
    return "key-" + hashlib.sha256(api_key.encode()).hexdigest()[:10]


def checked_key(api_key: str) -> str:
    """A key without the blanks around it; raises ConfigurationError for what cannot be one."""
    key = api_key.strip()
    if not key:
        raise ConfigurationError("api_key: is empty")
    if len(key) > MOST_CHARACTERS:
        raise ConfigurationError(f"api_key: is longer than {MOST_CHARACTERS:,} characters")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            "api_key: has blanks, line breaks or characters that no key has; paste the key alone"
        )
    return key


def decode_key(text: str, *, variable: str) -> bytes:
    """An X25519 key from base64; raises ConfigurationError that names where it stood."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigurationError(
            f"{variable}: must be {KEY_BYTES} bytes in base64; `penstock keys generate` makes one"
        )
    return raw


def encode_key(raw: bytes) -> str:
    """A key, or a sealed one, as base64."""
    return base64.b64encode(raw).decode()


def _id_of(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[:_ID_BYTES]
