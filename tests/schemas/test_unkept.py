"""What retention leaves of results: usage and how the job ended, nothing of what was answered."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, FinishReason, JobState
from penstock_schemas.unkept import NOT_KEPT, OWN_WORDS, unkept, without_answer
from penstock_schemas.usage import Usage

SECRET = "the patient's name\0"
JOB = JobId("0193a3a0-0000-7000-8000-000000000001")
ANSWERED = Result(
    job_id=JOB,
    workspace=WorkspaceId("acme"),
    status=JobState.SUCCEEDED,
    text=SECRET,
    output={"name": SECRET},
    tool_calls=(ToolCall(id="1", name="look", arguments={"for": SECRET}),),
    reasoning=(ReasoningPart(provider="openai", text=SECRET),),
    vectors=((0.5, 0.25),),
    usage=Usage(input_tokens=7, output_tokens=3),
    cost_usd=Decimal("0.01"),
    provider="openai",
    model="gpt-test",
    finish_reason=FinishReason.STOP,
    attempts=2,
    duration_ms=40,
    warnings=(f"odd: {SECRET}",),
)


def _failed(kind: ErrorKind) -> Result:
    info = ErrorInfo(kind=kind, message=f"answered {SECRET!r}", provider="openai", status=400)
    return ANSWERED.model_copy(
        update={
            "status": JobState.FAILED,
            "error": info,
            "text": None,
            "output": None,
            "tool_calls": (),
            "reasoning": (),
            "vectors": (),
        }
    )


def test_an_answer_goes_and_what_it_used_stays() -> None:
    body = without_answer(ANSWERED.encode())
    left = Result.decode(body)
    assert b"patient" not in body
    assert (left.text, left.output, left.tool_calls, left.reasoning) == (None, None, (), ())
    assert (left.vectors, left.warnings) == ((), (NOT_KEPT,))
    assert (left.usage, left.cost_usd) == (ANSWERED.usage, ANSWERED.cost_usd)
    assert (left.status, left.attempts, left.duration_ms) == (JobState.SUCCEEDED, 2, 40)
    assert (left.provider, left.model, left.finish_reason) == ("openai", "gpt-test", "stop")


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind not in OWN_WORDS])
def test_messages_that_may_quote_go_with_it(kind: ErrorKind) -> None:
    body = without_answer(_failed(kind).encode())
    error = Result.decode(body).error
    assert error is not None
    assert (error.kind, error.status, error.provider) == (kind, 400, "openai")
    assert b"patient" not in body


def test_penstocks_own_messages_stay() -> None:
    failed = _failed(ErrorKind.QUEUE_TIMEOUT)
    error = Result.decode(without_answer(failed.encode())).error
    assert error == failed.error


def test_stripping_again_changes_nothing() -> None:
    once = without_answer(ANSWERED.encode())
    assert without_answer(once) is once


def test_fields_of_a_newer_version_are_kept() -> None:
    newer = {**orjson.loads(ANSWERED.encode()), "new_figure": 3}
    assert orjson.loads(without_answer(orjson.dumps(newer)))["new_figure"] == 3


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_result_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|object|EOF|expected|utf"):
        without_answer(body)


@pytest.mark.parametrize("state", [state for state in JobState if state.is_terminal])
def test_a_job_of_which_nothing_is_kept_still_has_a_result(state: JobState) -> None:
    result = Result.decode(unkept(JOB, WorkspaceId("acme"), state))
    assert (result.job_id, result.status, result.warnings) == (JOB, state, (NOT_KEPT,))
    assert (result.error is None) is result.ok
