"""Attempts that fail: what they cost, and where the job goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import orjson
import pytest
from pydantic import BaseModel

from penstock_client.spent import Spent
from penstock_schemas.jobs import Extract, Generate
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from tests.worker.test_execute import EARLIER, MODEL, NEXT, attempt, chat, cost, result_of, settled


def failure(status: int, code: str = "", message: str = "no", **headers: str) -> httpx.Response:
    """A simulated refusal on OpenAI's wire."""
    body = {"error": {"message": message, "code": code or None}}
    return httpx.Response(status, content=orjson.dumps(body), headers=headers)


# Failures that the provider reports: nothing was paid.


async def test_execute_refused_by_a_limit_waits_uncharged() -> None:
    settlement, _ = await settled(failure(429, "rate_limit_exceeded"))
    told = (settlement.state, settlement.error_kind)
    assert told == (JobState.DEFERRED, ErrorKind.RATE_LIMITED)
    assert settlement.wait_ms > 0 and not settlement.charge
    assert (settlement.usage, settlement.cost_usd) == (NO_USAGE, Decimal(0))


async def test_execute_refused_by_a_limit_comes_back_when_the_provider_says() -> None:
    settlement, _ = await settled(failure(429, "rate_limit_exceeded", **{"retry-after": "7"}))
    assert settlement.wait_ms == 7000


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_execute_refused_by_a_fault_waits_charged(status: int) -> None:
    settlement, _ = await settled(failure(status))
    assert (settlement.attempt_state, settlement.state) == (AttemptState.FAILED, JobState.DEFERRED)
    assert settlement.charge and settlement.wait_ms > 0
    assert (settlement.http_status, settlement.cost_usd) == (status, Decimal(0))
    assert settlement.model == MODEL


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failure(404, "model_not_found"), ErrorKind.MODEL_NOT_FOUND),
        (failure(400, "context_length_exceeded"), ErrorKind.CONTEXT_LENGTH),
    ],
)
async def test_execute_refused_by_this_route_goes_to_the_next(
    reply: httpx.Response, kind: ErrorKind
) -> None:
    settlement, _ = await settled(reply)
    assert (settlement.state, settlement.error_kind) == (JobState.QUEUED, kind)
    assert (settlement.provider, settlement.model) == ("openai", NEXT)
    assert (settlement.charge, settlement.wait_ms, settlement.result) == (True, 0, None)


@pytest.mark.parametrize(
    ("reply", "charge"),
    [(failure(401, "invalid_api_key"), True), (failure(429, "insufficient_quota"), False)],
)
async def test_execute_without_a_working_key_goes_to_another_provider(
    reply: httpx.Response, charge: bool
) -> None:
    settlement, _ = await settled(reply)
    assert (settlement.provider, settlement.state) == ("anthropic", JobState.QUEUED)
    assert settlement.charge is charge


async def test_execute_goes_to_a_route_at_another_provider() -> None:
    settlement, _ = await settled(failure(404, "model_not_found"), attempt(model=NEXT))
    assert (settlement.provider, settlement.model) == ("anthropic", "claude-sonnet-4-6")


async def test_execute_refused_for_good_fails_with_the_providers_words() -> None:
    reply = failure(400, "invalid_value", "temperature is\0 wrong")
    settlement, _ = await settled(reply, attempt(spent=EARLIER))
    result = result_of(settlement)
    assert (settlement.attempt_state, settlement.state) == (AttemptState.FAILED, JobState.FAILED)
    assert result.error is not None
    assert (result.error.kind, result.error.status) == (ErrorKind.INVALID_REQUEST, 400)
    assert (result.error.code, result.error.provider) == ("invalid_value", "openai")
    assert (result.usage.input_tokens, result.cost_usd) == (7, Decimal("0.5"))
    assert "\0" not in (settlement.error_message or "\0")


async def test_execute_last_attempt_fails_with_what_all_of_them_cost() -> None:
    job = Generate(workspace="acme", prompt="hi", max_attempts=3)
    settlement, _ = await settled(failure(500), attempt(job, number=3, tries=2, spent=EARLIER))
    result = result_of(settlement)
    assert (result.status, result.attempts) == (JobState.FAILED, 3)
    assert (result.usage.input_tokens, result.cost_usd) == (7, Decimal("0.5"))


async def test_execute_carries_what_was_spent_to_the_next_attempt() -> None:
    settlement, _ = await settled(failure(500), attempt(spent=EARLIER))
    assert Spent.decode(settlement.spent) == EARLIER.after(1, f"openai/{MODEL}", "server_error")


async def test_execute_does_not_wait_beyond_the_deadline() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    reply = failure(429, "rate_limit_exceeded", **{"retry-after": "60"})
    settlement, _ = await settled(reply, attempt(deadline=soon))
    assert (settlement.state, settlement.model) == (JobState.QUEUED, NEXT)


async def test_execute_tells_of_every_attempt_when_a_job_fails() -> None:
    spent = EARLIER.after(1, "openai/a", "server_error").after(2, "openai/a", "rate_limited")
    settlement, _ = await settled(failure(400, message="no"), attempt(number=3, spent=spent))
    error = result_of(settlement).error
    assert error is not None
    assert error.message == "no (attempts: 1 openai/a server_error; 2 openai/a rate_limited)"


# Failures on the wire.


async def test_execute_without_a_connection_was_not_sent_and_costs_nothing() -> None:
    settlement, _ = await settled(httpx.ConnectError("refused"))
    assert (settlement.attempt_state, settlement.error_kind) == (
        AttemptState.RETURNED,
        ErrorKind.CONNECT_ERROR,
    )
    assert (settlement.state, settlement.charge) == (JobState.DEFERRED, True)
    assert (settlement.usage, settlement.cost_usd) == (NO_USAGE, Decimal(0))


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone"), httpx.ReadError("")],
    ids=lambda error: type(error).__name__,
)
async def test_execute_with_a_lost_answer_is_abandoned_at_its_estimate(error: Exception) -> None:
    settlement, _ = await settled(error, attempt(spent=EARLIER))
    assert (settlement.attempt_state, settlement.error_kind) == (
        AttemptState.ABANDONED,
        ErrorKind.INTERRUPTED,
    )
    assert settlement.usage == Usage(input_tokens=1000, output_tokens=200, estimated=True)
    assert settlement.cost_usd == cost(1000, 200)
    paid = EARLIER.plus(settlement.usage, settlement.cost_usd)
    assert Spent.decode(settlement.spent) == paid.after(1, f"openai/{MODEL}", "interrupted")
    assert settlement.error_message


@pytest.mark.parametrize(
    ("error", "code"), [(httpx.ReadTimeout("slow"), "timeout"), (httpx.ReadError("gone"), None)]
)
async def test_execute_names_what_ran_out_of_time(error: Exception, code: str | None) -> None:
    settlement, _ = await settled(error)
    assert settlement.error_code == code


async def test_execute_with_a_lost_answer_asks_once_more_then_elsewhere() -> None:
    first, _ = await settled(httpx.ReadTimeout("slow"))
    second, _ = await settled(
        httpx.ReadTimeout("slow"), attempt(number=2, tries=1, last_error=first.error_kind)
    )
    assert (first.state, first.model, first.charge) == (JobState.QUEUED, MODEL, True)
    assert (second.state, second.model) == (JobState.QUEUED, NEXT)


async def test_execute_with_a_lost_answer_of_an_unlisted_model_costs_an_unknown_amount() -> None:
    settlement, _ = await settled(httpx.ReadTimeout("slow"), attempt(model="gpt-4-unlisted"))
    assert settlement.usage.estimated
    assert settlement.cost_usd is None


# Answers that were paid and are none.


class Order(BaseModel):
    """A typed schema."""

    number: str


ORDER = Extract(workspace="acme", text="order A-1", schema=Order)  # type: ignore[call-arg]


async def test_execute_counts_what_an_invalid_answer_used() -> None:
    settlement, _ = await settled(chat('{"number": 3}'), attempt(ORDER, spent=EARLIER))
    assert (settlement.attempt_state, settlement.error_kind) == (
        AttemptState.FAILED,
        ErrorKind.INVALID_OUTPUT,
    )
    assert (settlement.usage.input_tokens, settlement.cost_usd) == (100, cost(100, 20))
    spent = Spent.decode(settlement.spent)
    assert (spent.usage.input_tokens, spent.cost_usd) == (107, Decimal("0.5") + cost(100, 20))


async def test_execute_of_an_invalid_answer_then_a_valid_one_pays_for_both() -> None:
    first, _ = await settled(chat('{"number": 3}'), attempt(ORDER))
    again = attempt(
        ORDER, number=2, tries=1, last_error=first.error_kind, spent=Spent.decode(first.spent)
    )
    second, _ = await settled(chat('{"number": "A-1"}'), again)
    result = result_of(second)
    assert result.output == {"number": "A-1"}
    assert (result.usage.input_tokens, result.usage.output_tokens) == (200, 40)
    assert (result.cost_usd, result.attempts) == (2 * cost(100, 20), 2)


async def test_execute_of_a_cut_off_extract_asks_again_for_more_at_once() -> None:
    settlement, _ = await settled(chat('{"num', finish="length"), attempt(ORDER))
    assert (settlement.state, settlement.error_kind) == (JobState.QUEUED, ErrorKind.LENGTH)
    assert (settlement.model, settlement.charge) == (MODEL, True)
    assert settlement.usage.output_tokens == 20


async def test_execute_refused_by_the_model_fails_and_is_paid() -> None:
    settlement, _ = await settled(chat("", finish="content_filter"), attempt())
    assert settlement.state is JobState.FAILED
    assert result_of(settlement).usage.input_tokens == 100


async def test_execute_of_a_body_that_is_not_json_asks_once_more() -> None:
    settlement, _ = await settled(httpx.Response(200, content=b"<html>"))
    assert (settlement.state, settlement.error_kind) == (
        JobState.QUEUED,
        ErrorKind.MALFORMED_ANSWER,
    )
