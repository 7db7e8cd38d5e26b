"""Errors as `application/problem+json`, whatever raised them. Source: RFC 9457.

What was sent is never quoted: it may hold a key. What went wrong inside is logged with the
request's ID and not told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from penstock_client.connections import AWAY
from penstock_schemas.errors import (
    ConfigurationError,
    InvalidId,
    InvalidJob,
    KeyRefused,
    KeyUntested,
    PenstockError,
    Unavailable,
    UnknownBackfill,
    UnknownConfiguration,
    UnknownDelivery,
    UnknownJob,
    UnknownKey,
    UnknownModel,
    UnknownProvider,
    UnknownRun,
    UnknownSkill,
    UnknownToken,
    UnknownWorkspace,
)

logger = logging.getLogger("penstock.gateway")

MEDIA_TYPE: Final = "application/problem+json"
#: When to come back while a server is away, in seconds.
RETRY_AFTER_S: Final = 2
#: More mistakes than so many are not listed.
MOST_ERRORS: Final = 50
_MOST_NAME = 100

#: Error -> status and the end of the problem's type; what is not named here is a mistake of ours.
_STATUS: Final[tuple[tuple[type[PenstockError], int, str], ...]] = (
    (UnknownJob, 404, "unknown-job"),
    (UnknownToken, 404, "unknown-token"),
    (UnknownRun, 404, "unknown-run"),
    (UnknownBackfill, 404, "unknown-backfill"),
    (UnknownSkill, 404, "unknown-skill"),
    (UnknownDelivery, 404, "unknown-delivery"),
    (UnknownWorkspace, 404, "unknown-workspace"),
    (UnknownKey, 404, "unknown-key"),
    (InvalidJob, 422, "invalid"),
    (KeyRefused, 422, "key-refused"),
    (KeyUntested, 503, "key-untested"),
    (Unavailable, 503, "unavailable"),
    (UnknownModel, 422, "unknown-model"),
    (UnknownProvider, 422, "unknown-provider"),
    (UnknownConfiguration, 422, "unknown-configuration"),
    (ConfigurationError, 422, "configuration"),
)
_TITLES: Final = {
    400: "Bad request",
    401: "No valid token",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    409: "Conflict",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Something in the request cannot be accepted",
    500: "Something went wrong here",
    503: "Try again in a moment",
}
#: Messages of pydantic that would quote what was sent.
_OURS: Final = {
    "union_tag_invalid": "is not one of the types there are",
    "union_tag_not_found": "needs a type",
    "extra_forbidden": "is not a field of this",
    "missing": "is required",
    "json_invalid": "is not JSON",
}


class FieldError(BaseModel):
    """One mistake: where it is, as a path with dots, and what is wrong there."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """What every error answers; `errors` has a line for each mistake where there are several."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "type": "urn:penstock:problem:unknown-job",
                "title": "Not found",
                "status": 404,
                "detail": "job 019aa0a4-0000-7000-8000-000000000000 does not exist in this ledger",
            }
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: tuple[FieldError, ...] | None = None
    request_id: str | None = Field(default=None, description="As in the header X-Request-ID.")


class Refused(HTTPException):
    """A request that is refused, in the words of whoever refuses it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers=headers)
        self.kind = kind
        self.errors = tuple(errors)


def problem(
    status: int,
    detail: str | None = None,
    *,
    kind: str | None = None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """A problem as a response; `kind` is the end of its type."""
    told: dict[str, Any] = {
        "type": f"urn:penstock:problem:{kind}" if kind else "about:blank",
        "title": _TITLES.get(status, "The request failed"),
        "status": status,
    }
    if detail is not None:
        told["detail"] = detail
    if errors:
        told["errors"] = [error.model_dump() for error in errors]
    if request_id is not None:
        told["request_id"] = request_id
    body = orjson.dumps(told)
    return Response(body, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: BaseException, *, request_id: str | None = None) -> Response | None:
    """The response to an error; None for one that nobody foresaw."""
    if isinstance(error, PenstockError):
        return _told(error, request_id)
    if isinstance(error, AWAY):
        logger.warning("request.server_away", extra={"reason": type(error).__name__})
        return _away("a server behind this one", request_id)
    return None


def _told(error: PenstockError, request_id: str | None) -> Response | None:
    for kind, status, name in _STATUS:
        if not isinstance(error, kind):
            continue
        if isinstance(error, Unavailable):
            logger.warning("request.server_away", extra={"reason": str(error)})
            return _away(error.service, request_id)
        headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
        told = error.unquoted if isinstance(error, InvalidId) else str(error)
        field = error.field if isinstance(error, InvalidJob) else None
        errors = [FieldError(field=field, message=told)] if field else []
        return problem(
            status, told, kind=name, errors=errors, headers=headers, request_id=request_id
        )
    return None


def _away(service: str, request_id: str | None) -> Response:
    return problem(
        503,
        f"{service} does not answer",
        kind="unavailable",
        headers={"Retry-After": str(RETRY_AFTER_S)},
        request_id=request_id,
    )


def field_errors(details: Sequence[ErrorDetails], *, at: str = "") -> list[FieldError]:
    """The mistakes that pydantic found, at most `MOST_ERRORS`; `at` is where they were."""
    found = [_field_error(detail, at) for detail in details[:MOST_ERRORS]]
    return list(dict.fromkeys(found))


def _field_error(detail: ErrorDetails, at: str) -> FieldError:
    parts = [at, *(str(part)[:_MOST_NAME] for part in detail["loc"])]
    message = _OURS.get(detail["type"], detail["msg"])
    return FieldError(field=".".join(filter(None, parts)), message=message)


def invalid(error: ValidationError, *, at: str = "") -> list[FieldError]:
    """As `field_errors`, of an error as pydantic raises it."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return field_errors(details, at=at)


def install(app: FastAPI) -> None:
    """Let all errors that an application meets be told as problems."""

    async def penstock(request: Request, error: Exception) -> Response:
        response = problem_of(error, request_id=request.scope.get("request_id"))
        if response is None:
            raise error
        return response

    async def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        kind = error.kind if isinstance(error, Refused) else None
        errors = error.errors if isinstance(error, Refused) else ()
        return problem(
            error.status_code,
            error.detail,
            kind=kind,
            errors=errors,
            headers=error.headers,
            request_id=request.scope.get("request_id"),
        )

    async def parameters(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        errors = field_errors(error.errors())
        return problem(
            422,
            "some parameters cannot be accepted",
            kind="invalid",
            errors=errors,
            request_id=request.scope.get("request_id"),
        )

    app.add_exception_handler(PenstockError, penstock)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, parameters)
