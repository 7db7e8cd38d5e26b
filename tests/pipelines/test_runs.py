"""Runs from their start to their end, on real servers and simulated providers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock_client import InvalidJob, Penstock
from penstock_client.connections import close_redis, redis_pool
from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.steps import LLMStep
from penstock_schemas.errors import RunFailed, RunTimeout, UnknownRun, UnknownSkill
from penstock_schemas.runs import RunResult, RunState, StepState
from tests.pipelines import functions
from tests.pipelines.declaring import call, skill

NUMBERS = call("numbers", "numbers", arguments={"count": "{inputs.count}"})
DOUBLES = {"for_each": "{numbers.output}", "arguments": {"number": "{item}"}, "max_attempts": 1}
TOTAL = call("total", "total", arguments={"of": "{doubles.output}"})


async def ran(penstock: Penstock, declared: Skill, **inputs: object) -> RunResult:
    """How a run of it ends."""
    handle = await penstock.runs.start(declared, workspace="acme", inputs=inputs)
    return await handle.result(timeout_s=20)


def states(result: RunResult) -> dict[str, str]:
    return {step.name: step.status.label for step in result.steps}


async def test_run_passes_outputs_from_step_to_step(
    penstock: Penstock, compute: None, models: None
) -> None:
    declared = skill(
        call("names", "names", arguments={"deals": "{inputs.deals}"}),
        LLMStep(
            name="sort",
            type="classify",
            for_each="{names.output}",
            text="{item.name} is worth {item.value}",
            labels=("large", "small"),
        ),
        LLMStep(name="write", type="generate", prompt="Sum up: {names.output} {sort.output}"),
        output={"labels": "{sort.output}", "letter": "{write.text}", "first": "{names.output[0]}"},
    )
    deals = [{"name": f"deal {n}", "value": n} for n in range(5)]
    result = await penstock.run(declared, workspace="acme", inputs={"deals": deals}, timeout_s=20)
    assert result.output["first"] == {"name": "DEAL 0", "value": 0}
    assert len(result.output["labels"]) == 5
    assert set(result.output["labels"]) <= {"large", "small"}
    assert result.output["letter"]
    assert [step.succeeded for step in result.steps] == [1, 5, 1]
    assert result.calls == 6
    assert result.simulated


async def test_fan_in_gets_the_outputs_in_order(penstock: Penstock, compute: None) -> None:
    declared = skill(NUMBERS, call("doubles", "double", **DOUBLES), output="{doubles.output}")
    result = await ran(penstock, declared, count=12)
    assert result.output == [2 * number for number in range(12)]
    assert functions.CALLS.count(("numbers", 12)) == 1
    assert len(functions.CALLS) == 13


async def test_empty_fan_out_goes_on(penstock: Penstock, compute: None) -> None:
    result = await ran(
        penstock, skill(NUMBERS, call("doubles", "double", **DOUBLES), TOTAL), count=0
    )
    assert result.output == 0
    assert result.step("doubles").items == 0


async def test_failed_item_fails_the_run_and_says_why(penstock: Penstock, compute: None) -> None:
    result = await ran(
        penstock, skill(NUMBERS, call("doubles", "double", **DOUBLES), TOTAL), count=14
    )
    assert result.status is RunState.FAILED
    assert result.error is not None
    assert result.error.startswith("step doubles failed")
    assert "ValueError: 13 is unlucky" in result.error
    assert states(result)["total"] == "cancelled"


async def test_continue_puts_null_in_place_of_a_failed_item(
    penstock: Penstock, compute: None
) -> None:
    doubles = call("doubles", "double", on_failure="continue", **DOUBLES)
    result = await ran(penstock, skill(NUMBERS, doubles, TOTAL), count=15)
    assert result.output == 2 * (sum(range(15)) - 13)
    assert (result.step("doubles").succeeded, result.step("doubles").failed) == (14, 1)


async def test_skip_passes_over_dependents_and_lets_others_go_on(
    penstock: Penstock, compute: None
) -> None:
    declared = skill(
        call("bad", "double", arguments={"number": 13}, max_attempts=1, on_failure="skip"),
        call("after", "double", arguments={"number": "{bad.output}"}),
        call("joined", "total", arguments={"of": ["{good.output}", "{after.output}"]}, needs="any"),
        call("good", "double", arguments={"number": 4}),
        output="{joined.output}",
    )
    result = await ran(penstock, declared)
    assert states(result) == {
        "bad": "failed",
        "after": "skipped",
        "joined": "succeeded",
        "good": "succeeded",
    }
    assert result.step("after").error == "bad failed"
    assert result.output == 8


async def test_condition_decides_which_branch_runs(penstock: Penstock, compute: None) -> None:
    when: dict[str, Any] = {"value": "{inputs.count}"}
    declared = skill(
        call("many", "double", arguments={"number": 1}, when={**when, "above": 5}),
        call("few", "double", arguments={"number": 2}, when={**when, "below": 6}),
        call("joined", "total", arguments={"of": ["{many.output}", "{few.output}"]}, needs="any"),
    )
    result = await ran(penstock, declared, count=9)
    assert states(result) == {"many": "succeeded", "few": "skipped", "joined": "succeeded"}
    assert result.output == 2
    assert functions.CALLS == [("double", 1)]


async def test_failing_call_is_tried_again(penstock: Penstock, compute: None) -> None:
    result = await ran(penstock, skill(call("flaky", "flaky", arguments={"of": "x"})))
    assert result.output == "x"
    assert functions.CALLS.count(("flaky", "x")) == 3


async def test_call_that_takes_too_long_fails(penstock: Penstock, compute: None) -> None:
    held = call("held", "held", arguments={"of": "x"}, timeout_s=0.1, max_attempts=1)
    result = await ran(penstock, skill(held))
    assert result.error == "step held failed: held took longer than 0.1 s"


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("double", {"numbr": 1}, "double: missing a required argument: 'number'"),
        ("double", {"number": "many"}, "number: Input should be a valid integer"),
        ("nothing_json", {}, "nothing_json returned what JSON cannot hold"),
    ],
)
async def test_call_that_cannot_work_fails_at_once(
    penstock: Penstock, compute: None, function: str, arguments: object, told: str
) -> None:
    result = await ran(penstock, skill(call("wrong", function, arguments=arguments)))
    assert result.error is not None
    assert told in result.error
    assert (await penstock.runs.items(result.run_id, "wrong"))[0].starts == 1


@pytest.mark.parametrize("function", ["absent", "unmarked"])
async def test_function_that_its_module_lacks_fails_after_a_while(
    penstock: Penstock, compute: None, function: str
) -> None:
    result = await ran(penstock, skill(call("wrong", function)))
    assert result.error is not None
    assert f"has no function '{function}', only double, flaky, held, names" in result.error
    assert functions.CALLS == []


async def test_run_without_workers_waits_and_says_for_what(
    penstock: Penstock, compute: None
) -> None:
    handle = await penstock.runs.start(skill(call("far", "far.away:work")), workspace="acme")
    with pytest.raises(RunTimeout):
        await handle.result(timeout_s=0.5)
    status = await handle.status()
    assert status.status is RunState.RUNNING
    (wanted,) = status.waits_for
    assert "`penstock worker --compute far.away`" in wanted


async def test_missing_field_fails_the_step_by_name(penstock: Penstock, compute: None) -> None:
    declared = skill(
        call("names", "names", arguments={"deals": [{"name": "a", "value": 1}]}),
        call("next", "double", arguments={"number": "{names.output[0].valu}"}),
    )
    result = await ran(penstock, declared)
    assert result.error == (
        "step next failed: arguments: {names.output[0].valu}: there is no 'valu', only name, value"
    )


async def test_job_without_a_model_fails_the_step(penstock: Penstock, steward: None) -> None:
    result = await ran(penstock, skill(LLMStep(name="ask", type="generate", prompt="x", model="x")))
    assert result.error is not None
    assert result.error.startswith("step ask failed: model: 'x' names no provider")


async def test_usage_is_told_by_step(penstock: Penstock, models: None) -> None:
    declared = skill(
        LLMStep(name="first", type="generate", prompt="one"),
        LLMStep(name="second", type="generate", prompt="{first.text}"),
    )
    result = await ran(penstock, declared)
    assert result.calls == 2
    assert result.usage.total_tokens > 0
    parts = [result.step(name).usage for name in ("first", "second")]
    assert parts[0] + parts[1] == result.usage
    rows = await penstock.usage.summary("acme", by=("skill", "step"))
    assert {(row.group["skill"], row.group["step"]): row.input_tokens for row in rows} == {
        ("tested", name): part.input_tokens
        for name, part in zip(("first", "second"), parts, strict=True)
    }


async def test_options_go_to_every_job(penstock: Penstock, models: None) -> None:
    declared = skill(
        LLMStep(name="first", type="generate", prompt="one", agent="its own"),
        LLMStep(name="second", type="generate", prompt="{first.text}"),
    )
    handle = await penstock.runs.start(
        declared, workspace="acme", agent="given", session_key="s1", metadata={"a": "b"}
    )
    await handle.result(timeout_s=20)
    rows = await penstock.ledger.pool.fetch(
        "select step, agent, session_key from penstock.jobs order by step"
    )
    assert [tuple(row) for row in rows] == [("first", "its own", "s1"), ("second", "given", "s1")]


async def test_cancel_ends_the_run_with_what_it_had_begun(
    penstock: Penstock, compute: None
) -> None:
    held = call("held", "held", arguments={"of": "x"})
    ask = LLMStep(name="ask", type="generate", prompt="x")  # no worker of its provider is there
    handle = await penstock.runs.start(skill(held, ask), workspace="acme")
    await _called(("held", "x"))
    result = await handle.cancel()
    assert result.status is RunState.CANCELLED
    assert states(result) == {"held": "cancelled", "ask": "cancelled"}
    jobs = await penstock.ledger.pool.fetchval(
        "select count(*) from penstock.jobs where finished_at is null"
    )
    assert jobs == 0
    assert (await handle.cancel()).status is RunState.CANCELLED


async def test_resumed_run_repeats_only_what_did_not_succeed(
    penstock: Penstock, compute: None
) -> None:
    declared = skill(
        call("first", "double", arguments={"number": 1}),
        call("flaky", "flaky", arguments={"of": "y"}, after="first", max_attempts=1),
        call("last", "double", arguments={"number": 2}, after="flaky"),
    )
    handle = await penstock.runs.start(declared, workspace="acme")
    for _ in range(2):
        assert (await handle.result(timeout_s=10)).status is RunState.FAILED
        await handle.resume()
    result = await handle.result(timeout_s=10)
    assert result.output == 4
    assert result.resumes == 2
    assert [("double", 1), *[("flaky", "y")] * 3, ("double", 2)] == functions.CALLS


async def test_resumed_run_starts_its_failed_jobs_as_the_same_jobs(
    penstock: Penstock, models: None
) -> None:
    ask = LLMStep(
        name="ask", type="generate", prompt="x", for_each="{inputs.of}", max_queue_wait_s=0.3,
        model="{item}",
    )  # fmt: skip
    handle = await penstock.runs.start(
        skill(ask), workspace="acme",
        inputs={"of": ["anthropic/claude-sonnet-4-20250514", "openai/gpt-4o"]},
    )  # fmt: skip
    result = await handle.result(timeout_s=20)
    assert "queue_timeout" in str(result.error)
    before = await penstock.runs.items(result.run_id, "ask")
    await handle.resume()
    result = await handle.result(timeout_s=20)
    after = await penstock.runs.items(result.run_id, "ask")
    assert [item.job_id for item in before] == [item.job_id for item in after]
    assert after[0].status is StepState.SUCCEEDED
    assert [item.starts for item in after] == [1, 0]


async def test_run_that_succeeded_cannot_be_resumed(penstock: Penstock, compute: None) -> None:
    result = await ran(penstock, skill(NUMBERS), count=1)
    with pytest.raises(InvalidJob, match="succeeded"):
        await penstock.runs.resume(result.run_id)


async def test_same_idempotency_key_gives_the_first_run(penstock: Penstock) -> None:
    first, second = [
        await penstock.runs.start(skill(NUMBERS), workspace="acme", idempotency_key="k")
        for _ in range(2)
    ]
    assert first.run_id == second.run_id
    assert len(await penstock.runs.list("acme")) == 1


async def test_run_in_a_transaction_that_is_rolled_back_is_none(penstock: Penstock) -> None:
    async with penstock.ledger.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        handle = await penstock.runs.start(skill(NUMBERS), workspace="acme", connection=connection)
        await transaction.rollback()
    with pytest.raises(UnknownRun):
        await handle.status()


async def test_inputs_that_do_not_fit_are_refused(penstock: Penstock) -> None:
    inputs = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    with pytest.raises(InvalidJob, match="inputs of tested: count: 'x' is not of type"):
        await penstock.runs.start(
            skill(NUMBERS, inputs=inputs), workspace="acme", inputs={"count": "x"}
        )


async def test_failed_run_raises_where_it_is_awaited_by_run(
    penstock: Penstock, compute: None
) -> None:
    with pytest.raises(RunFailed, match="13 is unlucky") as raised:
        await penstock.run(
            skill(call("d", "double", arguments={"number": 13}, max_attempts=1)), workspace="acme"
        )
    assert raised.value.result.status is RunState.FAILED


async def test_progress_is_told_until_the_end(penstock: Penstock, compute: None) -> None:
    seen: list[RunResult] = []
    await penstock.run(
        skill(NUMBERS, call("doubles", "double", **DOUBLES)),
        workspace="acme", inputs={"count": 3}, progress=seen.append, timeout_s=10,
    )  # fmt: skip
    assert seen[-1].ok
    assert len(seen) > 1


async def test_skill_by_name_is_the_one_that_was_put_last(
    penstock: Penstock, compute: None
) -> None:
    await penstock.skills.put("acme", skill(NUMBERS))
    await penstock.skills.put("acme", skill(NUMBERS, output=["{numbers.output}", "new"]))
    result = await penstock.run("tested", workspace="acme", inputs={"count": 1}, timeout_s=10)
    assert result.output == [[0], "new"]
    await penstock.skills.remove("acme", "tested")
    with pytest.raises(UnknownSkill):
        await penstock.runs.start("tested", workspace="acme")


async def test_flushed_redis_loses_no_call(penstock: Penstock, compute: None) -> None:
    handle = await penstock.runs.start(
        skill(call("far", "far.away:work"), call("held", "held", arguments={"of": "x"})),
        workspace="acme",
    )
    await _called(("held", "x"))
    redis = redis_pool(penstock.settings)
    await redis.flushall()
    functions.GATE.set()
    async with asyncio.timeout(20):
        while (await handle.status()).step("held").status is not StepState.SUCCEEDED:
            await asyncio.sleep(0.05)
        while not await redis.zcard("ps3:compute:far.away"):
            await asyncio.sleep(0.05)
    await close_redis(redis)
    assert functions.CALLS == [("held", "x")]


async def _called(what: object) -> None:
    async with asyncio.timeout(10):
        while what not in functions.CALLS:
            await asyncio.sleep(0.01)


async def test_run_says_what_keeps_its_jobs(penstock: Penstock, steward: None) -> None:
    declared = skill(LLMStep(name="write", type="generate", prompt="Go.", model="openai/gpt-4o"))
    handle = await penstock.runs.start(declared, workspace="acme")
    async with asyncio.timeout(20):
        while not (waiting := (await handle.status()).waits_for):
            await asyncio.sleep(0.1)
    (job,) = await penstock.jobs("acme")
    assert waiting == (f"a job of write ({job.job_id}): no worker of openai is running",)
    await handle.cancel()
    assert (await handle.status()).waits_for == ()
