"""The normalised result: its round trip and what it answers."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from penstock_schemas.messages import ToolCall
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, FinishReason, JobState
from penstock_schemas.usage import Usage

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TOKENS = st.integers(0, 10**9)
USAGE = st.builds(
    Usage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cache_read_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    estimated=st.booleans(),
)
ERRORS = st.builds(
    ErrorInfo,
    kind=st.sampled_from(ErrorKind),
    message=TEXT,
    provider=st.none() | TEXT,
    status=st.none() | st.integers(100, 599),
    code=st.none() | TEXT,
    retry_after_s=st.none() | st.floats(0, 1e6),
)
RESULTS = st.builds(
    Result,
    job_id=st.uuids().map(str),
    workspace=st.just("acme"),
    status=st.sampled_from(JobState),
    text=st.none() | TEXT,
    output=JSON,
    tool_calls=st.lists(
        st.builds(
            ToolCall,
            id=TEXT,
            name=TEXT,
            arguments=st.none() | st.dictionaries(TEXT, JSON, max_size=2),
            raw_arguments=st.none() | TEXT,
        ),
        max_size=2,
    ).map(tuple),
    vectors=st.lists(st.lists(NUMBERS, max_size=3).map(tuple), max_size=2).map(tuple),
    usage=USAGE,
    cost_usd=st.none() | st.decimals(0, 10**6, places=12),
    provider=st.none() | TEXT,
    model=st.none() | TEXT,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    attempts=st.integers(0, 50),
    duration_ms=st.integers(0, 10**9),
    finished_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    error=st.none() | ERRORS,
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    simulated=st.booleans(),
)


def result(**fields: Any) -> Result:
    return Result.model_validate(
        {"job_id": "j", "workspace": "acme", "status": "succeeded", **fields}
    )


@settings(max_examples=80, deadline=None)
@given(RESULTS)
def test_result_survives_its_encoding(before: Result) -> None:
    assert Result.decode(before.encode()) == before


def test_result_writes_its_status_by_name_and_money_exactly() -> None:
    written = orjson.loads(result(cost_usd=Decimal("0.000000001")).encode())
    assert written["status"] == "succeeded"
    assert Decimal(written["cost_usd"]) == Decimal("0.000000001")


def test_result_keeps_unknown_cost_apart_from_free() -> None:
    assert Result.decode(result(cost_usd=None).encode()).cost_usd is None
    assert Result.decode(result(cost_usd=Decimal(0)).encode()).cost_usd == Decimal(0)


@pytest.mark.parametrize("state", JobState)
def test_result_is_ok_only_when_it_succeeded(state: JobState) -> None:
    assert result(status=state).ok is (state is JobState.SUCCEEDED)


def test_result_gives_the_first_vector_and_its_dimensions() -> None:
    given_vectors = result(vectors=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    assert (given_vectors.vector, given_vectors.dimensions) == ((1.0, 2.0, 3.0), 3)


def test_result_without_vectors_has_no_dimensions() -> None:
    assert (result().vector, result().dimensions) == (None, None)


class Order(BaseModel):
    """A typed schema."""

    number: str


def test_output_as_gives_an_instance() -> None:
    assert result(output={"number": "A-1"}).output_as(Order) == Order(number="A-1")


def test_output_as_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValidationError):
        result(output={"number": None}).output_as(Order)


def test_result_is_frozen() -> None:
    with pytest.raises(ValidationError):
        result().text = "other"  # type: ignore[misc]


def test_result_refuses_a_state_that_does_not_exist() -> None:
    with pytest.raises(ValidationError, match="expected one of queued, deferred"):
        result(status="done")


def test_result_refuses_fields_of_another_version() -> None:
    with pytest.raises(ValidationError):
        result(surprise=1)
