"""Fan-outs of thousands of items."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from penstock_client import LLMStep, Penstock
from tests.pipelines.declaring import call, skill

pytestmark = pytest.mark.slow


async def test_fan_out_over_10000_jobs_is_counted_and_gathered(
    penstock: Penstock, compute: None, work_for: Callable[..., Awaitable[None]]
) -> None:
    await work_for("fireworks", concurrency=200)
    declared = skill(
        call("numbers", "numbers", arguments={"count": 10_000}),
        LLMStep(
            name="sort",
            type="classify",
            for_each="{numbers.output}",
            text="number {item}",
            labels=("a", "b"),
            model="fireworks/deepseek-v3",
        ),
    )
    result = await penstock.run(declared, workspace="acme", timeout_s=120)
    assert len(result.output) == 10_000
    assert result.step("sort").succeeded == result.calls == 10_000
    lanes = await penstock.ledger.pool.fetch("select distinct lane from penstock.jobs")
    assert [row["lane"] for row in lanes] == [1]  # bulk


async def test_fan_out_over_2000_calls_is_counted_and_gathered(
    penstock: Penstock, compute: None
) -> None:
    declared = skill(
        call("numbers", "numbers", arguments={"count": 2000}),
        call("each", "total", for_each="{numbers.output}", arguments={"of": ["{item}"]}),
        call("all", "total", arguments={"of": "{each.output}"}),
    )
    result = await penstock.run(declared, workspace="acme", timeout_s=120)
    assert result.output == sum(range(2000))
