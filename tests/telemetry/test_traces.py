"""One trace from submit via the worker to settle; what its spans say, and what they never say."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from penstock_client import Embed, Generate, Penstock, tracing
from penstock_schemas.errors import UnknownWorkspace

MODEL = "gpt-4o-mini"
PLANTED_PROMPT = "planted prompt that no span may hold"
KEY = "sk-test"  # as the fixture `work_for` gives it


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def ask(penstock: Penstock, **fields: Any) -> Any:
    given = {"workspace": "acme", "prompt": PLANTED_PROMPT, "model": f"openai/{MODEL}"} | fields
    handle = await penstock.submit(Generate(**given))
    return await handle.result(timeout_s=20)


async def test_trace_runs_from_submit_through_the_worker_to_settle(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    result = await ask(penstock)
    submit, attempt = named(spans, "penstock.submit"), named(spans, "penstock.attempt")
    call, settle = named(spans, f"chat {MODEL}"), named(spans, "penstock.settle")
    assert len({span.context.trace_id for span in (submit, attempt, call, settle)}) == 1
    assert [span.kind for span in (submit, attempt, call)] == [
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    ]
    parents = [span.parent.span_id if span.parent else None for span in (attempt, call, settle)]
    assert parents == [
        submit.context.span_id,
        attempt.context.span_id,
        attempt.context.span_id,
    ]
    assert attributes(attempt)[tracing.JOB_ID] == result.job_id


async def test_trace_of_the_caller_goes_on(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    with tracing.tracer().start_as_current_span("the caller's"):
        await ask(penstock)
    outer = named(spans, "the caller's")
    assert named(spans, "penstock.settle").context.trace_id == outer.context.trace_id


async def test_call_span_has_the_attributes_of_the_conventions(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    result = await ask(penstock)
    found = attributes(named(spans, f"chat {MODEL}"))
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == MODEL
    assert found["gen_ai.usage.input_tokens"] == result.usage.input_tokens
    assert found["gen_ai.usage.output_tokens"] == result.usage.output_tokens
    assert found["gen_ai.response.finish_reasons"] == ("stop",)
    assert found["http.response.status_code"] == 200


async def test_call_span_of_an_embedding_says_so(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    job = Embed(workspace="acme", input=("a",), model="openai/text-embedding-3-small")
    handle = await penstock.submit(job)
    assert (await handle.result(timeout_s=20)).ok
    found = attributes(named(spans, "embeddings text-embedding-3-small"))
    assert found["gen_ai.operation.name"] == "embeddings"


async def test_call_span_of_a_stream_has_the_time_to_its_first_chunk(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    await ask(penstock, stream=True)
    found = attributes(named(spans, f"chat {MODEL}"))
    assert found["gen_ai.response.time_to_first_chunk"] > 0


async def test_failed_call_has_an_error_type(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    result = await ask(penstock, model="openai/no-such-model-at-all", max_attempts=1)
    assert not result.ok
    call = named(spans, "chat no-such-model-at-all")
    assert attributes(call)["error.type"] == result.error.kind.value
    assert call.status.status_code is StatusCode.ERROR
    assert attributes(named(spans, "penstock.attempt"))["error.type"] == result.error.kind.value


async def test_refused_submit_has_an_error_type(
    spans: InMemorySpanExporter, penstock: Penstock
) -> None:
    with pytest.raises(UnknownWorkspace):
        await penstock.submit(Generate(workspace="nobody", prompt="p"))
    submit = named(spans, "penstock.submit")
    assert attributes(submit)["error.type"] == "UnknownWorkspace"
    assert submit.status.description is None and not submit.events


async def test_spans_hold_no_prompt_answer_or_key(
    spans: InMemorySpanExporter, penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    answered = await ask(penstock)
    await ask(penstock, model="openai/no-such-model-at-all", max_attempts=1)
    text = "\n".join(span.to_json() for span in spans.get_finished_spans())
    assert answered.text and answered.text not in text
    for secret in (PLANTED_PROMPT, KEY):
        assert secret not in text


async def test_trace_of_a_submit_is_recorded_with_its_job(
    spans: InMemorySpanExporter, penstock: Penstock
) -> None:
    job = Generate(workspace="acme", prompt="p", model=f"openai/{MODEL}")
    handle = await penstock.submit(job)
    stored = await penstock.ledger.pool.fetchval(
        "select trace from penstock.jobs where id = $1::uuid", handle.job_id
    )
    submit = named(spans, "penstock.submit")
    parent = trace.get_current_span(tracing.context_of(stored)).get_span_context()
    assert (parent.trace_id, parent.span_id) == (submit.context.trace_id, submit.context.span_id)


def test_names_are_those_of_the_registry() -> None:
    registry = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    ours = {
        value
        for value in vars(tracing).values()
        if isinstance(value, str) and value.startswith("gen_ai.")
    }
    assert ours and ours <= registry
    known = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
    assert set(tracing.PROVIDERS.values()) <= known


def test_traceparent_survives_the_way_to_the_worker() -> None:
    text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert tracing.traceparent(trace.get_current_span(tracing.context_of(text))) == text


@pytest.mark.parametrize("stored", [None, "", "garbage", "00-0-0-00"])
def test_context_of_what_is_no_trace_is_empty(stored: str | None) -> None:
    assert tracing.traceparent(trace.get_current_span(tracing.context_of(stored))) is None


def test_no_trace_is_carried_without_an_sdk() -> None:
    assert not tracing.tracing()
    assert tracing.current_trace() is None


def test_trace_of_a_remote_caller_is_carried_without_an_sdk() -> None:
    text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    token = context.attach(tracing.context_of(text))
    try:
        assert tracing.current_trace() == text
    finally:
        context.detach(token)


def test_tracing_costs_little_without_an_sdk() -> None:
    """Printed and asserted with room for a machine that is busy: it is about 1 us a job alone."""
    best_us = min(timeit.repeat(tracing.current_trace, number=20_000, repeat=5)) / 20_000 * 1e6
    print(f"{best_us:.2f} us")
    assert best_us < 15


def test_spans_are_not_exported_unless_an_endpoint_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert not tracing.export_spans("penstock-test")


def test_export_without_its_extra_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert not tracing.export_spans("penstock-test")
    assert "traces.not_exported" in caplog.text


def test_export_follows_the_variables_where_its_extra_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_up: list[TracerProvider] = []
    exporters = SimpleNamespace(OTLPSpanExporter=InMemorySpanExporter)
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, module, exporters)  # type: ignore[arg-type]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(trace, "set_tracer_provider", set_up.append)
    assert tracing.export_spans("penstock-test")
    (provider,) = set_up
    assert provider.resource.attributes["service.name"] == "penstock-test"
    provider.shutdown()
