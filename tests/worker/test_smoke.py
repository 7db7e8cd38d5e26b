"""The smoke test of a credential: which model it asks, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from penstock_schemas.canary import cheapest_model
from penstock_schemas.catalog import Catalog, Model, Provider, catalog
from penstock_schemas.status import ErrorKind
from penstock_worker.credentials import Access
from penstock_worker.providers.http import Sender
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from penstock_worker.smoke import SmokeResult, smoke_test

TODAY = date(2026, 11, 21)
KEY = "key-simulated-1"


def model(name: str, *prices: str | None, **fields: Any) -> Model:
    given, taken = prices or ("1", "1")
    return Model(
        provider="mine",
        name=name,
        wire_id=name,
        display_name=name,
        input_usd_per_mtok=None if given is None else Decimal(given),
        output_usd_per_mtok=None if taken is None else Decimal(taken),
        **fields,
    )


def chosen(*models: Model, **fields: Any) -> str | None:
    provider = Provider(name="mine", display_name="Mine", base_url="http://127.0.0.1", **fields)
    whole = Catalog(providers=(provider,), models=models, capabilities={}, detection={})
    found = cheapest_model(whole, "mine", today=TODAY)
    return found and found.name


def test_cheapest_model_is_chosen() -> None:
    assert chosen(model("dear", "2", "8"), model("cheap", "1", "2")) == "cheap"


def test_smaller_model_is_chosen_at_the_same_price() -> None:
    assert chosen(model("a", size_category="large"), model("b", size_category="tiny")) == "b"


def test_unknown_price_is_not_taken_for_cheap() -> None:
    assert chosen(model("unknown", None, None), model("half", "0", None), model("dear")) == "dear"


def test_retired_model_is_not_chosen() -> None:
    retired = model("old", "0", "0", retires_on=date(2026, 11, 1))
    assert chosen(retired, model("new")) == "new"


def test_embedding_model_is_chosen_only_where_there_is_no_other() -> None:
    vectors = model("vectors", "0.1", "0", kind="embedding")
    assert chosen(vectors, model("chat")) == "chat"
    assert chosen(vectors) == "vectors"


def test_default_model_stands_in_where_none_is_listed() -> None:
    assert chosen(default_model="house") == "house"
    assert chosen() is None


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender() as open_sender:
        yield open_sender


async def smoked(
    sender: Sender, base_url: str, *, provider: str = "openai", key: str = KEY, **more: Any
) -> SmokeResult:
    return await smoke_test(
        sender,
        catalog(),
        provider=catalog().provider(provider),
        access=Access(base_url, key),
        **more,
    )


@pytest.mark.parametrize(
    "name", [row.name for row in catalog().providers if catalog().models_of(row.name)]
)
async def test_every_provider_answers_its_smoke_test(
    sender: Sender, simulator: Simulator, name: str
) -> None:
    result = await smoked(sender, simulator.base_url(name), provider=name)
    assert (result.ok, result.kind, result.simulated) == (True, None, True)
    assert result.usage.input_tokens > 0


async def test_smoke_test_tells_its_cost(sender: Sender, simulator: Simulator) -> None:
    result = await smoked(sender, simulator.base_url("openai"))
    assert result.cost_usd is not None
    assert 0 < result.cost_usd < Decimal("0.001")


async def test_embeddings_are_tried_where_that_is_asked(
    sender: Sender, simulator: Simulator
) -> None:
    vectors = catalog().model("openai/text-embedding-3-small")
    result = await smoked(sender, simulator.base_url("openai"), model=vectors)
    assert (result.ok, result.model) == (True, vectors.ref)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="status", status=401, key=KEY), ErrorKind.AUTHENTICATION),
        (Fault(kind="insufficient_quota"), ErrorKind.QUOTA_EXHAUSTED),
        (Fault(kind="overloaded"), ErrorKind.OVERLOADED),
        (Fault(kind="drop_after"), ErrorKind.INTERRUPTED),
        (Fault(kind="invalid_json"), ErrorKind.MALFORMED_ANSWER),
    ],
)
async def test_failure_is_told_and_not_raised(
    sender: Sender, simulator: Simulator, fault: Fault, kind: ErrorKind
) -> None:
    simulator.faults.add(fault)
    result = await smoked(sender, simulator.base_url("openai"))
    assert (result.ok, result.kind) == (False, kind)
    assert result.message
    assert result.error is not None
    assert KEY not in repr(result)


async def test_silence_is_not_waited_for(sender: Sender, simulator: Simulator) -> None:
    simulator.latency.set(latency_ms=60_000)
    result = await smoked(sender, simulator.base_url("openai"), timeout_s=0.2)
    assert (result.ok, result.kind) == (False, ErrorKind.INTERRUPTED)


async def test_server_that_is_not_there_is_told(sender: Sender) -> None:
    result = await smoked(sender, "http://127.0.0.1:9/v1")
    assert (result.ok, result.kind) == (False, ErrorKind.CONNECT_ERROR)


async def test_provider_without_models_is_told(sender: Sender) -> None:
    result = await smoked(sender, "http://127.0.0.1:9/v1", provider="openai_compatible")
    assert (result.ok, result.model, result.kind) == (False, None, None)
    assert "--model" in result.message
