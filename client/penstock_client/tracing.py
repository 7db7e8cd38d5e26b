"""Spans by the OpenTelemetry API: attribute names, and how a trace travels with its jobs.

Without an SDK nothing is recorded, and asking whether it is costs about a microsecond. A trace goes
with a job as W3C `traceparent` text. Prompts, answers and keys are never put into a span, nor are
messages of errors, which may quote them.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans, 2026-11-21 (status:
development), and the registry of attributes behind it. `gen_ai.provider.name` was `gen_ai.system`.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

logger = logging.getLogger("penstock.client")

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
#: In seconds.
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
#: Values of `OPERATION_NAME`.
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
#: Values of `PROVIDER_NAME`, where the conventions have another name for a provider than we.
PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}

JOB_ID: Final = "penstock.job_id"
JOBS: Final = "penstock.jobs"
WORKSPACE: Final = "penstock.workspace"

_PROPAGATOR = TraceContextTextMapPropagator()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOL = "http/protobuf"
_EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}
_P = ParamSpec("_P")
_T = TypeVar("_T")


def tracing() -> bool:
    """Whether this process has somewhere for spans to go."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def tracer() -> trace.Tracer:
    """The tracer of all Penstock's spans."""
    return trace.get_tracer("penstock")


def current_trace() -> str | None:
    """The current span as `traceparent` text; None outside of any trace."""
    return traceparent(trace.get_current_span())


def traceparent(span: Span) -> str | None:
    """A span as `traceparent` text; None for one that is in no trace."""
    if span is trace.INVALID_SPAN:
        return None
    found = span.get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def context_of(parent: str | None) -> Context:
    """The context that `traceparent` text names; an empty one for None, or for what is none."""
    return _PROPAGATOR.extract({"traceparent": parent} if parent else {}, Context())


def mark_failed(span: Span, error_type: str) -> None:
    """Say that what a span covers failed, by a name that has few values; never by a message."""
    span.set_attribute(ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))


def submitting(submit: Callable[_P, Awaitable[_T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Put a span around a method that submits jobs, its first argument."""

    @functools.wraps(submit)
    async def spanned(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if not tracing():
            return await submit(*args, **kwargs)
        jobs: Any = args[1] if len(args) > 1 else kwargs["jobs"]
        with tracer().start_as_current_span(
            "penstock.submit",
            kind=SpanKind.PRODUCER,
            attributes={JOBS: len(jobs)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            workspaces = {job.workspace for job in jobs} if span.is_recording() else ()
            if len(workspaces) == 1:
                span.set_attribute(WORKSPACE, *workspaces)
            try:
                return await submit(*args, **kwargs)
            except BaseException as error:
                mark_failed(span, type(error).__name__)
                raise

    return spanned


def export_spans(service: str) -> bool:
    """Send this process's spans where the `OTEL_*` variables say; for processes of our own.

    Does nothing without `OTEL_EXPORTER_OTLP_ENDPOINT`, or where a provider is set up already.
    Returns whether spans go anywhere. Needs the extra `otel`; without it there is a warning.
    """
    if tracing():
        return True
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", _PROTOCOL
    )
    try:
        exporters: Any = importlib.import_module(_EXPORTERS.get(protocol, _EXPORTERS[_PROTOCOL]))
        sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
        processing: Any = importlib.import_module("opentelemetry.sdk.trace.export")
        resources: Any = importlib.import_module("opentelemetry.sdk.resources")
    except ImportError as error:
        logger.warning("traces.not_exported", extra={"missing": error.name, "extra": "otel"})
        return False
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = sdk.TracerProvider(resource=resources.Resource.create(named))
    provider.add_span_processor(processing.BatchSpanProcessor(exporters.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True
