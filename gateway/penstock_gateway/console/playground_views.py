"""Pure: routes, attempts and a result -> what the playground shows of one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic_core import to_json

from penstock_client.explaining import AttemptSeen
from penstock_client.job_reads import JobSeen
from penstock_client.routing import Explanation
from penstock_schemas.results import Result
from penstock_schemas.usage import Usage

_MOST_NUMBERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteShown:
    """A model that was thought of. `place` is its place among the routes, from 1, None: it is none.

    `cost_usd` is what the job may cost there at most; `answered`: the answer came from it.
    """

    place: int | None
    ref: str
    why: str
    cost_usd: Decimal | None
    score: float | None
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingShown:
    """How a job's routes came about; tokens are estimates."""

    by: str
    input_tokens: int
    output_tokens: int
    routes: tuple[RouteShown, ...]

    @property
    def taken(self) -> RouteShown | None:
        """The route that answered, or the first."""
        answered = [route for route in self.routes if route.answered]
        return next(iter([*answered, *self.routes[:1]]), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShown:
    """How one job ended. `cost_usd` None is not known, which is not free.

    `structured` is its output as indented JSON, where that says more than `text`; `vectors` has a
    line for each.
    """

    status: str
    ok: bool
    text: str | None
    structured: str | None
    label: str | None
    reasoning: str | None
    vectors: tuple[str, ...]
    usage: Usage
    cost_usd: Decimal | None
    model: str | None
    finish_reason: str | None
    attempts: int
    duration_ms: int
    simulated: bool
    error_kind: str | None
    error: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialShown:
    """One job of the playground: where it stands, how it got there, and its answer once it has one.

    `attempts` are those that failed or were given back, for which another followed.
    """

    job: JobSeen
    streams: bool
    routing: RoutingShown | None
    answer: AnswerShown | None
    attempts: tuple[AttemptSeen, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.answer is not None


def routing_shown(
    explained: Explanation, *, routes: Sequence[str] = (), answered: str | None = None
) -> RoutingShown:
    """What is shown of a job's routes: the recorded ones first, then what was passed over.

    `routes` are those that were recorded with the job, which are as of its submit.
    """
    order = tuple(routes) or explained.routes
    found = {candidate.ref: candidate for candidate in explained.candidates}
    shown: list[RouteShown] = []
    for place, ref in enumerate(order, start=1):
        candidate = found.pop(ref, None)
        shown.append(
            RouteShown(
                place=place,
                ref=ref,
                why=candidate.why if candidate else "as the routing was when it was submitted",
                cost_usd=candidate.cost_usd if candidate else None,
                score=candidate.score if candidate else None,
                answered=ref == answered,
            )
        )
    for candidate in found.values():
        if candidate.taken:
            continue  # it became a route after the submit
        shown.append(
            RouteShown(
                place=None,
                ref=candidate.ref,
                why=candidate.why,
                cost_usd=candidate.cost_usd,
                score=candidate.score,
            )
        )
    return RoutingShown(
        by=f"strategy {explained.strategy}" if explained.strategy else "the rules of routing",
        input_tokens=explained.needs.input_tokens,
        output_tokens=explained.needs.output_tokens,
        routes=tuple(shown),
    )


def answer_shown(body: bytes) -> AnswerShown:
    """What is shown of a stored result."""
    result = Result.decode(body)
    model = f"{result.provider}/{result.model}" if result.provider and result.model else None
    label = _label(result.output)
    return AnswerShown(
        status=result.status.label,
        ok=result.ok,
        text=result.text,
        structured=None if label else _structured(result),
        label=label,
        reasoning="\n\n".join(part.text for part in result.reasoning if part.text) or None,
        vectors=tuple(_vector(each) for each in result.vectors),
        usage=result.usage,
        cost_usd=result.cost_usd,
        model=model,
        finish_reason=result.finish_reason.value if result.finish_reason else None,
        attempts=result.attempts,
        duration_ms=result.duration_ms,
        simulated=result.simulated,
        error_kind=result.error.kind.value if result.error else None,
        error=result.error.message if result.error else None,
        warnings=result.warnings,
    )


def _label(output: Any) -> str | None:
    """A label, or several; None for an output that is neither."""
    if isinstance(output, str):
        return output
    names: list[object] = list(output) if isinstance(output, list) else []  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(output, list) and all(isinstance(each, str) for each in names):
        return ", ".join(map(str, names)) or "none of the labels"
    return None


def _structured(result: Result) -> str | None:
    """The output as indented JSON, or what was called in place of an answer."""
    if result.output is not None:
        return to_json(result.output, indent=2).decode()
    if result.tool_calls:
        return to_json([call.model_dump() for call in result.tool_calls], indent=2).decode()
    return None


def _vector(numbers: Sequence[float]) -> str:
    begins = ", ".join(f"{each:.3g}" for each in numbers[:_MOST_NUMBERS])
    more = ", …" if len(numbers) > _MOST_NUMBERS else ""
    return f"[{begins}{more}] {len(numbers):,} numbers"
