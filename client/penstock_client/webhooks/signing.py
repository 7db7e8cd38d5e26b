"""Pure: signing a webhook, and checking what was received.

As the Standard Webhooks specification says. Source:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
(2026-11-21).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from typing import Final, Protocol

from pydantic import ValidationError

from penstock_schemas.errors import WebhookRefused
from penstock_schemas.webhooks import WebhookEvent

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
#: How far the time of an attempt may be from the receiver's clock, in seconds.
TOLERANCE_S: Final = 300.0
_VERSION: Final = "v1"
_SECRET_BYTES: Final = 32
_FEWEST_BYTES, _MOST_BYTES = 24, 64
_MOST_DIGITS = 15


class Headers(Protocol):
    """The headers of a request, as any framework has them: a dict will do."""

    def items(self) -> Iterable[tuple[str, str]]: ...


def new_secret() -> str:
    """A signing secret that nobody has had before."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, *, event_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature, as the header has it; raises ValueError for what is no secret."""
    signed = b".".join((event_id.encode(), str(timestamp_s).encode(), body))
    digest = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def signed_headers(
    keys: Iterable[str], *, event_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The headers of an attempt, with a signature for each of the secrets."""
    signatures = [sign(key, event_id=event_id, timestamp_s=timestamp_s, body=body) for key in keys]
    return {
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: str(timestamp_s),
        SIGNATURE_HEADER: " ".join(signatures),
    }


def verify(
    headers: Headers,
    body: bytes | str,
    secret: str | Iterable[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> WebhookEvent:
    """The event of a request that was received, once its signature and its time are found good.

    `body` is what came, byte for byte: JSON that was parsed and written again has another
    signature. `secret` may be several, while they are rotated. Raises WebhookRefused for what
    Penstock did not send, or sent longer ago than `tolerance_s`; answer such a request with 400.
    """
    given = {name.lower(): value for name, value in headers.items()}
    for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
        if name not in given:
            raise WebhookRefused(f"the header {name} is missing")
    timestamp_s = _timestamp(given[TIMESTAMP_HEADER])
    off_s = (time.time() if now_s is None else now_s) - timestamp_s
    if abs(off_s) > tolerance_s:
        raise WebhookRefused(
            f"it was sent {off_s:.0f} s ago by this clock, and {tolerance_s:g} s are allowed"
        )
    raw = body.encode() if isinstance(body, str) else bytes(body)
    event_id = given[ID_HEADER]
    known = [
        sign(key, event_id=event_id, timestamp_s=timestamp_s, body=raw).encode()
        for key in ([secret] if isinstance(secret, str) else secret)
    ]
    if not _any_equal(given[SIGNATURE_HEADER].split(), known):
        raise WebhookRefused("no signature is of this body with this secret")
    try:
        return WebhookEvent.model_validate_json(raw).model_copy(update={"id": event_id})
    except ValidationError:
        raise WebhookRefused("it is signed, and its body is no event") from None


def _any_equal(received: Iterable[str], known: list[bytes]) -> bool:
    """Compares each with each, in a time that tells nothing."""
    found = False
    for signature in received:
        for expected in known:
            found |= hmac.compare_digest(signature.encode(), expected)
    return found


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise WebhookRefused(f"the header {TIMESTAMP_HEADER} is not a time in seconds")
    return int(text)


def _key_of(secret: str) -> bytes:
    """The bytes of a secret; the error never has it."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(
            f"a secret is {SECRET_PREFIX} and {_FEWEST_BYTES} to {_MOST_BYTES} bytes in base64"
        )
    return key
