"""What each signal of a failing provider means, and when to come back."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.status import ErrorKind
from tests.providers.wire_calls import CLAUDE, KEY, failure

LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-12-01"
CONTEXT = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"


def error(message: str = "no", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, error(code="rate_limit_exceeded", type="tokens"), ErrorKind.RATE_LIMITED),
        (429, error(), ErrorKind.RATE_LIMITED),
        (
            429,
            error(
                "Request too large for gpt-4o: Limit 10000, Requested 20000.",
                code="rate_limit_exceeded",
                type="tokens",
            ),
            ErrorKind.REQUEST_EXCEEDS_LIMIT,
        ),
        (
            429,
            error("Limit 10,000, Used 9,000, Requested 2,000", code="rate_limit_exceeded"),
            ErrorKind.RATE_LIMITED,
        ),
        (413, error(code="rate_limit_exceeded", type="tokens"), ErrorKind.REQUEST_EXCEEDS_LIMIT),
        (413, b"too big", ErrorKind.CONTEXT_LENGTH),
        (429, error(code="insufficient_quota"), ErrorKind.QUOTA_EXHAUSTED),
        (429, error(code="credit_balance_exhausted"), ErrorKind.QUOTA_EXHAUSTED),
        (429, error(code="project_spend_limit_exceeded"), ErrorKind.QUOTA_EXHAUSTED),
        (429, error(code="organization_usage_limit_exceeded"), ErrorKind.QUOTA_EXHAUSTED),
        (
            429,
            error(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            ErrorKind.QUOTA_EXHAUSTED,
        ),
        (400, error(LIMITS, type="invalid_request_error"), ErrorKind.QUOTA_EXHAUSTED),
        (402, error(), ErrorKind.QUOTA_EXHAUSTED),
        (401, error(code="invalid_api_key"), ErrorKind.AUTHENTICATION),
        (401, {"detail": "Invalid API Key"}, ErrorKind.AUTHENTICATION),
        (403, error(type="permission_error"), ErrorKind.PERMISSION),
        (404, error(code="model_not_found"), ErrorKind.MODEL_NOT_FOUND),
        (529, error(type="overloaded_error"), ErrorKind.OVERLOADED),
        (503, b"", ErrorKind.OVERLOADED),
        (498, b"", ErrorKind.OVERLOADED),
        (503, error("Slow Down: please reduce your request rate"), ErrorKind.SLOW_DOWN),
        (500, b"<html>oops</html>", ErrorKind.SERVER_ERROR),
        (502, b"", ErrorKind.SERVER_ERROR),
        (504, b"", ErrorKind.SERVER_ERROR),
        (520, b"", ErrorKind.SERVER_ERROR),
        (400, error(code="context_length_exceeded"), ErrorKind.CONTEXT_LENGTH),
        (400, error(CONTEXT, type="invalid_request_error"), ErrorKind.CONTEXT_LENGTH),
        (400, error("prompt is too long: 9 tokens > 8 maximum"), ErrorKind.CONTEXT_LENGTH),
        (
            400,
            error(code=None, innererror={"code": "ResponsibleAIPolicyViolation"}),
            ErrorKind.CONTENT_FILTER,
        ),
        (400, error(type="invalid_request_error"), ErrorKind.INVALID_REQUEST),
        (422, {"detail": [{"loc": ["body"], "msg": "bad"}]}, ErrorKind.INVALID_REQUEST),
        (400, error(code="json_validate_failed"), ErrorKind.INVALID_OUTPUT),
        (429, [error(status="RESOURCE_EXHAUSTED")], ErrorKind.RATE_LIMITED),
    ],
)
def test_signals_mean_what_the_table_says(status: int, body: Any, kind: ErrorKind) -> None:
    for ref in ("openai/gpt-4o-mini", CLAUDE):
        found = failure(status, body, ref=ref)
        assert (found.kind, found.status) == (kind, status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "1750"}, 1.75),
        ({"retry-after": "1", "retry-after-ms": "soon"}, 1.0),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        (
            {
                "date": "Sat, 21 Nov 2026 00:00:00 GMT",
                "retry-after": "Sat, 21 Nov 2026 00:01:30 GMT",
            },
            90.0,
        ),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert failure(429, error(), headers=headers).retry_after_s == seconds


def test_a_usage_limit_comes_with_the_time_until_its_date() -> None:
    headers = {"date": "Mon, 30 Nov 2026 23:00:00 GMT"}
    assert failure(400, error(LIMITS), headers=headers).retry_after_s == 3600


def test_messages_are_kept_short_and_without_keys() -> None:
    told = f"Incorrect API key provided: {KEY} or sk-proj-abcdef1234567890. " + "x" * 2000
    found = failure(401, error(told))
    assert KEY not in str(found)
    assert "abcdef1234567890" not in str(found)
    assert found.message.startswith("Incorrect API key provided: [key]")
    assert len(found.message) <= 500


def test_the_first_code_is_kept() -> None:
    assert failure(404, error(code="model_not_found", type="x")).code == "model_not_found"


def test_an_empty_answer_still_says_what_it_was() -> None:
    assert failure(502, b"").message == "openai answered HTTP 502 without a message"
