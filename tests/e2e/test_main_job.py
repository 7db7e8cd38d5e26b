"""The whole way of a job: submit, claim, call, settle, await."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from penstock_client import Classify, Embed, Extract, Generate, Penstock, Reason
from penstock_worker.simulator.server import Simulator


class Order(BaseModel):
    """A typed schema."""

    order_number: str
    total: float
    currency: Literal["EUR", "USD"]


async def test_classify_gives_its_label(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    job = Classify(workspace="acme", text="I want a refund", labels=("refund", "praise"))
    result = await (await penstock.submit(job)).result(timeout_s=10)
    assert (result.status.label, result.output) == ("succeeded", "refund")
    assert result.simulated
    assert result.usage.input_tokens > 0
    assert result.cost_usd > Decimal(0)


async def test_extract_gives_an_instance(penstock: Penstock, work_for) -> None:
    await work_for("fireworks")
    text = "Order number: A-1042\nTotal: 12.50\nCurrency: EUR"
    job = Extract(workspace="acme", text=text, schema=Order)
    result = await penstock.call(job, timeout_s=10)
    assert result.output == Order(order_number="A-1042", total=12.5, currency="EUR")


async def test_reason_and_generate_run_on_anthropic(penstock: Penstock, work_for) -> None:
    await work_for("anthropic")
    for kind in (Reason, Generate):
        result = await penstock.call(kind(workspace="acme", prompt="Why is it so?"), timeout_s=10)
        assert result.provider == "anthropic"
        assert result.text


async def test_embed_gives_vectors(penstock: Penstock, work_for) -> None:
    await work_for("openai")
    job = Embed(workspace="acme", input=("one text", "another"), dimensions=64)
    result = await penstock.call(job, timeout_s=10)
    assert (len(result.vectors), result.dimensions) == (2, 64)


async def test_result_is_readable_by_id_from_another_client(
    penstock: Penstock, work_for, empty
) -> None:
    await work_for("fireworks")
    job = Classify(workspace="acme", text="I want a refund", labels=("refund", "praise"))
    handle = await penstock.submit(job)
    await handle.result(timeout_s=10)
    async with Penstock.connect(settings=empty) as other:
        assert (await other.result(handle.job_id, timeout_s=20)).output == "refund"


async def test_bulk_is_called_once_each(penstock: Penstock, work_for, simulator: Simulator) -> None:
    await work_for("fireworks", concurrency=100)
    jobs = [
        Classify(workspace="acme", text=f"refund number {n}", labels=("refund", "praise"))
        for n in range(1000)
    ]
    results = [result async for result in penstock.map(jobs, window=400)]
    assert sum(result.ok for result in results) == 1000
    assert simulator.stats()["calls"] == 1000
