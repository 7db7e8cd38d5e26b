"""The life of one attempt, with an answer in place of a provider: what it is settled as."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from penstock_client.entries import Entry, Flow
from penstock_client.spent import Spent
from penstock_schemas.catalog import Catalog, catalog
from penstock_schemas.ids import Fence, JobId, WorkspaceId
from penstock_schemas.jobs import Embed, Envelope, Generate
from penstock_schemas.pricing import UNPRICED, token_prices
from penstock_schemas.results import Result
from penstock_schemas.status import AttemptState, ErrorKind, FinishReason, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import Attempt, Hold, Settlement
from penstock_worker.credentials import Access, Accesses
from penstock_worker.execute import SIMULATED_HEADER, Executor
from penstock_worker.keyring import Keyring
from penstock_worker.leases import Lease
from penstock_worker.providers.http import Timeout

JOB_ID = UUID("0190a0b0-0000-7000-8000-00000000abcd")
MODEL, NEXT = "gpt-4o-mini", "gpt-4o"
PRICED = catalog().model(f"openai/{MODEL}")
ESTIMATE = (1000, 200)
EARLIER = Spent(usage=Usage(input_tokens=7, output_tokens=3), cost_usd=Decimal("0.5"))

Reply = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]


class FakeSender:
    """Gives what it was told to, and keeps what was sent."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.sent: list[httpx.Request] = []
        self.timeouts: list[Timeout] = []

    async def send(self, request: httpx.Request, *, timeout: Timeout) -> httpx.Response:
        self.sent.append(request)
        self.timeouts.append(timeout)
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply if isinstance(self._reply, httpx.Response) else await self._reply()

    @property
    def body(self) -> dict[str, Any]:
        """The one request's body."""
        (request,) = self.sent
        return orjson.loads(request.content)


def chat(content: str = "hello", *, finish: str = "stop", **headers: str) -> httpx.Response:
    """A simulated answer that used 100 tokens in and 20 out."""
    body = {
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    return httpx.Response(200, content=orjson.dumps(body), headers=headers)


def cost(input_tokens: int, output_tokens: int) -> Decimal:
    assert PRICED.input_usd_per_mtok is not None and PRICED.output_usd_per_mtok is not None
    in_usd, out_usd = PRICED.input_usd_per_mtok, PRICED.output_usd_per_mtok
    return (input_tokens * in_usd + output_tokens * out_usd) / 1_000_000


class Unwatched:
    """An observer that looks at nothing."""

    def accepted(self, *_: object, took_s: float) -> None: ...

    async def failed(self, *_: object) -> None: ...


def executor(
    sender: FakeSender,
    *,
    draining: bool = False,
    models: Catalog | None = None,
    observer: object | None = None,
) -> Executor:
    provider = catalog().provider("openai")
    return Executor(
        provider=provider,
        accesses=Accesses(provider, Access(provider.base_url, "sk-test"), Keyring()),
        sender=sender,  # type: ignore[arg-type]
        models=models or catalog(),
        draining=lambda: draining,
        pass_on=nobody_reads,
        observer=observer or Unwatched(),  # type: ignore[arg-type]
        jitter=lambda: 0.0,
    )


def lease(*, model: str = MODEL, expires_in_s: float = 60, lost: bool = False) -> Lease:
    return Lease(
        job_id=JOB_ID,
        fence=Fence(42),
        entry=Entry(JOB_ID, *ESTIMATE),
        flow=Flow("acme", 0, model),
        lapsed=None,
        epoch="e",
        expires_at=time.monotonic() + expires_in_s,
        lost=lost,
    )


async def nobody_reads(attempt: Attempt, deltas: object, last: int) -> None:
    """Takes the pieces of a streamed answer nowhere."""


def attempt(job: Any = None, *, model: str = MODEL, **changes: Any) -> Attempt:
    job = job or Generate(workspace="acme", prompt="hi")
    routes = (f"openai/{MODEL}", f"openai/{NEXT}", "anthropic/claude-sonnet-4-6")
    fields: dict[str, Any] = {
        "job_id": JobId(str(JOB_ID)),
        "lease": lease(model=model),
        "number": 1,
        "workspace": WorkspaceId("acme"),
        "provider": "openai",
        "model": model,
        "tries": 0,
        "crashes": 0,
        "created_at": datetime.now(UTC) - timedelta(seconds=2),
        "deadline": None,
        "last_error": None,
        "spent": Spent(),
        "body": Envelope(routes=routes, job=job).encode(),
        "hold": Hold(input_tokens=ESTIMATE[0], output_tokens=ESTIMATE[1]),
    }
    return Attempt(**(fields | changes))


async def settled(
    reply: Reply, work: Attempt | None = None, *, draining: bool = False
) -> tuple[Settlement, FakeSender]:
    sender = FakeSender(reply)
    return await executor(sender, draining=draining).run(work or attempt()), sender


def result_of(settlement: Settlement) -> Result:
    assert settlement.result is not None
    return Result.decode(settlement.result)


# Success.


async def test_execute_success_carries_the_answer_and_its_cost() -> None:
    settlement, _ = await settled(chat("hello"))
    result = result_of(settlement)
    assert (settlement.attempt_state, settlement.state) == (
        AttemptState.SUCCEEDED,
        JobState.SUCCEEDED,
    )
    assert (result.text, result.finish_reason) == ("hello", FinishReason.STOP)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 20)
    assert result.cost_usd == settlement.cost_usd == cost(100, 20)


async def test_execute_success_says_who_answered_whom_and_when() -> None:
    settlement, _ = await settled(chat(), attempt(number=3))
    result = result_of(settlement)
    assert (result.job_id, result.workspace) == (str(JOB_ID), "acme")
    assert (result.provider, result.model, result.attempts) == ("openai", MODEL, 3)
    assert 2000 <= result.duration_ms < 60_000
    assert (settlement.job_id, settlement.number, settlement.fence) == (JOB_ID, 3, 42)
    assert settlement.http_status == 200


@pytest.mark.parametrize("simulated", [True, False])
async def test_execute_says_whether_the_answer_was_simulated(simulated: bool) -> None:
    settlement, _ = await settled(chat(**({SIMULATED_HEADER: "1"} if simulated else {})))
    assert settlement.simulated is simulated
    assert result_of(settlement).simulated is simulated


async def test_execute_result_sums_what_all_attempts_used_and_cost() -> None:
    settlement, _ = await settled(chat(), attempt(number=2, spent=EARLIER))
    result = result_of(settlement)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (107, 23)
    assert result.cost_usd == Decimal("0.5") + cost(100, 20)
    assert (settlement.usage.input_tokens, settlement.cost_usd) == (100, cost(100, 20))


async def test_execute_cost_of_an_unlisted_model_is_unknown() -> None:
    settlement, _ = await settled(chat(), attempt(model="gpt-4-unlisted"))
    assert settlement.cost_usd is None
    assert result_of(settlement).cost_usd is None
    assert settlement.usage.input_tokens == 100


async def test_execute_cost_stays_unknown_after_an_attempt_without_price() -> None:
    spent = Spent(usage=Usage(input_tokens=7), cost_usd=None)
    settlement, _ = await settled(chat(), attempt(spent=spent))
    assert settlement.cost_usd == cost(100, 20)
    assert result_of(settlement).cost_usd is None


# The request.


async def test_execute_sends_once_with_the_key_and_an_id_of_its_own() -> None:
    _, sender = await settled(chat(), attempt(number=4))
    (request,) = sender.sent
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["x-client-request-id"] == f"{JOB_ID}:4"
    assert sender.body["model"] == MODEL


@pytest.mark.parametrize(("timeout_s", "connect_s", "total_s"), [(3, 3, 3), (600, 10, 600)])
async def test_execute_waits_as_long_as_the_job_says(
    timeout_s: float, connect_s: float, total_s: float
) -> None:
    job = Generate(workspace="acme", prompt="hi", timeout_s=timeout_s)
    _, sender = await settled(chat(), attempt(job))
    assert sender.timeouts == [Timeout(connect_s=connect_s, read_s=total_s, total_s=total_s)]


async def test_execute_waits_as_long_as_the_provider_needs_by_default() -> None:
    _, sender = await settled(chat())
    assert sender.timeouts[0].total_s == catalog().provider("openai").timeout_s


@pytest.mark.parametrize(
    ("max_tokens", "last_error", "sent"),
    [
        (100, None, 100),
        (100, ErrorKind.SERVER_ERROR, 100),
        (100, ErrorKind.LENGTH, 200),
        (10_000, ErrorKind.LENGTH, PRICED.max_output_tokens),
        (10**7, None, PRICED.max_output_tokens),
        (None, None, catalog().capabilities["generate"].max_output_tokens),
        (None, ErrorKind.LENGTH, 2 * (catalog().capabilities["generate"].max_output_tokens or 0)),
    ],
)
async def test_execute_doubles_max_tokens_after_a_cut_off_structured_answer_up_to_the_models_limit(
    max_tokens: int | None, last_error: ErrorKind | None, sent: int
) -> None:
    job = Generate(workspace="acme", prompt="hi", max_tokens=max_tokens, json=True)
    _, sender = await settled(chat(), attempt(job, last_error=last_error))
    wire = sender.body
    assert wire.get("max_tokens", wire.get("max_completion_tokens")) == sent


async def test_execute_limits_a_capability_of_its_own_by_the_kind_of_job() -> None:
    job = Generate(workspace="acme", prompt="hi", capability="write haiku")
    _, sender = await settled(chat(), attempt(job))
    wire = sender.body
    expected = catalog().capabilities["generate"].max_output_tokens
    assert wire.get("max_tokens", wire.get("max_completion_tokens")) == expected


async def test_execute_embeds() -> None:
    body = {
        "data": [{"index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    work = attempt(Embed(workspace="acme", input="one"), model="text-embedding-3-small")
    settlement, _ = await settled(httpx.Response(200, content=orjson.dumps(body)), work)
    result = result_of(settlement)
    assert (result.vectors, result.usage.input_tokens) == (((0.5, 0.25),), 4)


# Prices.


def test_prices_are_those_of_the_model_or_not_known() -> None:
    known = executor(FakeSender(chat()))
    assert known.prices(MODEL) == token_prices(catalog().resolve(f"openai/{MODEL}"))
    assert known.prices("gpt-4-unlisted") == UNPRICED
