"""Pure: an answer of the gateway that is no success -> the error that the direct client raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import orjson

from penstock_client.settings import TOKEN_VARIABLE, URL_VARIABLE
from penstock_schemas.errors import (
    ConfigurationError,
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

_PREFIX: Final = "urn:penstock:problem:"
#: The kind of a problem -> its error, made of what its detail names.
_KINDS: Final[Mapping[str, tuple[Callable[..., PenstockError], str]]] = {
    "unknown-job": (UnknownJob, r"job (\S+) does"),
    "unknown-run": (UnknownRun, r"run (\S+) does"),
    "unknown-backfill": (UnknownBackfill, r"backfill (\S+) does"),
    "unknown-delivery": (UnknownDelivery, r"delivery (\S+) does"),
    "unknown-token": (UnknownToken, r"token (['\"].*['\"]) does"),
    "unknown-skill": (UnknownSkill, r"workspace (\S+) has no skill (['\"].*['\"]); see"),
    "unknown-workspace": (UnknownWorkspace, r"workspace: (['\"].*['\"]) does not exist;"),
    "unknown-key": (UnknownKey, r"workspace (\S+) has no key for (\S+);"),
    "unknown-model": (UnknownModel, r"model: (['\"].*['\"]) names no provider"),
    "unknown-provider": (
        UnknownProvider,
        r"provider: (['\"].*?['\"]) is not(?:.*known providers: (.*))?",
    ),
    "unknown-configuration": (
        UnknownConfiguration,
        r"configuration: workspace (\S+) has no (['\"].*['\"]), only (.*)",
    ),
    "key-refused": (KeyRefused, r"(\S+) refused the key: (.*)"),
    "key-untested": (KeyUntested, r"the key for (\S+) could not be tested: (.*)"),
}
#: Statuses that say to come back: what was asked was not done, or only perhaps.
AGAIN: Final = frozenset({429, 502, 503, 504})


class NotAllowed(ConfigurationError):
    """The token is good, and lacks the scope for this."""


class Exists(InvalidJob):
    """What was to be made is there already."""


class TooLarge(InvalidJob):
    """The gateway takes no bodies of such a size."""


def error_of(status: int, body: bytes, *, url: str) -> PenstockError:
    """The error that an answer means; `url` is the gateway's."""
    told = _document(body)
    kind = str(told.get("type", "")).removeprefix(_PREFIX)
    detail = str(told.get("detail") or told.get("title") or f"it answered {status}")
    if status == 401:
        return ConfigurationError(f"{TOKEN_VARIABLE}: the gateway refuses it: {detail}")
    if status == 403:
        return NotAllowed(f"{TOKEN_VARIABLE}: {detail}")
    if not told:
        told_so = f"{URL_VARIABLE}: {url} answers {status} and does not seem to be a gateway"
        return (
            away(url, f"it answered {status}") if status in AGAIN else ConfigurationError(told_so)
        )
    made = _made(kind, detail)
    if made is not None:
        return made
    if status in AGAIN:
        return away(url, detail)
    if status in {400, 409, 413, 415, 422}:
        return _invalid(kind, detail, told)
    return PenstockError(f"the gateway at {url}: {detail}")


def away(url: str, detail: str) -> Unavailable:
    """The gateway cannot be reached, or has nothing behind it that answers."""
    return Unavailable(f"the gateway at {url}", detail, variable=URL_VARIABLE)


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) and "status" in found else {}


def _made(kind: str, detail: str) -> PenstockError | None:
    if kind not in _KINDS:
        return None
    make, pattern = _KINDS[kind]
    found = re.match(pattern, detail, re.DOTALL)
    if found is None:
        return InvalidJob(detail)  # the gateway's words for what cannot be such an ID
    given: list[Any] = [_plain(group) for group in found.groups() if group is not None]
    if make in {UnknownProvider, UnknownConfiguration} and len(given) > 1:
        given[-1] = tuple(given[-1].split(", "))
    return make(*given)


def _plain(group: str) -> str:
    """A name, which some messages quote."""
    return ast.literal_eval(group) if group[:1] in {"'", '"'} else group


def _invalid(kind: str, detail: str, told: Mapping[str, Any]) -> PenstockError:
    if kind == "exists":
        return Exists(detail)
    if told["status"] == 413:
        return TooLarge(detail)
    if kind == "configuration":
        return ConfigurationError(detail)
    errors: list[Mapping[str, Any]] = told.get("errors") or []
    field = str(errors[0].get("field")) if errors else None
    lines = [f"{each.get('field')}: {each.get('message')}" for each in errors]
    # The one mistake of a job is the detail itself.
    if errors and errors[0].get("message") != detail:
        detail = f"{detail}: {'; '.join(lines)}"
    return InvalidJob(detail, field=field)
