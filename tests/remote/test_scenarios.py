"""What producers do, the same on both transports."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from penstock_client import (
    Classify,
    Extract,
    Generate,
    InvalidJob,
    JobFailed,
    JobState,
    Penstock,
    Producer,
    ResultTimeout,
    Skill,
    UnknownJob,
    UnknownModel,
    UnknownRun,
    UnknownSkill,
    UnknownWorkspace,
)
from penstock_client.backfill import Plan, file_source
from penstock_client.progress import Progress
from penstock_schemas.errors import (
    ConfigurationError,
    UnknownBackfill,
    UnknownConfiguration,
    UnknownDelivery,
    UnknownProvider,
)
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.remote.conftest import WorkFor

#: With an end of line that server-sent events do not have.
PROMPT = "The river is high.\u2028The gate is half open. The turbine runs at full load tonight."
NOWHERE = "019aa0a4-0000-7000-8000-000000000000"


class Order(BaseModel):
    """A typed schema."""

    order_number: str
    total: float


def refund(**fields: Any) -> Classify:
    given = {"workspace": "acme", "text": "I want a refund", "labels": ["refund", "praise"]}
    return Classify.model_validate({**given, **fields})


def extract(schema: dict[str, Any]) -> Extract:
    return Extract(workspace="acme", text="Order 7", schema=schema)


async def test_call_answers(producer: Producer, work_for: WorkFor) -> None:
    await work_for("fireworks")
    result = await producer.call(refund(), timeout_s=20)
    assert (result.output, result.simulated) == ("refund", True)
    assert result.usage.input_tokens > 0


async def test_handle_gives_an_instance_of_the_schema(
    producer: Producer, work_for: WorkFor
) -> None:
    await work_for("fireworks")
    text = "Order number: A-1042\nTotal: 12.50"
    handle = await producer.submit(Extract(workspace="acme", text=text, schema=Order))
    result = await handle.result(timeout_s=20)
    assert result.output == Order(order_number="A-1042", total=12.5)


async def test_submit_many_keeps_the_order(producer: Producer, work_for: WorkFor) -> None:
    await work_for("fireworks")
    told: list[Progress] = []
    texts = [("refund", "praise")[n % 2] for n in range(30)]
    jobs = [refund(text=text) for text in texts]
    handles = await producer.submit_many(jobs, on_progress=told.append)
    results = await asyncio.gather(*(handle.result(timeout_s=20) for handle in handles))
    assert [result.output for result in results] == texts
    assert told[-1].submitted == 30


async def test_map_gives_results_in_order(producer: Producer, work_for: WorkFor) -> None:
    await work_for("fireworks")
    texts = [("refund", "praise")[n % 2] for n in range(60)]
    jobs = (refund(text=text) for text in texts)
    found = [result.output async for result in producer.map(jobs, window=20, ordered=True)]
    assert found == texts


async def test_map_raises_and_cancels_the_rest(producer: Producer, steward: None) -> None:
    jobs = [refund(), refund(deadline="2020-01-01T00:00:00Z")]
    with pytest.raises(JobFailed, match="expired"):
        async for _ in producer.map(jobs, errors="raise"):
            pass
    rows = await producer.jobs("acme")
    assert {row.state for row in rows} == {JobState.CANCELLED, JobState.EXPIRED}


async def test_idempotency_key_gives_the_first_job(producer: Producer) -> None:
    first = await producer.submit(refund(idempotency_key="one"))
    second = await producer.submit(refund(idempotency_key="one", text="other"))
    assert second.job_id == first.job_id
    assert (first.provider, second.provider) == ("fireworks", None)


async def test_result_tells_a_timeout(producer: Producer) -> None:
    handle = await producer.submit(refund())
    with pytest.raises(ResultTimeout):
        await handle.result(timeout_s=0.2)


async def test_cancel_ends_whoever_awaits(producer: Producer) -> None:
    handle = await producer.submit(refund())
    awaited = asyncio.ensure_future(handle.result(timeout_s=20))
    await asyncio.sleep(0)
    assert await producer.cancel(handle.job_id) is JobState.CANCELLED
    assert (await awaited).status is JobState.CANCELLED


async def test_requeue_starts_a_cancelled_job_again(producer: Producer) -> None:
    handle = await producer.submit(refund())
    await producer.cancel(handle.job_id)
    again = await producer.requeue([handle.job_id])
    assert [each.job_id for each in again] == [handle.job_id]
    rows = await producer.jobs("acme", state=JobState.QUEUED)
    assert [row.job_id for row in rows] == [handle.job_id]


async def test_requeue_refuses_all_where_one_still_lives(producer: Producer) -> None:
    handles = await producer.submit_many([refund(), refund()])
    await producer.cancel(handles[0].job_id)
    with pytest.raises(InvalidJob):
        await producer.requeue([handle.job_id for handle in handles])
    assert await producer.requeue([h.job_id for h in handles], skip_others=True)


async def test_jobs_pages_on(producer: Producer) -> None:
    handles = await producer.submit_many([refund(), refund(), refund()])
    page = await producer.jobs("acme", limit=2)
    rest = await producer.jobs("acme", before=page[-1].job_id)
    assert {row.job_id for row in (*page, *rest)} == {handle.job_id for handle in handles}
    assert {(row.state, row.lane, row.type) for row in page} == {(JobState.QUEUED, 0, "classify")}


async def test_explain_says_why_a_job_waits(producer: Producer) -> None:
    handle = await producer.submit(refund())
    told = await producer.explain(handle.job_id)
    assert (told.state, told.provider) == (JobState.QUEUED, "fireworks")
    assert "worker" in " ".join((told.why, *told.notes))


async def test_stream_gives_the_whole_answer_in_pieces(
    producer: Producer, work_for: WorkFor
) -> None:
    await work_for("openai")
    job = Generate(workspace="acme", prompt=PROMPT, model="openai/gpt-4o-mini", stream=True)
    handle = await producer.submit(job)
    deltas = [delta async for delta in handle.stream()]
    result = await handle.result(timeout_s=20)
    assert "".join(delta.text for delta in deltas) == result.text
    later = [delta async for delta in producer.stream(handle.job_id, after=deltas[0].position)]
    assert later == deltas[1:]


async def test_failed_call_raises_with_its_result(
    producer: Producer, work_for: WorkFor, simulator: Simulator
) -> None:
    await work_for("fireworks")
    body = '{"error": {"message": "temperature is wrong", "code": "invalid_value"}}'
    simulator.faults.add(Fault(kind="status", status=400, body=body))
    with pytest.raises(JobFailed) as raised:
        await producer.call(refund(), timeout_s=20)
    assert raised.value.result.error is not None


async def test_run_gives_the_output_of_a_skill(producer: Producer, work_for: WorkFor) -> None:
    await work_for("fireworks")
    steps = [{"name": "sort", "type": "classify", "text": "{inputs.text}", "labels": ["a", "b"]}]
    skill = Skill.parse({"name": "sorting", "steps": steps})
    seen: list[object] = []
    run = await producer.run(
        skill, workspace="acme", inputs={"text": "b b"}, timeout_s=30, progress=seen.append
    )
    assert (run.output, run.ok, bool(seen)) == ("b", True, True)
    assert (await producer.runs.items(run.run_id, "sort"))[0].output == "b"
    assert [row.run_id for row in await producer.runs.list("acme")] == [run.run_id]


async def test_run_is_cancelled_and_resumed(producer: Producer) -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "Hello"}]
    skill = Skill.parse({"name": "waiting", "steps": steps})
    handle = await producer.runs.start(skill, workspace="acme", metadata={"of": "test"})
    assert (await handle.cancel()).status.label == "cancelled"
    assert (await handle.resume()).status.label == "running"
    assert (await handle.status()).metadata == {"of": "test"}


async def test_skills_are_put_listed_and_removed(producer: Producer) -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "Hello"}]
    skill = Skill.parse({"name": "greeting", "steps": steps})
    put = await producer.skills.put("acme", skill)
    assert put == await producer.skills.get("acme", "greeting")
    assert [row.digest for row in await producer.skills.list("acme")] == [skill.digest]
    await producer.skills.remove("acme", "greeting")
    with pytest.raises(UnknownSkill):
        await producer.skills.get("acme", "greeting")


async def test_workspace_is_read_and_changed(producer: Producer) -> None:
    before = await producer.workspaces.get("acme")
    await producer.workspaces.set("acme", routing={"reason": "openai/gpt-4o"})
    after = await producer.workspaces.set("acme", providers={"mistral": False})
    assert after.routing == {**before.routing, "reason": ("openai/gpt-4o",)}
    assert after.disabled == {"mistral"}
    named = await producer.workspaces.set_configuration("acme", "slow", primary="openai/gpt-4o")
    assert named.configuration("slow").primary == "openai/gpt-4o"
    left = await producer.workspaces.remove_configuration("acme", "slow")
    assert set(left.configurations) == {"default"}


async def test_usage_is_summed_up(producer: Producer, work_for: WorkFor) -> None:
    await work_for("fireworks")
    await producer.call(refund(skill="triage"), timeout_s=20)
    rows = await producer.usage.summary("acme", by=("skill", "day"), where={"skill": "triage"})
    assert [(row.group["skill"], row.calls, row.simulated) for row in rows] == [("triage", 1, 1)]
    month = await producer.usage.month("acme")
    assert month.total.calls == 1
    page = await producer.usage.attempts("acme", limit=10)
    calls = [call async for call in producer.usage.export_calls("acme")]
    assert [call.job_id for call in calls] == [call.job_id for call in page.calls]


async def test_webhook_is_tried_and_found_again(producer: Producer) -> None:
    sent = await producer.webhooks.test("acme", "https://hooks.example/penstock")
    assert await producer.webhooks.get(sent.event_id) == sent
    found = await producer.webhooks.list("acme", subject=sent.subject)
    assert [each.event_id for each in found] == [sent.event_id]
    assert (await producer.webhooks.retry(sent.event_id)).state is sent.state


async def test_states_are_chosen_by_name_or_as_such(producer: Producer) -> None:
    handle = await producer.submit(refund())
    for state in ("queued", JobState.QUEUED, None):
        found = await producer.jobs("acme", state=state)
        assert [row.job_id for row in found] == [handle.job_id]
    assert await producer.jobs("acme", state="failed") == []
    assert await producer.runs.list("acme", state="running") == []
    assert await producer.backfills.list("acme", state="paused") == []
    assert await producer.webhooks.list("acme", state="given_up") == []


async def test_backfill_is_loaded_followed_and_exported(
    producer: Producer, work_for: WorkFor, tmp_path: Path
) -> None:
    await work_for("fireworks")
    texts = [("refund", "praise")[n % 2] for n in range(50)]
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:20], '{"id": 99}', *lines[20:]]))
    plan = Plan(workspace="acme", kind="classify", labels=("refund", "praise"))
    started = await producer.backfills.start(plan, file_source(tmp_path / "in.jsonl", plan))
    ended = await producer.backfills.wait(started.backfill_id, timeout_s=30)
    assert (ended.rows, ended.succeeded, ended.invalid) == (51, 50, 1)
    rows = [row async for row in producer.backfills.export(started.backfill_id)]
    assert [row.answer["output"] for row in rows if row.ok] == texts
    assert [row.number for row in rows] == list(range(51))
    assert len(await producer.backfills.invalid_rows(started.backfill_id)) == 1
    assert await producer.backfills.plan(started.backfill_id) == plan
    again = await producer.backfills.start(plan, file_source(tmp_path / "in.jsonl", plan))
    assert again.backfill_id == started.backfill_id
    assert [each.backfill_id for each in await producer.backfills.list("acme")] == [
        started.backfill_id
    ]


async def test_backfill_is_paused_resumed_and_cancelled(
    producer: Producer, steward: None, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text": "a refund"}')
    plan = Plan(workspace="acme", kind="classify", labels=("refund", "praise"))
    started = await producer.backfills.start(plan, file_source(tmp_path / "in.jsonl", plan))
    paused = await producer.backfills.pause(started.backfill_id)
    assert paused.status.label == "paused"
    resumed = await producer.backfills.resume(started.backfill_id, changes={"window": 7})
    assert (resumed.status.label, resumed.window) == ("running", 7)
    cancelled = await producer.backfills.cancel(started.backfill_id)
    assert cancelled.status.label == "cancelled"
    with pytest.raises(InvalidJob, match="was cancelled"):
        await producer.backfills.retry_failed(started.backfill_id)


@pytest.mark.parametrize(
    ("ask", "raised"),
    [
        (lambda p: p.submit(refund(workspace="nobody")), UnknownWorkspace),
        (lambda p: p.submit(refund(model="no-such-model")), UnknownModel),
        (lambda p: p.submit(refund(model="nobody/gpt-4o")), UnknownProvider),
        (lambda p: p.submit(refund(configuration="none")), UnknownConfiguration),
        (lambda p: p.submit(extract({"type": "objekt"})), InvalidJob),
        (lambda p: p.submit(refund(model="openai/text-embedding-3-small")), InvalidJob),
        (lambda p: p.result(NOWHERE, timeout_s=10), UnknownJob),
        (lambda p: p.result("1"), InvalidJob),
        (lambda p: p.cancel(NOWHERE), UnknownJob),
        (lambda p: p.requeue([NOWHERE]), UnknownJob),
        (lambda p: p.explain(NOWHERE), UnknownJob),
        (lambda p: anext(p.stream(NOWHERE)), UnknownJob),
        (lambda p: anext(p.stream(NOWHERE, after="x")), InvalidJob),
        (lambda p: p.jobs("nobody"), UnknownWorkspace),
        (lambda p: p.jobs("acme", before="x"), InvalidJob),
        (lambda p: p.jobs("acme", state="waiting"), InvalidJob),
        (lambda p: p.runs.list("acme", state="queued"), InvalidJob),
        (lambda p: p.backfills.list("acme", state="queued"), InvalidJob),
        (lambda p: p.backfills.plan(NOWHERE), UnknownBackfill),
        (lambda p: p.runs.get(NOWHERE), UnknownRun),
        (lambda p: p.runs.cancel(NOWHERE), UnknownRun),
        (lambda p: p.runs.start("none", workspace="acme"), UnknownSkill),
        (lambda p: p.backfills.get(NOWHERE), UnknownBackfill),
        (lambda p: anext(p.backfills.export(NOWHERE)), UnknownBackfill),
        (lambda p: p.backfills.pause("x"), InvalidJob),
        (lambda p: p.skills.remove("acme", "none"), UnknownSkill),
        (lambda p: p.webhooks.get(f"evt_{NOWHERE.replace('-', '')}"), UnknownDelivery),
        (lambda p: p.webhooks.get("x"), InvalidJob),
        (lambda p: p.workspaces.get("nobody"), UnknownWorkspace),
        (lambda p: p.workspaces.set("acme", weight=-1), ConfigurationError),
        (lambda p: p.workspaces.set("acme", default_configuration="x"), UnknownConfiguration),
        (lambda p: p.workspaces.remove_configuration("acme", "x"), UnknownConfiguration),
        (lambda p: p.usage.summary("acme", by=("nothing",)), InvalidJob),
        (lambda p: p.usage.month("nobody"), UnknownWorkspace),
    ],
)
async def test_error_is_the_same(
    producer: Producer, penstock: Penstock, ask: Any, raised: type[Exception]
) -> None:
    with pytest.raises(raised) as direct:
        await ask(penstock)
    with pytest.raises(raised) as told:
        await ask(producer)
    assert type(told.value) is type(direct.value)
    assert str(told.value) == str(direct.value)
    assert vars(told.value) == vars(direct.value)
