"""How an attempt ends: from what it came to, to its settlement. Pure but for the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from penstock_client.spent import Repair, Spent
from penstock_schemas.catalog import Model
from penstock_schemas.errors import ProviderError
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.jobs import Envelope
from penstock_schemas.pricing import cost_usd, estimate_usd
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.attempts import Attempt, Settlement
from penstock_worker.outcome import Outcome, Reroute, Retry
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.protocol import Answer

#: As much of a wrong answer is shown to the model again, and is quoted in an error.
_REPAIR_CHARS = 20_000
_QUOTED_CHARS = 500


@dataclass(slots=True)
class Progress:
    """What is known of an attempt while it runs; what a failure is settled with."""

    started: float
    model: Model
    envelope: Envelope | None = None
    sent: bool = False
    status: int | None = None
    simulated: bool = False
    headers: httpx.Headers | None = None


def succeeded(
    attempt: Attempt, progress: Progress, answer: Answer, warnings: tuple[str, ...]
) -> Settlement:
    """The attempt brought an answer: the job has its result."""
    cost = cost_usd(progress.model, answer.usage)
    spent = attempt.spent.plus(answer.usage, cost)
    result = Result(
        **_ends(attempt, JobState.SUCCEEDED),
        text=answer.text,
        output=answer.output,
        tool_calls=answer.tool_calls,
        reasoning=answer.reasoning,
        vectors=answer.vectors,
        usage=spent.usage,
        cost_usd=spent.cost_usd,
        finish_reason=answer.finish_reason,
        warnings=warnings + answer.warnings,
        simulated=progress.simulated,
    )
    return Settlement(
        **_identity(attempt),
        **_measured(progress),
        attempt_state=AttemptState.SUCCEEDED,
        state=JobState.SUCCEEDED,
        provider=attempt.provider,
        model=attempt.model,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        cost_usd=cost,
        result=result.encode(),
    )


def failed(
    attempt: Attempt, progress: Progress, error: ProviderError, outcome: Outcome
) -> Settlement:
    """The attempt failed: the job waits, moves, or ends, as `outcome` says."""
    usage, cost = _paid(attempt, progress, error)
    route = f"{attempt.provider}/{attempt.model}"
    spent = attempt.spent.plus(usage, cost).after(attempt.number, route, error.kind)
    common: dict[str, Any] = {
        **_identity(attempt),
        **_measured(progress),
        "attempt_state": _state_of_failed(progress, error),
        "error_kind": error.kind,
        "error_code": _storable(error.code),
        "error_message": _storable(error.message),
        "usage": usage,
        "cost_usd": cost,
    }
    if isinstance(outcome, Retry):
        wait_ms = int(outcome.wait_s * 1000)
        return Settlement(
            **common,
            state=JobState.DEFERRED if wait_ms else JobState.QUEUED,
            provider=attempt.provider,
            model=attempt.model,
            charge=outcome.charge,
            wait_ms=wait_ms,
            spent=replace(spent, repair=_repair(error) or spent.repair).encode(),
        )
    if isinstance(outcome, Reroute):
        provider, model = outcome.route.split("/", 1)
        return Settlement(
            **common,
            state=JobState.QUEUED,
            provider=provider,
            model=model,
            charge=outcome.charge,
            spent=replace(spent, repair=None).encode(),
        )
    state = JobState.EXPIRED if error.kind is ErrorKind.EXPIRED else JobState.FAILED
    return Settlement(
        **common,
        state=state,
        provider=attempt.provider,
        model=attempt.model,
        result=_without_answer(attempt, progress, error, state, spent).encode(),
    )


def _without_answer(
    attempt: Attempt, progress: Progress, error: ProviderError, state: JobState, spent: Spent
) -> Result:
    info = ErrorInfo(
        kind=error.kind,
        message=_reason(attempt, error),
        provider=error.provider,
        model=attempt.model,
        status=error.status,
        code=error.code,
        retry_after_s=error.retry_after_s,
    )
    return Result(
        **_ends(attempt, state),
        usage=spent.usage,
        cost_usd=spent.cost_usd,
        error=info,
        simulated=progress.simulated,
    )


def cut_off(attempt: Attempt, progress: Progress) -> Settlement:
    """The call is stopped while it is under way: it may be paid, and is not charged."""
    if not progress.sent:
        return returned(attempt)
    what = "job had ended" if attempt.lease.stopped else "worker was stopped"
    message = f"the {what} while the call was under way"
    usage, cost = _estimated(attempt, progress)
    return Settlement(
        **_identity(attempt),
        **_measured(progress),
        attempt_state=AttemptState.ABANDONED,
        state=JobState.QUEUED,
        provider=attempt.provider,
        model=attempt.model,
        charge=False,
        error_kind=ErrorKind.INTERRUPTED,
        error_message=message,
        usage=usage,
        cost_usd=cost,
        spent=attempt.spent.plus(usage, cost).encode(),
    )


def returned(attempt: Attempt, wait_s: float = 0.0) -> Settlement:
    """An attempt that goes back unsent: no call, no charge, the job keeps its place."""
    wait_ms = int(wait_s * 1000)
    return Settlement(
        **_identity(attempt),
        attempt_state=AttemptState.RETURNED,
        state=JobState.DEFERRED if wait_ms else JobState.QUEUED,
        provider=attempt.provider,
        model=attempt.model,
        charge=False,
        wait_ms=wait_ms,
        error_kind=attempt.last_error,
        spent=attempt.spent.encode(),
    )


def _paid(
    attempt: Attempt, progress: Progress, error: ProviderError
) -> tuple[Usage, Decimal | None]:
    """What a failed call cost: as reported, estimated when its answer was lost, or nothing."""
    if isinstance(error, InvalidAnswer):
        return error.usage, cost_usd(progress.model, error.usage)
    if error.possibly_billed:
        return _estimated(attempt, progress)
    return NO_USAGE, Decimal(0)


def _estimated(attempt: Attempt, progress: Progress) -> tuple[Usage, Decimal | None]:
    usage = attempt.hold.usage
    return usage, estimate_usd(progress.model, usage.input_tokens, usage.output_tokens)


def _repair(error: ProviderError) -> Repair | None:
    """What the next attempt is shown of an answer that broke its schema."""
    if error.kind is not ErrorKind.INVALID_OUTPUT or not isinstance(error, InvalidAnswer):
        return None
    text = _storable(error.text)
    return Repair(text[:_REPAIR_CHARS], error.message) if text else None


def _reason(attempt: Attempt, error: ProviderError) -> str:
    """Why a job ended: its last error, and every attempt that failed before."""
    return attempt.spent.told(_with_both_answers(error, attempt.spent.repair))


def _with_both_answers(error: ProviderError, repair: Repair | None) -> str:
    """A final failure's message; after a repair turn that did not help, with what was answered."""
    if repair is None or not isinstance(error, InvalidAnswer):
        return error.message
    first, second = repair.answer[:_QUOTED_CHARS], (error.text or "")[:_QUOTED_CHARS]
    return f"{error.message}; answered {first!r}, and when shown the errors {second!r}"


def _state_of_failed(progress: Progress, error: ProviderError) -> AttemptState:
    if error.possibly_billed:
        return AttemptState.ABANDONED
    return AttemptState.FAILED if progress.sent else AttemptState.RETURNED


def _storable(text: str | None) -> str | None:
    """Postgres text holds no NUL; what a provider sends may."""
    return text.replace("\0", "") if text else text


def _identity(attempt: Attempt) -> dict[str, Any]:
    return {
        "job_id": attempt.lease.job_id,
        "number": attempt.number,
        "fence": attempt.lease.fence,
        "workspace": attempt.workspace,
    }


def _measured(progress: Progress) -> dict[str, Any]:
    return {
        "duration_ms": int((time.monotonic() - progress.started) * 1000),
        "http_status": progress.status,
        "simulated": progress.simulated,
    }


def _ends(attempt: Attempt, state: JobState) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "job_id": attempt.job_id,
        "workspace": WorkspaceId(attempt.workspace),
        "status": state,
        "provider": attempt.provider,
        "model": attempt.model,
        "attempts": attempt.number,
        "duration_ms": max(0, int((now - attempt.created_at).total_seconds() * 1000)),
        "finished_at": now,
    }
