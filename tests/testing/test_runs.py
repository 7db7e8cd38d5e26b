"""Runs of skills by `FakePenstock`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock_client import (
    ComputeStep,
    Condition,
    ErrorKind,
    Generate,
    InvalidJob,
    LLMStep,
    RunFailed,
    RunState,
    RunTimeout,
    Skill,
    UnknownRun,
    UnknownSkill,
)
from penstock_client.routing import AnyJob
from penstock_client.testing import FakePenstock
from penstock_schemas.runs import RunResult, StepState

SORT = LLMStep(
    name="sort",
    type="classify",
    for_each="{open.output}",
    text="{item.text}",
    labels=("refund", "praise"),
)
TICKETS = Skill(
    name="sort-tickets",
    steps=(
        ComputeStep(
            name="open",
            function="tests.testing.functions:open_tickets",
            arguments={"tickets": "{inputs.tickets}"},
        ),
        SORT,
        LLMStep(name="sum-up", type="generate", prompt="Sum up: {sort.output}"),
    ),
    output={"kinds": "{sort.output}", "summary": "{sum-up.text}"},
)
INPUTS: dict[str, Any] = {
    "tickets": [
        {"text": "money back", "closed": False},
        {"text": "old", "closed": True},
        {"text": "lovely", "closed": False},
    ]
}


def kind_of(job: AnyJob) -> str:
    return "praise" if getattr(job, "text", "") == "lovely" else "refund"


async def test_run_carries_a_skill_to_its_output() -> None:
    async with FakePenstock(answers={"sort": kind_of, "sum-up": "two tickets"}) as penstock:
        result = await penstock.run(TICKETS, workspace="acme", inputs=INPUTS)

    assert result.output == {"kinds": ["refund", "praise"], "summary": "two tickets"}
    assert result.step("sort").succeeded == 2
    assert (result.calls, result.cost_usd, result.simulated) == (3, 0, True)
    assert [step.status for step in result.steps] == [StepState.SUCCEEDED] * 3


async def test_run_submits_its_jobs_under_skill_and_step(fake_penstock: FakePenstock) -> None:
    await fake_penstock.run(TICKETS, workspace="acme", inputs=INPUTS, session_key="s")

    told = [(job.skill, job.step, job.session_key) for job in fake_penstock.submitted]
    assert told == [("sort-tickets", step, "s") for step in ("sort", "sort", "sum-up")]
    last = fake_penstock.submitted[-1]
    assert isinstance(last, Generate)
    assert last.prompt == 'Sum up: ["refund","refund"]'


async def test_run_whose_job_fails_raises_and_names_the_step() -> None:
    async with FakePenstock(fails={"sum-up": ErrorKind.REFUSAL}) as penstock:
        with pytest.raises(RunFailed, match="step sum-up failed: refusal") as caught:
            await penstock.run(TICKETS, workspace="acme", inputs=INPUTS)

    assert caught.value.result.step("sort").status is StepState.SUCCEEDED


async def test_run_lives_with_a_failed_item_where_its_step_says_so() -> None:
    def half(job: AnyJob) -> Any:
        return ErrorKind.REFUSAL if kind_of(job) == "praise" else None

    skill = TICKETS.model_copy(
        update={
            "steps": (TICKETS.steps[0], SORT.model_copy(update={"on_failure": "continue"})),
            "output": "{sort.output}",
        }
    )
    async with FakePenstock(answers={"sort": half}) as penstock:
        result = await penstock.run(
            Skill.parse(skill.definition()), workspace="acme", inputs=INPUTS
        )

    assert result.output == ["refund", None]
    assert result.step("sort").failed == 1


async def test_run_skips_a_step_whose_condition_does_not_hold(fake_penstock: FakePenstock) -> None:
    steps = (
        LLMStep(name="judge", type="classify", text="{inputs.text}", labels=("low", "high")),
        LLMStep(
            name="act",
            type="generate",
            prompt="Act.",
            when=(Condition(value="{judge.output}", equals="high"),),
        ),
    )
    skill = Skill(name="watch", steps=steps, output="{act.status}")

    result = await fake_penstock.run(skill, workspace="acme", inputs={"text": "x"})

    assert result.output == "skipped"
    assert len(fake_penstock.submitted) == 1


def of_function(name: str, **given: Any) -> Skill:
    function = f"tests.testing.functions:{name}"
    return Skill(name="one", steps=(ComputeStep(name="call", function=function, **given),))


async def test_run_calls_an_async_function(fake_penstock: FakePenstock) -> None:
    skill = of_function("doubled", arguments={"number": "{inputs.n}"})

    assert (await fake_penstock.run(skill, workspace="acme", inputs={"n": "4"})).output == 8


async def test_run_calls_a_function_again_that_raises(fake_penstock: FakePenstock) -> None:
    skill = of_function("flaky", arguments={"name": "again", "failures": 2})

    result = await fake_penstock.run(skill, workspace="acme")

    assert result.output == 3


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("flaky", {"name": "never", "failures": 9}, "flaky: OSError: not yet"),
        ("doubled", {}, "missing a required argument: 'number'"),
        ("doubled", {"number": "many"}, "doubled: ValidationError"),
        ("unmarked", {}, "no function that is marked with @compute"),
    ],
)
async def test_run_fails_with_its_function(
    fake_penstock: FakePenstock, name: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(RunFailed, match=told):
        await fake_penstock.run(of_function(name, arguments=arguments), workspace="acme")


async def test_run_refuses_inputs_that_do_not_fit(fake_penstock: FakePenstock) -> None:
    skill = TICKETS.model_copy(update={"inputs": {"type": "object", "required": ["tickets"]}})

    with pytest.raises(InvalidJob, match="tickets"):
        await fake_penstock.run(skill, workspace="acme", inputs={})


async def test_run_by_name_takes_the_workspaces_skill(fake_penstock: FakePenstock) -> None:
    await fake_penstock.skills.put("acme", TICKETS)

    result = await fake_penstock.run("sort-tickets", workspace="acme", inputs=INPUTS)

    assert result.digest == TICKETS.digest
    assert [row.name for row in await fake_penstock.skills.list("acme")] == ["sort-tickets"]
    with pytest.raises(UnknownSkill):
        await fake_penstock.run("sort-tickets", workspace="other", inputs=INPUTS)


async def test_skill_that_was_removed_is_unknown(fake_penstock: FakePenstock) -> None:
    await fake_penstock.skills.put("acme", TICKETS)
    await fake_penstock.skills.remove("acme", "sort-tickets")

    with pytest.raises(UnknownSkill):
        await fake_penstock.skills.get("acme", "sort-tickets")


async def test_held_run_times_out_and_can_be_cancelled_and_resumed(
    fake_penstock: FakePenstock,
) -> None:
    fake_penstock.hold()
    handle = await fake_penstock.runs.start(TICKETS, workspace="acme", inputs=INPUTS)
    with pytest.raises(RunTimeout):
        await handle.result(timeout_s=0.05)

    cancelled = await handle.cancel()
    states = {row.state.label for row in await fake_penstock.jobs("acme")}
    fake_penstock.release()
    await handle.resume()
    resumed = await handle.result(timeout_s=20)

    assert (cancelled.status, states) == (RunState.CANCELLED, {"cancelled"})
    assert (resumed.ok, resumed.resumes) == (True, 1)
    assert len(fake_penstock.submitted) == 3


async def test_failed_run_resumes_what_did_not_succeed() -> None:
    async with FakePenstock(fails={"sum-up": ErrorKind.OVERLOADED}) as penstock:
        handle = await penstock.runs.start(TICKETS, workspace="acme", inputs=INPUTS)
        failed = await handle.result()
        penstock.fails = None
        await handle.resume()
        resumed = await handle.result(timeout_s=20)

        items = await penstock.runs.items(handle.run_id, "sort")

    assert (failed.status, resumed.status) == (RunState.FAILED, RunState.SUCCEEDED)
    assert len(penstock.submitted) == 3
    assert [item.output for item in items] == ["refund", "refund"]


async def test_run_that_fails_cancels_its_other_jobs() -> None:
    async def first_fails(job: AnyJob) -> str:
        if getattr(job, "text", "") == "money back":
            raise ValueError("broken")
        await asyncio.Future()
        return ""

    async with FakePenstock(answers={"sort": first_fails}) as penstock:
        with pytest.raises(RunFailed, match="1 of 2"):
            await penstock.run(TICKETS, workspace="acme", inputs=INPUTS, timeout_s=20)
        handles = await penstock.jobs("acme")
        states = {(await penstock.result(row.job_id, timeout_s=20)).status.label for row in handles}

    assert states == {"failed", "cancelled"}


async def test_run_tells_its_progress(fake_penstock: FakePenstock) -> None:
    seen: list[RunResult] = []

    result = await fake_penstock.run(TICKETS, workspace="acme", inputs=INPUTS, progress=seen.append)

    assert len(seen) > 2
    assert seen[0].status is RunState.RUNNING
    assert seen[-1] == result


async def test_run_of_the_same_key_is_the_first_run(fake_penstock: FakePenstock) -> None:
    given = {"workspace": "acme", "inputs": INPUTS, "idempotency_key": "once"}

    first = await fake_penstock.runs.start(TICKETS, **given)
    second = await fake_penstock.runs.start(TICKETS, **given)

    assert first.run_id == second.run_id
    assert [row.run_id for row in await fake_penstock.runs.list("acme")] == [first.run_id]


async def test_run_that_does_not_exist_is_unknown(fake_penstock: FakePenstock) -> None:
    with pytest.raises(UnknownRun):
        await fake_penstock.runs.get("01a1fe1c-d077-7204-a587-72c10f9aae27")


async def test_run_of_a_thousand_items_ends(fake_penstock: FakePenstock) -> None:
    steps = (
        LLMStep(name="one", type="generate", for_each="{inputs.all}", prompt="{item}"),
        LLMStep(name="two", type="generate", for_each="{one.output}", prompt="{item}"),
    )
    skill = Skill(name="wide", steps=steps)

    result = await fake_penstock.run(skill, workspace="acme", inputs={"all": list(range(1000))})

    assert len(result.output) == 1000
