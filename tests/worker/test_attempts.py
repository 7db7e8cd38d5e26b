"""What a job has spent, and settlements that wait as JSON."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_client.spent import Spent
from penstock_schemas.status import AttemptState, ErrorKind, FinishReason, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.attempts import Settlement
from penstock_worker.stash import decode_settlements, encode_settlements

TOKENS = st.integers(0, 10**9)
USAGE = st.builds(Usage, input_tokens=TOKENS, output_tokens=TOKENS, estimated=st.booleans())
COST = st.none() | st.decimals(0, 10**6, places=12)
SPENT = st.builds(Spent, usage=USAGE, cost_usd=COST)
TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SETTLEMENTS = st.builds(
    Settlement,
    job_id=st.uuids(),
    number=st.integers(1, 1000),
    fence=st.integers(1, 2**63 - 1),
    workspace=st.just("acme"),
    attempt_state=st.sampled_from(AttemptState),
    state=st.sampled_from(JobState),
    provider=st.just("openai"),
    model=st.just("m"),
    charge=st.booleans(),
    wait_ms=st.integers(0, 10**12),
    duration_ms=st.none() | st.integers(0, 10**9),
    http_status=st.none() | st.integers(100, 599),
    finish_reason=st.none() | st.sampled_from(FinishReason),
    error_kind=st.none() | st.sampled_from(ErrorKind),
    error_code=TEXT,
    error_message=TEXT,
    usage=USAGE,
    cost_usd=COST,
    simulated=st.booleans(),
    spent=st.none() | SPENT.map(Spent.encode),
    result=st.none() | st.just(b'{"text":"\xc3\xa9"}'),
)


@settings(deadline=None)
@given(SPENT)
def test_spent_survives_its_encoding(spent: Spent) -> None:
    assert Spent.decode(spent.encode()) == spent


def test_spent_of_a_new_job_is_nothing_and_free() -> None:
    assert Spent.decode(None) == Spent(usage=NO_USAGE, cost_usd=Decimal(0))


@settings(deadline=None)
@given(st.lists(st.tuples(USAGE, st.decimals(0, 10**6, places=12)), max_size=5))
def test_spent_sums_exactly_what_is_known(attempts: list[tuple[Usage, Decimal]]) -> None:
    total = reduce(lambda spent, attempt: spent.plus(*attempt), attempts, Spent())
    assert total.cost_usd == sum((cost for _, cost in attempts), Decimal(0))
    assert total.usage.input_tokens == sum(usage.input_tokens for usage, _ in attempts)


@pytest.mark.parametrize("costs", [(None, Decimal(1)), (Decimal(1), None)])
def test_spent_with_one_unknown_cost_stays_unknown(costs: tuple[Decimal | None, ...]) -> None:
    total = reduce(lambda spent, cost: spent.plus(NO_USAGE, cost), costs, Spent())
    assert total.cost_usd is None


@settings(max_examples=30, deadline=None)
@given(st.lists(SETTLEMENTS, max_size=3))
def test_settlements_survive_their_wait(group: list[Settlement]) -> None:
    assert decode_settlements(encode_settlements(group)) == group


@pytest.mark.parametrize("data", [b"", b"{}", b"[{}]", b"\xff"])
def test_settlements_are_refused_when_they_are_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        decode_settlements(data)


def test_settlement_charges_unless_told_otherwise() -> None:
    settlement = Settlement(
        job_id=UUID(int=1),
        number=1,
        fence=1,
        workspace="acme",
        attempt_state=AttemptState.FAILED,
        state=JobState.QUEUED,
        provider="openai",
        model="m",
    )
    assert (settlement.charge, settlement.wait_ms) == (True, 0)
