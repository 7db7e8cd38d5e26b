"""Gemini's wire: what failures mean."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.status import ErrorKind
from tests.providers.gemini_calls import FLASH
from tests.providers.wire_calls import failure

TYPE = "type.googleapis.com/google.rpc."
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
STATUS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def body(status: int, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    error = {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}
    return {"error": error | {"details": list(details)}}


def quota(*names: str, **more: Any) -> dict[str, Any]:
    return {"@type": f"{TYPE}QuotaFailure", "violations": [{"quotaId": n, **more} for n in names]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}RetryInfo", "retryDelay": delay}


def reason(name: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": name}


def classified(status: int, content: Any, **headers: str) -> Any:
    return failure(status, content, ref=FLASH, headers=headers)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (400, body(400, "API key not valid.", reason("API_KEY_INVALID")), "AUTHENTICATION"),
        (400, body(400, "API key expired. Please renew the API key."), "AUTHENTICATION"),
        (400, body(400, "Invalid role"), "INVALID_REQUEST"),
        (
            400,
            body(400, "The input token count (2000) exceeds the maximum number of tokens allowed"),
            "CONTEXT_LENGTH",
        ),
        (400, body(400, "User location is not supported for the API use."), "PERMISSION"),
        (403, body(403, "Permission denied"), "PERMISSION"),
        (403, body(403, "Method doesn't allow unregistered callers"), "AUTHENTICATION"),
        (403, body(403, "billing", reason("BILLING_DISABLED")), "QUOTA_EXHAUSTED"),
        (404, body(404, "models/x is not found for API version v1beta"), "MODEL_NOT_FOUND"),
        (429, body(429, "Resource exhausted"), "RATE_LIMITED"),
        (429, body(429, "x", quota(PER_MINUTE), retry("34.4s")), "RATE_LIMITED"),
        (429, body(429, "x", quota(PER_MINUTE, PER_DAY)), "QUOTA_EXHAUSTED"),
        (429, body(429, "x", quota(PER_DAY, quotaValue="0")), "REQUEST_EXCEEDS_LIMIT"),
        (429, body(429, "Your prepayment credits are depleted."), "QUOTA_EXHAUSTED"),
        (500, body(500, "internal"), "SERVER_ERROR"),
        (503, body(503, "The model is overloaded."), "OVERLOADED"),
        (504, body(504, "deadline"), "SERVER_ERROR"),
        (502, b"<html>bad gateway</html>", "SERVER_ERROR"),
        (429, [body(429, "x", quota(PER_MINUTE))], "RATE_LIMITED"),
    ],
)
def test_a_failure_is_classified(status: int, content: Any, kind: str) -> None:
    error = classified(status, content)
    assert (error.kind, error.status) == (ErrorKind[kind], status)
    assert error.message


def test_the_hint_of_a_rate_limit_is_in_the_details() -> None:
    error = classified(429, body(429, "x", quota(PER_MINUTE), retry("34.4s")))
    assert (error.retry_after_s, error.code) == (34.4, PER_MINUTE)


@pytest.mark.parametrize(
    ("date", "hint_s"),
    [
        ("Sat, 21 Nov 2026 06:00:00 GMT", 2 * 3600),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 23 * 3600),
        ("Fri, 03 Jul 2026 06:00:00 GMT", 3600),
    ],
)
def test_a_daily_quota_comes_back_at_midnight_pacific(date: str, hint_s: float) -> None:
    error = classified(429, body(429, "x", quota(PER_DAY), retry("12s")), date=date)
    assert (error.kind, error.retry_after_s) == (ErrorKind.QUOTA_EXHAUSTED, hint_s)


@pytest.mark.parametrize("delay", ["", "soon", "-3s", 4, None])
def test_a_hint_that_cannot_be_read_is_none(delay: Any) -> None:
    assert classified(429, body(429, "x", retry(delay))).retry_after_s is None


@pytest.mark.parametrize(
    "error",
    [None, 3, "text", [], {"details": 3}, {"details": [3, {"violations": [3]}, {"reason": {}}]}],
)
def test_a_strange_error_is_classified_by_its_status(error: Any) -> None:
    assert classified(429, {"error": error}).kind is ErrorKind.RATE_LIMITED
