"""What a failure of the Gemini wire means: Google's error details to one `ProviderError`.

The wire has no headers for limits; `error.details` says which quota is spent and when to return.
Source: https://ai.google.dev/gemini-api/docs/troubleshooting (2026-11-21)
Source: https://ai.google.dev/gemini-api/docs/rate-limits (2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import Usage
from penstock_worker.providers.failures import (
    InvalidAnswer,
    classify_error_body,
    classify_response,
)
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object, as_list, as_object, as_text

#: `ErrorInfo.reason` -> kind. Source: https://cloud.google.com/apis/design/errors (2026-11-21)
_BY_REASON = {
    "API_KEY_INVALID": ErrorKind.AUTHENTICATION,
    "API_KEY_EXPIRED": ErrorKind.AUTHENTICATION,
    "ACCESS_TOKEN_EXPIRED": ErrorKind.AUTHENTICATION,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": ErrorKind.AUTHENTICATION,
    "CREDENTIALS_MISSING": ErrorKind.AUTHENTICATION,
    "ACCOUNT_STATE_INVALID": ErrorKind.AUTHENTICATION,
    "API_KEY_SERVICE_BLOCKED": ErrorKind.PERMISSION,
    "API_KEY_HTTP_REFERRER_BLOCKED": ErrorKind.PERMISSION,
    "API_KEY_IP_ADDRESS_BLOCKED": ErrorKind.PERMISSION,
    "SERVICE_DISABLED": ErrorKind.PERMISSION,
    "CONSUMER_SUSPENDED": ErrorKind.PERMISSION,
    "BILLING_DISABLED": ErrorKind.QUOTA_EXHAUSTED,
    "RATE_LIMIT_EXCEEDED": ErrorKind.RATE_LIMITED,
}

#: (status, what the message says, kind): for what comes as a bare INVALID_ARGUMENT and the like.
_BY_MESSAGE = tuple(
    (status, re.compile(pattern, re.IGNORECASE), kind)
    for status, pattern, kind in (
        (400, r"token count .*exceeds|exceeds the maximum number of tokens", "CONTEXT_LENGTH"),
        (400, r"api key (not valid|expired|not found)", "AUTHENTICATION"),
        (400, r"user location is not supported", "PERMISSION"),
        (400, r"free tier is not available|enable billing", "PERMISSION"),
        (400, r"unexpected model name format", "MODEL_NOT_FOUND"),
        (403, r"unregistered callers|without established identity", "AUTHENTICATION"),
        (429, r"credits are depleted|spend(ing)? (cap|limit)", "QUOTA_EXHAUSTED"),
    )
)
_NOTHING_GRANTED = re.compile(r"\blimit: 0\b")
_PACIFIC = "America/Los_Angeles"
_DELAY = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)s\s*")


def classify_gemini(call: Call, response: httpx.Response) -> ProviderError:
    """What a response that is not a success means.

    A spent daily quota is QUOTA_EXHAUSTED until midnight Pacific time, a quota of nothing at all
    REQUEST_EXCEEDS_LIMIT: waiting cannot help.
    """
    plain = classify_response(call, response)
    body = _body(response.content)
    kind, code, hint_s = _refined(body, response)
    if kind is None and code is None and hint_s is None:
        return plain
    return ProviderError(
        kind or plain.kind,
        plain.message,
        provider=plain.provider,
        status=plain.status,
        code=code or plain.code,
        retry_after_s=plain.retry_after_s if hint_s is None else hint_s,
    )


def error_in_answer(
    call: Call, body: Object, response: httpx.Response, usage: Usage
) -> InvalidAnswer:
    """The error that came with a success status, whole or as an event of a stream."""
    plain = classify_error_body(call, body, response, usage)
    stated = as_object(body.get("error")).get("code")
    status = stated if isinstance(stated, int) and 400 <= stated < 600 else 500
    as_sent = httpx.Response(status, headers=response.headers)
    kind, code, hint_s = _refined(body, as_sent)
    error = InvalidAnswer(
        kind or plain.kind,
        plain.message,
        provider=plain.provider,
        usage=usage,
        status=plain.status,
        code=code or plain.code,
        retry_after_s=plain.retry_after_s if hint_s is None else hint_s,
    )
    error.possibly_billed = usage.total_tokens > 0
    return error


def _refined(
    body: Object, response: httpx.Response
) -> tuple[ErrorKind | None, str | None, float | None]:
    """The kind, code and hint in seconds that the details give; None for what they do not."""
    error = as_object(body.get("error"))
    details = [as_object(detail) for detail in as_list(error.get("details"))]
    reason = next((r for d in details if (r := as_text(d.get("reason")))), None)
    quotas = list(_quotas(details))
    message = as_text(error.get("message"))
    delay_s = _delay_s(details)
    if response.status_code == 429 and quotas:
        return _spent(quotas, message, delay_s, response.headers)
    if reason in _BY_REASON:
        return _BY_REASON[reason], reason, delay_s
    for status, pattern, kind in _BY_MESSAGE:
        if response.status_code == status and pattern.search(message):
            return ErrorKind[kind], reason, delay_s
    return None, reason, delay_s


def _spent(
    quotas: list[Object], message: str, delay_s: float | None, headers: httpx.Headers
) -> tuple[ErrorKind, str, float | None]:
    """What a spent quota means. The hint of a daily one is short and wrong: its day decides."""
    names = [as_text(quota.get("quotaId")) for quota in quotas]
    daily = next((name for name in names if "perday" in name.lower()), None)
    if any(str(q.get("quotaValue")) == "0" for q in quotas) or _NOTHING_GRANTED.search(message):
        return ErrorKind.REQUEST_EXCEEDS_LIMIT, daily or names[0], None
    if daily is not None:
        return ErrorKind.QUOTA_EXHAUSTED, daily, _until_midnight_s(headers)
    return ErrorKind.RATE_LIMITED, names[0], delay_s


def _quotas(details: list[Object]) -> Iterator[Object]:
    for detail in details:
        for violation in as_list(detail.get("violations")):
            if as_text(as_object(violation).get("quotaId")):
                yield as_object(violation)


def _delay_s(details: list[Object]) -> float | None:
    """Seconds of `RetryInfo`, which writes durations like `34.4s`."""
    for detail in details:
        if found := _DELAY.fullmatch(as_text(detail.get("retryDelay"))):
            return float(found[1])
    return None


def _until_midnight_s(headers: httpx.Headers) -> float:
    """Seconds until daily quotas start again: midnight Pacific time."""
    try:
        zone = ZoneInfo(_PACIFIC)
    except ZoneInfoNotFoundError:  # no time zones on this machine: winter time is never too early
        zone = timezone(timedelta(hours=-8))
    now = _answered_at(headers).astimezone(zone)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (day.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def _answered_at(headers: httpx.Headers) -> datetime:
    """The provider's own clock where it states it."""
    try:
        stated = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return datetime.now(UTC)
    return stated if stated.tzinfo else stated.replace(tzinfo=UTC)


def _body(content: bytes) -> Object:
    try:
        decoded: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return as_object(decoded) or as_object(next(iter(as_list(decoded)), None))
