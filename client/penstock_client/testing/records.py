"""Pure: what the fake keeps of a job, and the results, rows and pieces that are made of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from penstock_client.ledger import JobRow, NewJob, WorkspaceConfig
from penstock_client.routing import AnyJob
from penstock_client.testing.answers import Said
from penstock_schemas.deltas import Delta, Position
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.messages import ToolCall
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, FinishReason, JobState
from penstock_schemas.usage import NO_USAGE, Usage

#: Estimates count so many characters as one token.
_CHARS_PER_TOKEN = 4
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_LATER = datetime(3000, 1, 1, tzinfo=UTC)
_WORDS = re.compile(r"\S+\s*|\s+")


@dataclass(slots=True, kw_only=True)
class Record:
    """A job that was submitted. `ended` is set once it has a result; `attempts` were answered."""

    job: AnyJob
    placed: NewJob
    state: JobState = JobState.QUEUED
    attempts: int = 0
    result: Result | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def job_id(self) -> JobId:
        """The job's ID."""
        return JobId(str(self.placed.job_id))


def workspace_config(workspace: str, **changes: Any) -> WorkspaceConfig:
    """A workspace without bounds; `changes` are fields of `WorkspaceConfig`, such as `routing`."""
    given: dict[str, Any] = {"routing": {}, "monthly_tokens": None, "tokens_used": 0, **changes}
    given = {"budget_resets_at": _LATER, "created_at": _LONG_AGO, **given}
    return WorkspaceConfig(workspace=WorkspaceId(workspace), **given)


def answered(record: Record, given: Said | Result) -> Result:
    """The result of a job that was answered so; one that a test made itself stays, but for whose
    it is and that it is simulated.
    """
    if isinstance(given, Result):
        made = {"provider": given.provider, "model": given.model, "finished_at": given.finished_at}
        kept = {name: value for name, value in made.items() if value is not None}
        return given.model_copy(update={**_common(record), "cost_usd": given.cost_usd, **kept})
    spoken = given.text or "".join(map(_arguments, given.tool_calls))
    return Result(
        **_common(record),
        status=JobState.SUCCEEDED,
        text=given.text,
        output=given.output,
        tool_calls=given.tool_calls,
        vectors=given.vectors,
        usage=Usage(
            input_tokens=record.placed.input_tokens,
            output_tokens=-(-len(spoken) // _CHARS_PER_TOKEN),
            estimated=True,
        ),
        finish_reason=FinishReason.TOOL_CALLS if given.tool_calls else FinishReason.STOP,
    )


def unanswered(record: Record, error: ErrorInfo, *, state: JobState = JobState.FAILED) -> Result:
    """The result of a job that ended without an answer."""
    placed = record.placed
    named = {"provider": error.provider or placed.provider, "model": error.model or placed.model}
    info = error.model_copy(update=named)
    return Result(**_common(record), status=state, usage=NO_USAGE, error=info)


def ended_early(record: Record, state: JobState, kind: ErrorKind, message: str) -> Result:
    """The result of a job that somebody ended, or that waited for too long."""
    return unanswered(record, ErrorInfo(kind=kind, message=message), state=state)


def _common(record: Record) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "job_id": record.job_id,
        "workspace": WorkspaceId(record.placed.workspace),
        "cost_usd": Decimal(0),
        "provider": record.placed.provider,
        "model": record.placed.model,
        "attempts": record.attempts,
        "duration_ms": int((now - record.created_at).total_seconds() * 1000),
        "finished_at": now,
        "simulated": True,
    }


def row_of(record: Record) -> JobRow:
    """The job in a list."""
    placed, result = record.placed, record.result
    error = None if result is None else result.error
    return JobRow(
        job_id=record.job_id,
        workspace=WorkspaceId(placed.workspace),
        type=placed.type,
        capability=placed.capability,
        provider=placed.provider,
        model=placed.model,
        state=record.state,
        lane=placed.lane,
        attempts=record.attempts,
        last_error=None if error is None else str(error.kind),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=None if result is None else result.finished_at,
        skill=placed.skill,
        step=placed.step,
    )


def pieces_of(record: Record, *, after: Position) -> Iterator[Delta]:
    """The pieces of a streamed answer, word by word, that come after a position."""
    result = record.result
    if result is None or getattr(record.job, "stream", False) is not True:
        return
    fields: list[dict[str, Any]] = [{"text": word} for word in _WORDS.findall(result.text or "")]
    for at, call in enumerate(result.tool_calls):
        fields.append({"tool_index": at, "tool_id": call.id, "tool_name": call.name})
        fields.append({"tool_index": at, "arguments": _arguments(call)})
    for piece, given in enumerate(fields, start=1):
        position = Position(record.attempts, piece)
        if position > after:
            yield Delta(**given, position=str(position))


def _arguments(call: ToolCall) -> str:
    return call.raw_arguments or orjson.dumps(call.arguments or {}).decode()
