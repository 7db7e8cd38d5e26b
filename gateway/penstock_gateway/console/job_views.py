"""Pure: a job with its attempts, request and result -> what its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic_core import to_json

from penstock_client.explaining import AttemptSeen, JobExplanation
from penstock_client.job_reads import JobSeen
from penstock_schemas.jobs import Envelope
from penstock_schemas.results import Result
from penstock_schemas.unkept import NOT_KEPT

_LIVE: Final = frozenset({"queued", "deferred", "blocked", "running"})
_AGAIN: Final = frozenset({"failed", "cancelled", "expired"})
#: Fields of a request that stand elsewhere on the page.
_SHOWN_ELSEWHERE: Final = frozenset(
    {
        "workspace", "type", "capability", "prompt", "text", "system", "messages", "input",
        "output_schema", "labels", "tools", "skill", "step", "agent", "task_type", "session_key",
        "metadata",
    }
)  # fmt: skip
_PARTS: Final = (
    "system", "prompt", "text", "messages", "input", "labels", "output_schema", "tools",
)  # fmt: skip
_MOST_NUMBERS: Final = 8
_WORTH_TELLING_MS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a job's life: when it was, what happened, and figures that go with it."""

    at: datetime | None
    kind: str
    what: str
    detail: str | None = None
    figures: tuple[str, ...] = ()
    ref: str | None = None
    cost_usd: Decimal | None = None
    took_ms: int | None = None
    tokens: tuple[int, int] | None = None
    waited_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job asks: parts of its request as name and text, and its other settings."""

    parts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobShown:
    """A job's page. `asked` and `answer` are None where they are not kept."""

    job: JobSeen
    life: tuple[Moment, ...]
    why: str | None
    notes: tuple[str, ...]
    estimated_start: datetime | None
    asked: Asked | None
    result: Result | None
    output: str | None
    vectors: tuple[str, ...]
    kept: bool
    cost_usd: Decimal | None

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.job.status in _LIVE

    @property
    def can_requeue(self) -> bool:
        """Whether it may start again."""
        return self.job.status in _AGAIN

    @property
    def simulated(self) -> bool:
        """Whether its answer came from the simulator."""
        return self.result is not None and self.result.simulated

    @property
    def trace_id(self) -> str | None:
        """The trace of its submit, as trace viewers look it up."""
        return self.job.trace.split("-")[1] if self.job.trace else None


def job_shown(
    job: JobSeen,
    *,
    attempts: Sequence[AttemptSeen],
    explained: JobExplanation | None,
    envelope: Envelope | None,
    body: bytes | None,
) -> JobShown:
    """What the page of a job shows; `explained` None: its index cannot be asked."""
    result = None if body is None else Result.decode(body)
    costs = [attempt.cost_usd for attempt in attempts if attempt.state != "returned"]
    live = job.status in _LIVE
    return JobShown(
        job=job,
        life=_life(job, attempts),
        why=explained.why if explained is not None and live else None,
        notes=explained.notes if explained is not None and live else (),
        estimated_start=explained.estimated_start if explained is not None else None,
        asked=None if envelope is None else _asked(envelope),
        result=result,
        output=_output(result),
        vectors=_vectors(result),
        kept=result is None or NOT_KEPT not in result.warnings,
        cost_usd=None if None in costs else sum((cost for cost in costs if cost), Decimal(0)),
    )


def _life(job: JobSeen, attempts: Sequence[AttemptSeen]) -> tuple[Moment, ...]:
    moments = [Moment(at=job.created_at, kind="", what="submitted", detail=f"{job.lane} lane")]
    last: datetime = job.created_at
    for attempt in attempts:
        waited_ms = int((attempt.started_at - last).total_seconds() * 1000)
        first = len(moments) == 1
        if first and waited_ms >= _WORTH_TELLING_MS:
            moments.append(
                Moment(
                    at=attempt.started_at, kind="", what="admitted", took_ms=waited_ms,
                    detail="waited",
                )
            )  # fmt: skip
        moments.append(_call(attempt, waited_ms=None if first else waited_ms))
        ended = attempt.started_at
        if attempt.duration_ms is not None:
            ended += timedelta(milliseconds=attempt.duration_ms)
        last = max(last, ended)
    if job.finished_at is not None:
        took_ms = int((job.finished_at - job.created_at).total_seconds() * 1000)
        moments.append(
            Moment(
                at=job.finished_at, kind=job.status, what=job.status, detail="in all",
                took_ms=took_ms,
            )
        )  # fmt: skip
    elif job.status in {"queued", "deferred", "blocked"}:
        moments.append(Moment(at=None, kind="held", what=job.status))
    return tuple(moments)


def _call(attempt: AttemptSeen, *, waited_ms: int | None) -> Moment:
    used = bool(attempt.input_tokens or attempt.output_tokens)
    state = "running" if attempt.state == "open" else attempt.state
    return Moment(
        at=attempt.started_at,
        kind=state,
        what=f"call {attempt.number} {state}",
        detail=attempt.error,
        ref=f"{attempt.provider}/{attempt.model}",
        cost_usd=attempt.cost_usd,
        took_ms=attempt.duration_ms,
        tokens=(attempt.input_tokens, attempt.output_tokens) if used else None,
        waited_ms=waited_ms if waited_ms is not None and waited_ms >= _WORTH_TELLING_MS else None,
    )


def _asked(envelope: Envelope) -> Asked:
    job = envelope.job.model_dump(mode="json", exclude_defaults=True, by_alias=False)
    parts: list[tuple[str, str]] = []
    for name in (
        "system",
        "prompt",
        "text",
        "messages",
        "input",
        "labels",
        "output_schema",
        "tools",
    ):
        value = job.get(name)
        if value:
            parts.append((name.removeprefix("output_"), _text(value)))
    settings = [
        (name, _text(value))
        for name, value in job.items()
        if name not in _SHOWN_ELSEWHERE and value is not None
    ]
    return Asked(parts=tuple(parts), settings=tuple(settings), routes=envelope.routes)


def _output(result: Result | None) -> str | None:
    """The structured answer, where it says more than the text."""
    if result is None or result.output is None:
        return None
    shown = _text(result.output)
    return None if shown == result.text else shown


def _vectors(result: Result | None) -> tuple[str, ...]:
    found: list[str] = []
    for vector in result.vectors if result is not None else ():
        more = ", …" if len(vector) > _MOST_NUMBERS else ""
        numbers = ", ".join(f"{number:.4f}" for number in vector[:_MOST_NUMBERS])
        found.append(f"{len(vector)} numbers: {numbers}{more}")
    return tuple(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, indent=2).decode()
