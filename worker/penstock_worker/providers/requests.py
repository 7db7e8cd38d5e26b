"""The parts of a request that all wires share: address, headers, parameters, refusals."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from penstock_schemas import __version__
from penstock_schemas.catalog import MODEL_PLACEHOLDER, AuthStyle
from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import TextJob
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.protocol import Built, Call
from penstock_worker.providers.reading import Object, dump

_SAME_HEADERS = (
    (b"content-type", b"application/json"),
    (b"user-agent", f"penstock/{__version__}".encode()),
)

#: Auth style -> the header that carries the key, and what stands before it.
#: A provider that asks for no key still gets one, as a bearer token, where one is set.
_AUTH: dict[AuthStyle, tuple[str, str]] = {
    "bearer": ("authorization", "Bearer "),
    "none": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
    "api-key": ("api-key", ""),
}

Lack = Literal["refuse", "drop"]

#: Job field -> what to do where a provider lacks it: refuse what changes the answer's meaning,
#: drop with a warning what only colours it.
PARAMETERS: dict[str, Lack] = {
    "temperature": "drop",
    "top_p": "drop",
    "stop": "refuse",
    "seed": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
}


def request_of(
    call: Call,
    path: str,
    body: Object,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    warnings: Iterable[str] = (),
) -> Built:
    """The POST of `body` to the provider's `path`, with the call's key and request ID."""
    sent = [
        *_SAME_HEADERS,
        (b"x-client-request-id", call.request_id.encode()),
        *((name.encode(), value.encode()) for name, value in headers),
    ]
    if call.api_key:
        name, prefix = _AUTH[call.provider.auth_style]
        sent.append((name.encode(), f"{prefix}{call.api_key}".encode()))
    # With a stream, httpx does not look through the headers for what it would add.
    body_stream = httpx.ByteStream(dump(body))
    url = _url(call.base_url, path, call.model.wire_id)
    request = httpx.Request("POST", url, headers=sent, stream=body_stream)
    request.read()
    return Built(request=request, warnings=tuple(warnings))


def parameters_of(call: Call, job: TextJob, warnings: list[str]) -> dict[str, Any]:
    """The sampling parameters that are set and that the model takes, by their job names.

    Raises ProviderError(UNSUPPORTED) for one that must not be dropped.
    """
    found: dict[str, Any] = {}
    for name, lack in PARAMETERS.items():
        value = getattr(job, name)
        if value is None or value == ():
            continue
        if not lacks(call, name):
            found[name] = value
        elif lack == "refuse":
            raise unsupported(call, name, "is not taken by this model")
        else:
            warnings.append(f"{name}: not sent, {call.model.ref} does not take it")
    return found


def lacks(call: Call, name: str) -> bool:
    """Whether the provider or model refuses a parameter, by its name in Penstock's jobs."""
    return call.provider.lacks(call.model, name)


def unsupported(call: Call, field: str, reason: str) -> ProviderError:
    """The refusal of a job that this model cannot run as it is meant."""
    return ProviderError(
        ErrorKind.UNSUPPORTED,
        f"{field}: {reason} ({call.model.ref})",
        provider=call.provider.name,
        code=field,
    )


@lru_cache(maxsize=256)
def _url(base_url: str, path: str, wire_id: str) -> httpx.URL:
    """The address of an endpoint, the model's in it; a query in the base stays behind the path."""
    base = urlsplit(base_url)
    root = base.path.rstrip("/")
    version, _, _ = path.lstrip("/").partition("/")
    if root.endswith(f"/{version}"):
        root = root.removesuffix(f"/{version}")
    address = urlunsplit(base._replace(path=root + path))
    return httpx.URL(address.replace(MODEL_PLACEHOLDER, quote(wire_id, safe="")))
