"""What a provider's failure means: status, typed codes and headers to one `ProviderError`.

Called by the adapters' `classify`, and by their `parse` for errors that come with status 200.
What each signal means stands in `errors_table`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import orjson

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import Usage
from penstock_worker.providers.errors_table import Signal, kind_of
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object, as_list, as_object, as_text, json_text
from penstock_worker.providers.retry_hints import regain_after_s, retry_after_s

_LONGEST_MESSAGE = 500


class InvalidAnswer(ProviderError):
    """A call that was answered, and paid, but whose answer cannot be the result.

    `usage` is what it cost, `text` what the model said, for a repair turn.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        provider: str,
        usage: Usage,
        text: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            kind, message, provider=provider, status=status, code=code, retry_after_s=retry_after_s
        )
        self.usage = usage
        self.text = text


_KEY_LIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|csk|fw|key)[-_][\w*.-]{6,}|\bAIza[\w-]{10,}"
    r"|\bBearer\s+[\w.*~+/=-]{8,}"
)


def classify_response(call: Call, response: httpx.Response) -> ProviderError:
    """What a response that is not a success means, with the provider's own hint when to return."""
    signal = read_signal(response.status_code, response.content)
    return ProviderError(
        kind_of(signal),
        _message(call, signal),
        provider=call.provider.name,
        status=signal.status,
        code=signal.codes[0].replace(call.api_key or "\0", "[key]") if signal.codes else None,
        retry_after_s=_hint_s(signal, response.headers),
    )


def classify_error_body(
    call: Call, body: Object, response: httpx.Response, usage: Usage
) -> InvalidAnswer:
    """The error that a response with a success status carries in its body."""
    error = as_object(body.get("error"))
    stated = str(error.get("code") or error.get("status") or "")
    status = int(stated) if stated.isdecimal() and len(stated) == 3 else 500
    status = status if 400 <= status < 600 else 500
    signal = Signal(status, tuple(_codes(body)), _text_of(body))
    return InvalidAnswer(
        kind_of(signal),
        _message(call, signal),
        provider=call.provider.name,
        usage=usage,
        status=response.status_code,
        code=signal.codes[0].replace(call.api_key or "\0", "[key]") if signal.codes else None,
        retry_after_s=_hint_s(signal, response.headers),
    )


def read_signal(status: int, content: bytes) -> Signal:
    """The codes and message of an error body in any of the shapes that providers use."""
    try:
        decoded: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        text = content[: _LONGEST_MESSAGE * 4].decode("utf-8", "replace").strip()
        return Signal(status, (), "" if text.startswith("<") else text)
    if isinstance(decoded, str):
        return Signal(status, (), decoded)
    body = as_object(decoded) or as_object(next(iter(as_list(decoded)), None))
    return Signal(status, tuple(_codes(body)), _text_of(body))


def redact(text: str, api_key: str | None) -> str:
    """`text` without the key of the call and without anything that looks like a key."""
    if api_key:
        text = text.replace(api_key, "[key]")
    return _KEY_LIKE.sub("[key]", text)


def shorten(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """`text` cut to `longest` characters, with an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _codes(body: Object) -> Iterator[str]:
    error = as_object(body.get("error"))
    details = as_object(error.get("details"))
    inner = as_object(error.get("innererror"))
    found = (
        error.get("code"),
        details.get("error_code"),
        details.get("code"),
        details.get("type"),
        inner.get("code"),
        error.get("type"),
        error.get("status"),
        error.get("error_code"),
        body.get("code"),
        body.get("error_code"),
        body.get("type"),
    )
    for code in found:
        if isinstance(code, str) and code and not code.isdecimal() and code != "error":
            yield code


def _text_of(body: Object) -> str:
    error = body.get("error")
    fields = as_object(error)
    detail = body.get("detail")
    candidates = (
        _with_upstream(fields),
        as_text(error),
        as_text(body.get("message")),
        as_text(detail),
        as_text(as_object(detail).get("message")),
        json_text(detail) if detail else "",
        json_text(error) if error else "",
    )
    return next((text for text in candidates if text), "")


def _with_upstream(error: Object) -> str:
    """The message, with what the upstream provider of a router said, where there is one."""
    message = as_text(error.get("message"))
    raw = as_text(as_object(error.get("metadata")).get("raw"))
    return f"{message}: {raw}" if message and raw else message


def _message(call: Call, signal: Signal) -> str:
    text = redact(" ".join(signal.message.split()), call.api_key)
    return shorten(text) or f"{call.provider.name} answered HTTP {signal.status} without a message"


def _hint_s(signal: Signal, headers: httpx.Headers) -> float | None:
    stated = retry_after_s(headers)
    return regain_after_s(signal.message, headers) if stated is None else stated
