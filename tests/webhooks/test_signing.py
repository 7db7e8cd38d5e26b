"""Signatures, by the specification's own example, and what a receiver refuses."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.webhooks import WebhookRefused, verify
from penstock_client.webhooks.signing import new_secret, sign, signed_headers

#: The example that implementations of the specification are tested with. Source:
#: https://github.com/standard-webhooks/standard-webhooks (2026-11-21).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT_ID, SENT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
EVENT = b'{"type":"job.succeeded","timestamp":"2026-11-21T10:00:00Z","data":{"sequence":1}}'


def headers(body: bytes = EVENT, *secrets: str) -> dict[str, str]:
    return signed_headers(secrets or (SECRET,), event_id="evt_1", timestamp_s=1000, body=body)


def test_sign_gives_the_published_signature() -> None:
    assert sign(SECRET, event_id=EVENT_ID, timestamp_s=SENT_S, body=BODY) == SIGNATURE


def test_verify_gives_the_event_with_its_id() -> None:
    event = verify(headers(), EVENT, SECRET, now_s=1010)
    assert (event.id, event.type, event.data["sequence"]) == ("evt_1", "job.succeeded", 1)


def test_verify_reads_headers_by_any_case() -> None:
    given_headers = {name.title(): value for name, value in headers().items()}
    assert verify(given_headers, EVENT.decode(), SECRET, now_s=1000).type == "job.succeeded"


@pytest.mark.parametrize("order", [0, 1])
def test_verify_takes_either_secret_during_a_rotation(order: int) -> None:
    secrets = [new_secret(), new_secret()]
    assert verify(headers(EVENT, *secrets), EVENT, secrets[order], now_s=1000)
    assert verify(headers(EVENT, secrets[order]), EVENT, secrets, now_s=1000)


def test_verify_refuses_another_secret() -> None:
    with pytest.raises(WebhookRefused, match="no signature"):
        verify(headers(), EVENT, new_secret(), now_s=1000)


@pytest.mark.parametrize("now_s", [1301.0, 699.0])
def test_verify_refuses_what_is_old_or_from_the_future(now_s: float) -> None:
    with pytest.raises(WebhookRefused, match="300 s are allowed"):
        verify(headers(), EVENT, SECRET, now_s=now_s)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_verify_names_the_missing_header(missing: str) -> None:
    given_headers = headers()
    del given_headers[missing]
    with pytest.raises(WebhookRefused, match=missing):
        verify(given_headers, EVENT, SECRET, now_s=1000)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e3", "١٠٠٠", "9" * 30])
def test_verify_refuses_what_is_no_time(timestamp: str) -> None:
    with pytest.raises(WebhookRefused):
        verify({**headers(), "webhook-timestamp": timestamp}, EVENT, SECRET, now_s=1000)


def test_verify_refuses_a_signed_body_that_is_no_event() -> None:
    with pytest.raises(WebhookRefused, match="no event"):
        verify(headers(b"[]"), b"[]", SECRET, now_s=1000)


def test_verify_refuses_a_secret_that_is_none() -> None:
    with pytest.raises(ValueError, match="whsec_") as caught:
        verify(headers(), EVENT, "whsec_secret", now_s=1000)
    assert "whsec_secret" not in str(caught.value)


def test_new_secret_has_256_random_bits() -> None:
    made = {new_secret() for _ in range(3)}
    assert len(made) == 3
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in made)


@given(
    at=st.integers(0, len(EVENT) - 1),
    flip=st.integers(1, 255),
    part=st.sampled_from(["body", "webhook-id", "webhook-timestamp"]),
)
def test_verify_refuses_whatever_was_changed(at: int, flip: int, part: str) -> None:
    changed, body = headers(), bytearray(EVENT)
    if part == "body":
        body[at] ^= flip
    elif part == "webhook-id":
        changed[part] += chr(flip)
    else:
        changed[part] = str(1000 + flip)
    with pytest.raises(WebhookRefused):
        verify(changed, bytes(body), SECRET, now_s=1100)
