"""One direct call: the way of every call through adapter and sender, and past all the rest.

For security-critical calls: nothing is queued, recorded, cached, retried or sent elsewhere. It
fails closed: what is not a whole answer, as it was asked for, is an error without a text. The
security log has one line for each call, and never what was asked or answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import BaseModel, ValidationError

from penstock_client.catalogue import offline_catalog
from penstock_client.direct import DirectCall, DirectResult
from penstock_client.settings import Settings
from penstock_schemas.catalog import Catalog, Model
from penstock_schemas.errors import InvalidJob, PenstockError, ProviderError
from penstock_schemas.jobs import Generate, build_job
from penstock_schemas.pricing import cost_usd
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.credentials import access_to, environment
from penstock_worker.execute import SIMULATED_HEADER
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.http import AiohttpTransport, Sender, Timeout
from penstock_worker.providers.protocol import Adapter, Answer, Call
from penstock_worker.providers.registry import adapter_for

logger = logging.getLogger("penstock.security")

_WORKSPACE = "direct"
_CONNECT_S = 10.0
#: Beyond the sender's own timeout, in seconds: it fires late for long ones.
_GRACE_S = 1.5
_MOST_REASON = 500


@dataclass(slots=True)
class _Progress:
    """What is known so far of a call, whatever becomes of it."""

    model: Model | None = None
    usage: Usage = NO_USAGE
    answered: bool = False
    simulated: bool = False
    kind: str | None = None


class _NoAnswer(Exception):
    """What came is not the whole answer; `kind` is what the security log says."""

    def __init__(self, kind: ErrorKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


async def call(asked: DirectCall) -> DirectResult:
    """Make the call once. Raises nothing but asyncio.CancelledError."""
    began, progress = time.monotonic(), _Progress()
    status = "cancelled"
    try:
        try:
            async with asyncio.timeout(max(asked.timeout_s, 0) + _GRACE_S):
                result = await _call(asked, progress)
        except Exception as error:  # noqa: BLE001 - it fails closed
            progress.kind = _kind_of(error)
            result = DirectResult(status="error", reason=_reason(error, asked), model=asked.model)
        status = result.status
        return _completed(result, progress, began)
    finally:
        _log(asked, progress, status=status, began=began)


async def _call(asked: DirectCall, progress: _Progress) -> DirectResult:
    models = offline_catalog(Settings.load())
    progress.model = model = models.resolve(asked.model)
    provider = models.provider(model.provider)
    job = _job_of(asked)
    access = access_to(provider, environment(os.environ, folder=asked.folder or Path.cwd()))
    request = Call(
        job=job,
        provider=provider,
        model=model,
        base_url=access.base_url,
        api_key=access.api_key,
        request_id=f"direct-{secrets.token_hex(8)}:1",
        max_tokens=_max_tokens(job, model, models),
    )
    answer, warnings = await _send(request, asked.timeout_s, progress)
    output = _whole(job, answer)
    text = answer.text or orjson.dumps(answer.output).decode()
    return DirectResult(
        status="success", text=text, output=output, warnings=(*warnings, *answer.warnings)
    )


def _job_of(asked: DirectCall) -> Generate:
    """The job that adapters build from; raises InvalidJob that names what cannot be accepted."""
    given: dict[str, Any] = {
        "workspace": _WORKSPACE,
        "prompt": asked.prompt,
        "messages": asked.messages,
        "system": asked.system,
        "schema": asked.schema,
        "json": asked.json,
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "timeout_s": asked.timeout_s,
    }
    return build_job(Generate, {name: value for name, value in given.items() if value is not None})


def _max_tokens(job: Generate, model: Model, models: Catalog) -> int | None:
    limit = job.max_tokens or models.capabilities[job.capability].max_output_tokens
    bounds = (limit, model.max_output_tokens)
    return min((bound for bound in bounds if bound is not None), default=None)


async def _send(
    request: Call, timeout_s: float, progress: _Progress
) -> tuple[Answer, tuple[str, ...]]:
    """The answer, and what was left out of the request because the wire has no place for it."""
    adapter: Adapter = adapter_for(request.provider, request.model)
    built = adapter.build(request)
    timeout = Timeout(connect_s=min(_CONNECT_S, timeout_s), read_s=timeout_s, total_s=timeout_s)
    async with Sender(AiohttpTransport(max_connections=1)) as sender:
        response = await sender.send(built.request, timeout=timeout)
    progress.simulated = SIMULATED_HEADER in response.headers
    if not response.is_success:
        raise adapter.classify(request, response)
    progress.answered = True
    try:
        answer = adapter.parse(request, response)
    except InvalidAnswer as invalid:
        progress.usage = invalid.usage
        raise
    progress.usage = answer.usage
    return answer, built.warnings


def _whole(job: Generate, answer: Answer) -> Any:
    """The structured output, or None for plain text; raises _NoAnswer for what is not whole."""
    if answer.finish_reason is not FinishReason.STOP:
        cut = answer.finish_reason is FinishReason.LENGTH
        told = "the answer was cut off" if cut else f"it ended with {answer.finish_reason.value}"
        raise _NoAnswer(ErrorKind.LENGTH if cut else ErrorKind.MALFORMED_ANSWER, told)
    if answer.tool_calls:
        raise _NoAnswer(ErrorKind.MALFORMED_ANSWER, "it calls tools, and none were offered")
    text = answer.text or ""
    if not job.json_output and job.output_schema is None:
        if not text.strip():
            raise _NoAnswer(ErrorKind.MALFORMED_ANSWER, "the answer is empty")
        return None
    try:
        orjson.loads(text)  # elsewhere JSON is looked for between words, and mended
    except orjson.JSONDecodeError:
        told = "the answer is not JSON from end to end"
        raise _NoAnswer(ErrorKind.INVALID_OUTPUT, told) from None
    if job.output_type is None:
        return answer.output
    return _as_type(job.output_type, answer.output)


def _as_type(kind: type[BaseModel], output: Any) -> BaseModel:
    try:
        return kind.model_validate(output)
    except ValidationError as error:
        told = f"the answer is no {kind.__name__}: {error.error_count()} fields do not fit"
        raise _NoAnswer(ErrorKind.INVALID_OUTPUT, told) from None


def _completed(result: DirectResult, progress: _Progress, began: float) -> DirectResult:
    model = progress.model
    return replace(
        result,
        model=model.ref if model else result.model,
        provider=model.provider if model else None,
        input_tokens=progress.usage.input_tokens,
        output_tokens=progress.usage.output_tokens,
        duration_ms=_ms_since(began),
        cost_usd=cost_usd(model, progress.usage) if model and progress.answered else None,
        simulated=progress.simulated,
    )


def _reason(error: Exception, asked: DirectCall) -> str:
    """Why there is no answer, in one line."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer within {asked.timeout_s:g} s"
    if isinstance(error, ProviderError):
        told = f"{error.kind.value}: {error.message}"
    elif isinstance(error, httpx.HTTPError):
        told = f"{ErrorKind.INTERRUPTED.value}: {error or type(error).__name__}"
    elif isinstance(error, PenstockError | _NoAnswer):
        told = str(error)
    else:
        told = f"{type(error).__name__}: {error}"
    return " ".join(told.split())[:_MOST_REASON]


def _kind_of(error: Exception) -> str:
    """The same for the security log: a word, for messages may quote what was asked."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    if isinstance(error, ProviderError | _NoAnswer):
        return error.kind.value
    if isinstance(error, httpx.HTTPError):
        return ErrorKind.INTERRUPTED.value
    if isinstance(error, InvalidJob):
        return ErrorKind.INVALID_REQUEST.value
    return type(error).__name__


def _log(asked: DirectCall, progress: _Progress, *, status: str, began: float) -> None:
    """The one line. A log that is broken breaks no call."""
    model = progress.model
    extra: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "provider": model.provider if model else None,
        "model": model.ref if model else asked.model,
        "agent": asked.agent,
        "task_type": asked.task_type,
        "input_tokens": progress.usage.input_tokens,
        "output_tokens": progress.usage.output_tokens,
        "duration_ms": _ms_since(began),
        "status": status,
        "error": progress.kind,
        "simulated": progress.simulated,
    }
    with contextlib.suppress(Exception):
        level = logging.INFO if status == "success" else logging.WARNING
        logger.log(level, "direct.call", extra=extra)


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
