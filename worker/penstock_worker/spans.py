"""A worker's spans: `penstock.attempt`, the call in it, `penstock.settle` after it.

They belong to the trace that the job's submit was part of. Only made where spans go somewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from penstock_client import tracing
from penstock_schemas.status import AttemptState
from penstock_worker.attempts import Attempt, Settlement
from penstock_worker.pool import Run

#: Attempts whose settlement is awaited at most; beyond that the oldest get no span for it.
_REMEMBERED = 10_000


class WorkerSpans:
    """Spans of one worker. `is_embedding` tells of a model what kind of calls it takes."""

    def __init__(self, *, is_embedding: Callable[[str], bool]) -> None:
        self._is_embedding = is_embedding
        self._tracer = tracing.tracer()
        self._unsettled: dict[UUID, Context] = {}

    async def run(
        self, attempt: Attempt, run: Run, first_chunk_s: Callable[[], float | None]
    ) -> Settlement:
        """Run an attempt inside its spans."""
        with self._tracer.start_as_current_span(
            "penstock.attempt",
            tracing.context_of(attempt.trace),
            kind=SpanKind.CONSUMER,
            attributes={
                tracing.JOB_ID: attempt.job_id,
                tracing.WORKSPACE: attempt.workspace,
                "penstock.attempt": attempt.number,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            started_ns = time.time_ns()
            settlement = await run(attempt)
            self._call(attempt, settlement, started_ns, first_chunk_s())
            span.set_attribute("penstock.outcome", settlement.attempt_state.label)
            span.set_attribute("penstock.job_state", settlement.state.label)
            # One that was given back without a try names the error of the attempt before it.
            if settlement.error_kind is not None and settlement.duration_ms is not None:
                tracing.mark_failed(span, settlement.error_kind.value)
            if span.is_recording():
                self._remember(attempt.lease.job_id, trace.set_span_in_context(span, Context()))
            return settlement

    def settled(self, job_ids: Iterable[UUID], *, group: int, started_ns: int) -> None:
        """These jobs' attempts were written, in one transaction of `group` attempts."""
        for job_id in job_ids:
            context = self._unsettled.pop(job_id, None)
            if context is not None:
                span = self._tracer.start_span(
                    "penstock.settle",
                    context,
                    attributes={"penstock.group": group},
                    start_time=started_ns,
                )
                span.end()

    def _call(
        self, attempt: Attempt, settlement: Settlement, started_ns: int, first_chunk_s: float | None
    ) -> None:
        """The call to the provider; there is none where nothing was sent."""
        if settlement.attempt_state is AttemptState.RETURNED:
            return
        operation = tracing.EMBEDDINGS if self._is_embedding(attempt.model) else tracing.CHAT
        span = self._tracer.start_span(
            f"{operation} {attempt.model}",
            kind=SpanKind.CLIENT,
            attributes=_attributes(attempt, settlement, operation, first_chunk_s),
            start_time=started_ns,
        )
        if settlement.error_kind is not None:
            tracing.mark_failed(span, settlement.error_kind.value)
        span.end()

    def _remember(self, job_id: UUID, context: Context) -> None:
        self._unsettled[job_id] = context
        if len(self._unsettled) > _REMEMBERED:
            del self._unsettled[next(iter(self._unsettled))]


def _attributes(
    attempt: Attempt, settlement: Settlement, operation: str, first_chunk_s: float | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        tracing.OPERATION_NAME: operation,
        tracing.PROVIDER_NAME: tracing.PROVIDERS.get(attempt.provider, attempt.provider),
        tracing.REQUEST_MODEL: attempt.model,
        "penstock.simulated": settlement.simulated,
    }
    if settlement.http_status is not None:
        found[tracing.HTTP_STATUS] = settlement.http_status
    if settlement.finish_reason is not None:
        found[tracing.RESPONSE_FINISH_REASONS] = (settlement.finish_reason.value,)
    if first_chunk_s is not None:
        found[tracing.TIME_TO_FIRST_CHUNK] = first_chunk_s
    if settlement.cost_usd is not None:
        found["penstock.cost_usd"] = float(settlement.cost_usd)
    usage = settlement.usage
    if settlement.attempt_state is AttemptState.SUCCEEDED:
        found[tracing.USAGE_INPUT_TOKENS] = usage.input_tokens
        found[tracing.USAGE_OUTPUT_TOKENS] = usage.output_tokens
        found[tracing.USAGE_CACHE_READ_TOKENS] = usage.cache_read_tokens
        found[tracing.USAGE_CACHE_WRITE_TOKENS] = usage.cache_write_tokens
        found[tracing.USAGE_REASONING_TOKENS] = usage.reasoning_tokens
    return found
