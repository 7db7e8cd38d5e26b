"""Ends that are noted for webhooks: each of them, in its own transaction, and none else."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from penstock_client import Classify, InvalidJob, JobState, Penstock, Settings, Skill
from penstock_client.webhooks import verify
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.webhooks import DeliveryState
from penstock_worker.attempts import open_attempts, settle
from penstock_worker.keyring import PrivateKey, write_keys
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.ledger.making import MODEL, PROVIDER, lease_of, new_job, new_jobs, settlement_of
from tests.webhooks.conftest import Deliveries
from tests.webhooks.receiver import Receiver

URL = "https://hooks.example/penstock"
PRICES = {MODEL: TokenPrices(None, None)}


async def noted(db: asyncpg.Connection) -> list[tuple[str, int]]:
    rows = await db.fetch("select type, sequence from penstock.deliveries order by id")
    return [(row["type"], row["sequence"]) for row in rows]


async def test_settlement_notes_the_end(penstock: Penstock, db: asyncpg.Connection) -> None:
    told, quiet = new_job(webhook=URL), new_job()
    await penstock.ledger.submit([told, quiet])
    leases = [lease_of(job, 1) for job in (told, quiet)]
    await open_attempts(penstock.ledger, leases, provider=PROVIDER, worker="w", prices=PRICES)
    await settle(penstock.ledger, [settlement_of(job) for job in (told, quiet)])
    assert await noted(db) == [("job.succeeded", 1)]


async def test_retry_is_no_end(penstock: Penstock, db: asyncpg.Connection) -> None:
    job = new_job(webhook=URL)
    await penstock.ledger.submit([job])
    lease = [lease_of(job, 1)]
    await open_attempts(penstock.ledger, lease, provider=PROVIDER, worker="w", prices=PRICES)
    again = settlement_of(job, state=JobState.QUEUED, result=None)
    await settle(penstock.ledger, [again])
    assert await noted(db) == []


async def test_end_that_is_rolled_back_is_not_noted(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = new_job(webhook=URL)
    await penstock.ledger.submit([job])
    transaction = db.transaction()
    await transaction.start()
    await db.execute("update penstock.jobs set state = 11, finished_at = now()")
    assert await noted(db) == [("job.failed", 1)]
    await transaction.rollback()
    assert await noted(db) == []


async def test_owned_job_with_a_webhook_tells_both(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    owned = new_jobs(2, owner=uuid4())
    both = new_job(owner=uuid4(), webhook=URL)
    await penstock.ledger.submit([*owned, both])
    await db.execute("update penstock.jobs set state = 12, finished_at = now()")
    assert await db.fetchval("select count(*) from penstock.news") == 3
    assert await noted(db) == [("job.cancelled", 1)]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (JobState.SUCCEEDED, "job.succeeded"),
        (JobState.FAILED, "job.failed"),
        (JobState.CANCELLED, "job.cancelled"),
        (JobState.EXPIRED, "job.expired"),
    ],
)
async def test_each_end_has_its_type(
    penstock: Penstock, db: asyncpg.Connection, state: JobState, kind: str
) -> None:
    await penstock.ledger.submit([new_job(webhook=URL)])
    await db.execute("update penstock.jobs set state = $1, finished_at = now()", state)
    assert await noted(db) == [(kind, 1)]


async def test_many_ends_of_one_statement_are_noted(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    await penstock.ledger.submit(new_jobs(5000, webhook=URL))
    await db.execute("update penstock.jobs set state = 12, finished_at = now()")
    assert await db.fetchval("select count(*) from penstock.deliveries") == 5000


async def test_second_end_after_a_requeue_is_a_second_event(
    deliveries: Deliveries, receiver: Receiver, penstock: Penstock
) -> None:
    job = classify(webhook=receiver.url())
    handle = await penstock.submit(job)
    await handle.cancel()
    await penstock.requeue([handle.job_id])
    await handle.cancel()
    for _ in range(2):
        await deliveries.turn()
    assert [each.data["sequence"] for each in receiver.got] == [1, 2]
    assert len({each.event_id for each in receiver.got}) == 2


async def test_end_of_a_run_is_told(
    deliveries: Deliveries, receiver: Receiver, penstock: Penstock, db: asyncpg.Connection
) -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "Hello"}]
    skill = Skill.parse({"name": "greet", "steps": steps})
    run = await penstock.runs.start(
        skill, workspace="acme", webhook=receiver.url(), metadata={"ticket": "T-1"}
    )
    await db.execute("update penstock.runs set state = 11, error = 'no', finished_at = now()")
    await deliveries.turn()
    (got,) = receiver.got
    assert got.type == "run.failed"
    assert got.data == {
        "run_id": run.run_id,
        "workspace": "acme",
        "sequence": 1,
        "status": "failed",
        "skill": "greet",
        "error": "no",
        "metadata": {"ticket": "T-1"},
    }


async def test_run_refuses_what_is_no_webhook(penstock: Penstock) -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "Hello"}]
    skill = Skill.parse({"name": "greet", "steps": steps})
    with pytest.raises(InvalidJob, match="webhook"):
        await penstock.runs.start(skill, workspace="acme", webhook="ftp://example.com/")


async def test_submit_refuses_a_private_webhook(empty: Settings) -> None:
    strict = empty.model_copy(update={"webhook_private": "refuse"})
    async with Penstock.connect(settings=strict) as penstock:
        await penstock.workspaces.create("acme")
        with pytest.raises(InvalidJob, match="PENSTOCK_WEBHOOK_PRIVATE"):
            await penstock.submit(classify(webhook="http://10.0.0.1/"))


def classify(**fields: object) -> Classify:
    return Classify.model_validate(
        {
            "workspace": "acme",
            "text": "I want a refund",
            "labels": ["refund", "praise"],
            "skill": "triage",
            "metadata": {"ticket": "T-1"},
            **fields,
        }
    )


@pytest.fixture
async def secret_of_a_stack(empty: Settings, penstock: Penstock, work_for) -> str:
    """A stack at work, whose steward has the workers' private keys."""
    await work_for("fireworks")
    async for _ in published(penstock):
        pass
    return (await penstock.webhooks.make_secret("acme")).secret


async def published(penstock: Penstock):
    import asyncio

    async with asyncio.timeout(20):
        while not await penstock.keys.status():
            yield
            await asyncio.sleep(0.05)


@pytest.fixture
def empty(empty: Settings) -> Settings:
    write_keys(empty.home / "private-keys", [PrivateKey.new()])
    return empty


async def test_job_tells_its_webhook(
    penstock: Penstock, receiver: Receiver, secret_of_a_stack: str
) -> None:
    result = await penstock.call(classify(webhook=receiver.url()), timeout_s=20)
    (got,) = await receiver.wait_for(1)
    event = verify(got.headers, got.body, secret_of_a_stack)
    assert event.type == "job.succeeded"
    assert event.data == {
        "job_id": result.job_id,
        "workspace": "acme",
        "sequence": 1,
        "status": "succeeded",
        "skill": "triage",
        "metadata": {"ticket": "T-1"},
        "cost_usd": str(result.cost_usd),
        "input_tokens": result.usage.input_tokens,
        "output_tokens": result.usage.output_tokens,
        "attempts": 1,
        "duration_ms": result.duration_ms,
        "provider": result.provider,
        "model": result.model,
        "simulated": True,
    }
    assert result.text is None or result.text.encode() not in got.body


async def test_failed_job_tells_the_kind_of_its_error(
    penstock: Penstock, receiver: Receiver, secret_of_a_stack: str, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", status=400, body='{"error": {"message": "no"}}'))
    handle = await penstock.submit(classify(webhook=receiver.url()))
    await handle.result(timeout_s=20)
    (got,) = await receiver.wait_for(1)
    assert got.type == "job.failed"
    assert got.data["error"] == "invalid_request"


async def test_unreachable_webhook_disturbs_no_job(
    penstock: Penstock, receiver: Receiver, secret_of_a_stack: str
) -> None:
    dead = [classify(webhook="http://127.0.0.1:9/hook") for _ in range(20)]
    await penstock.submit_many(dead)
    result = await penstock.call(classify(webhook=receiver.url()), timeout_s=20)
    await receiver.wait_for(1)
    assert result.ok
    found = await penstock.webhooks.list("acme")
    states = {one.state for one in found if one.url.endswith(":9/hook")}
    assert states == {DeliveryState.WAITING}
