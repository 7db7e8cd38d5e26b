"""An answer that breaks its schema is shown to the model, once, with what is wrong."""

from __future__ import annotations

from penstock_client import Classify, Penstock
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

JOB = Classify(workspace="acme", text="I want a refund", labels=("refund", "praise"))


async def test_answer_that_breaks_its_schema_is_repaired_in_one_turn(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="schema_violation", provider="fireworks", count=1))
    await work_for("fireworks")
    result = await penstock.call(JOB, timeout_s=10)
    assert (result.output, result.attempts) == ("refund", 2)
    once = await penstock.call(JOB, timeout_s=10)
    assert result.usage.input_tokens > 2 * once.usage.input_tokens  # the wrong answer was shown


async def test_answer_that_stays_wrong_fails_with_both_answers(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="schema_violation", provider="fireworks"))
    await work_for("fireworks")
    pinned = JOB.model_copy(update={"model": "fireworks/deepseek-v3"})
    result = await (await penstock.submit(pinned)).result(timeout_s=10)
    assert result.error is not None
    assert result.error.kind == "invalid_output"
    assert "when shown the errors" in result.error.message
