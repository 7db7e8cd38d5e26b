"""Results of which the answer is no longer kept: what retention leaves of them.

What a job used and cost stays, and how it ended; what was answered goes, and all that may quote
it.
"""

from __future__ import annotations

from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, JobState

#: The warning that such a result carries.
NOT_KEPT: Final = "the answer is no longer kept"
#: Errors whose message is Penstock's own and quotes nobody.
OWN_WORDS: Final = frozenset(
    {
        ErrorKind.BUDGET_EXCEEDED,
        ErrorKind.CANCELLED,
        ErrorKind.EXPIRED,
        ErrorKind.MISSING_KEY,
        ErrorKind.POISON,
        ErrorKind.QUEUE_TIMEOUT,
    }
)
_ANSWER: Final = ("text", "output", "tool_calls", "reasoning", "vectors")


def without_answer(body: bytes) -> bytes:
    """An encoded result without its answer; the same bytes when it has none any more.

    What a newer version wrote beside is kept. Raises ValueError when it is no result.
    """
    stored: Any = from_json(body)
    if not isinstance(stored, dict):
        raise ValueError("a stored result is not a JSON object")
    fields = cast("dict[str, Any]", stored)
    if NOT_KEPT in (fields.get("warnings") or ()):
        return body
    for name in _ANSWER:
        fields.pop(name, None)
    error: dict[str, Any] | None = fields.get("error")
    if error is not None and error["kind"] not in OWN_WORDS:
        error["message"] = f"{error['kind']}: its message is no longer kept"
    fields["warnings"] = [NOT_KEPT]
    return to_json(fields)


def unkept(job_id: str, workspace: WorkspaceId, state: JobState) -> bytes:
    """The encoded result of a job that has ended and of which nothing else is kept."""
    error = None
    if state is not JobState.SUCCEEDED:
        kind = _KINDS.get(state, ErrorKind.INTERNAL)
        error = ErrorInfo(kind=kind, message=f"the job {_ENDS[state]}; why is no longer kept")
    return Result(
        job_id=JobId(job_id),
        workspace=workspace,
        status=state,
        error=error,
        warnings=(NOT_KEPT,),
    ).encode()


_KINDS = {JobState.CANCELLED: ErrorKind.CANCELLED, JobState.EXPIRED: ErrorKind.EXPIRED}
_ENDS = {
    JobState.FAILED: "failed",
    JobState.CANCELLED: "was cancelled",
    JobState.EXPIRED: "expired",
}
