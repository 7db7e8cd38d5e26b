"""What each signal of a failure means: the tables, and the look-up over them.

Message text decides only where a provider gives nothing else. `failures` reads responses into
signals and makes errors of them.
Source: https://developers.openai.com/api/docs/guides/error-codes (2026-11-21)
Source: https://platform.claude.com/docs/en/api/errors (2026-11-21)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_schemas.status import ErrorKind


@dataclass(frozen=True, slots=True)
class Signal:
    """What a failure says of itself: its status, its codes in order of weight, its message."""

    status: int
    codes: tuple[str, ...]
    message: str


#: (status, code) -> kind, where a code means something else with a certain status.
_BY_STATUS_AND_CODE = {
    (413, "rate_limit_exceeded"): ErrorKind.REQUEST_EXCEEDS_LIMIT,
    (413, "tokens"): ErrorKind.REQUEST_EXCEEDS_LIMIT,
}

#: Typed codes, in lower case. General ones (`invalid_request_error`, `api_error`) are left to the
#: status on purpose: providers put them on anything.
_BY_CODE = {
    code: kind
    for kind, codes in {
        ErrorKind.RATE_LIMITED: (
            "rate_limit_exceeded rate_limit_error ratelimitreached rate_limit_reached "
            "rate_limited too_many_requests requests tokens resource_exhausted "
            "rate_limit_reached_error"
        ),
        ErrorKind.REQUEST_EXCEEDS_LIMIT: "request_exceeds_limit",
        ErrorKind.QUOTA_EXHAUSTED: (
            "insufficient_quota credit_balance_exhausted organization_usage_limit_exceeded "
            "enforced_spend_limit_reached billing_error billing_hard_limit_reached "
            "billing_not_active insufficient_balance exceeded_current_quota_error "
            "insufficient_credits payment_required payment_required_error quota_exceeded"
        ),
        ErrorKind.AUTHENTICATION: (
            "invalid_api_key authentication_error invalid_authentication "
            "invalid_authentication_error api_key_invalid account_deactivated unauthenticated"
        ),
        ErrorKind.PERMISSION: (
            "permission_error permission_denied permission_denied_error insufficient_permissions "
            "unsupported_country_region_territory"
        ),
        ErrorKind.MODEL_NOT_FOUND: (
            "model_not_found deploymentnotfound not_found_error model_not_available "
            "invalid_model unknown_model model_decommissioned resource_not_found_error"
        ),
        ErrorKind.OVERLOADED: (
            "overloaded_error overloaded engine_overloaded engine_overloaded_error "
            "server_overloaded model_overloaded capacity_exceeded unavailable"
        ),
        ErrorKind.SLOW_DOWN: "slow_down",
        ErrorKind.CONTEXT_LENGTH: (
            "context_length_exceeded model_context_window_exceeded request_too_large "
            "string_above_max_length too_many_prompt_tokens"
        ),
        ErrorKind.CONTENT_FILTER: (
            "content_filter content_policy_violation responsibleaipolicyviolation "
            "data_inspection_failed moderation_blocked content_filtered"
        ),
        ErrorKind.INVALID_OUTPUT: "tool_use_failed json_validate_failed",
    }.items()
    for code in codes.split()
}

_SPEND_LIMIT = "_spend_limit_exceeded"

_BY_STATUS = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA_EXHAUSTED,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.MODEL_NOT_FOUND,
    408: ErrorKind.SERVER_ERROR,
    409: ErrorKind.SERVER_ERROR,
    413: ErrorKind.CONTEXT_LENGTH,
    424: ErrorKind.SERVER_ERROR,
    425: ErrorKind.SERVER_ERROR,
    429: ErrorKind.RATE_LIMITED,
    498: ErrorKind.OVERLOADED,
    503: ErrorKind.OVERLOADED,
    529: ErrorKind.OVERLOADED,
}

#: (statuses, what the message says, kind): for providers that send no code for these.
_BY_MESSAGE = tuple(
    (frozenset(statuses), re.compile(pattern, re.IGNORECASE), kind)
    for statuses, pattern, kind in (
        ((400,), r"reached your specified .*usage limits", ErrorKind.QUOTA_EXHAUSTED),
        ((400,), r"credit balance is too low", ErrorKind.QUOTA_EXHAUSTED),
        (
            (400,),
            r"(incorrect|invalid) api key|api key (not valid|expired)",
            ErrorKind.AUTHENTICATION,
        ),
        (
            (400, 413, 422, 500),
            r"context (length|window|limit)|(prompt|input) (is )?too long|reduce the length of",
            ErrorKind.CONTEXT_LENGTH,
        ),
        ((400,), r"content management policy|flagged by .*moderation", ErrorKind.CONTENT_FILTER),
        ((403,), r"requires moderation|was flagged", ErrorKind.CONTENT_FILTER),
        ((503,), r"slow down", ErrorKind.SLOW_DOWN),
    )
)

_TOO_LARGE = re.compile(r"request too large", re.IGNORECASE)
_ASKED = re.compile(r"limit:? ([\d,]+)\b.*?\brequested:? ([\d,]+)", re.IGNORECASE | re.DOTALL)


def kind_of(signal: Signal) -> ErrorKind:
    """The meaning of a failure, by status and code, then message, then status alone."""
    codes = [code.lower() for code in signal.codes]
    for code in codes:
        if found := _BY_STATUS_AND_CODE.get((signal.status, code)):
            return found
    coded = next((kind for code in codes if (kind := _kind_of_code(code))), None)
    if coded in (None, ErrorKind.RATE_LIMITED) and signal.status == 429 and _is_too_large(signal):
        return ErrorKind.REQUEST_EXCEEDS_LIMIT
    if coded:
        return coded
    for statuses, pattern, kind in _BY_MESSAGE:
        if signal.status in statuses and pattern.search(signal.message):
            return kind
    if found := _BY_STATUS.get(signal.status):
        return found
    return ErrorKind.INVALID_REQUEST if 400 <= signal.status < 500 else ErrorKind.SERVER_ERROR


def _kind_of_code(code: str) -> ErrorKind | None:
    if code.endswith(_SPEND_LIMIT):
        return ErrorKind.QUOTA_EXHAUSTED
    return _BY_CODE.get(code)


def _is_too_large(signal: Signal) -> bool:
    """Whether one request exceeds the limit by itself, so that waiting cannot help."""
    if _TOO_LARGE.search(signal.message):
        return True
    asked = _ASKED.search(signal.message)
    if asked is None:
        return False
    limit, requested = (int(part.replace(",", "") or "0") for part in asked.groups())
    return requested > limit
