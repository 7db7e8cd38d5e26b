"""Single calls: what is told of each, pages that miss and repeat none, and exports of all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger, NewJob
from penstock_client.usage import UsageReports
from penstock_client.usage_rows import CallRow
from penstock_schemas.errors import InvalidJob, UnknownWorkspace
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import Settlement, open_attempts, settle
from tests.ledger.making import lease_of, new_job, new_jobs, settlement_of

FAILURE: dict[str, Any] = {
    "attempt_state": AttemptState.FAILED,
    "error_kind": ErrorKind.SERVER_ERROR,
    "error_message": "no luck",
    "http_status": 500,
}


@pytest.fixture
async def usage(ledger: Ledger) -> UsageReports:
    """The reports of a ledger with the workspaces `acme` and `other`."""
    await ledger.create_workspace("other", routing={}, monthly_tokens=None)
    return UsageReports(ledger)


class Called:
    """`await called(job, settlement)` opens the first attempt of jobs and settles it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def __call__(self, *settlements: Settlement, jobs: list[NewJob]) -> None:
        await self._ledger.submit(jobs)
        leases = [lease_of(job, 1) for job in jobs]
        await open_attempts(self._ledger, leases, provider=jobs[0].provider, worker="w")
        await settle(self._ledger, list(settlements))


@pytest.fixture
def called(ledger: Ledger) -> Called:
    """Runs jobs in the ledger."""
    return Called(ledger)


async def _move(db: asyncpg.Connection, job: NewJob, ago: timedelta) -> None:
    """Let a job's calls have begun some time ago, in the attempts and in their hours."""
    await db.execute(
        "update penstock.attempts set started_at = started_at - $2::interval where job_id = $1",
        job.job_id,
        ago,
    )


async def _all(usage: UsageReports, *, limit: int, **asked: Any) -> list[CallRow]:
    found: list[CallRow] = []
    before = None
    while True:
        page = await usage.attempts("acme", before=before, limit=limit, **asked)
        found += page.calls
        if page.next is None:
            return found
        assert len(page.calls) == limit
        before = page.next


async def test_a_call_has_everything_that_is_logged_of_it(
    usage: UsageReports, called: Called
) -> None:
    tags = {"skill": "triage", "step": "read", "agent": "ann", "task_type": "mail"}
    job = new_job(**tags, task_description="sort it", session_key="s1")
    used = Usage(input_tokens=9, output_tokens=3, cache_read_tokens=4, cache_write_tokens=2)
    await called(settlement_of(job, usage=used, duration_ms=120), jobs=[job])
    (call,) = (await usage.attempts("acme")).calls
    assert (call.job_id, call.number, call.status) == (str(job.job_id), 1, "success")
    assert (call.skill, call.step, call.agent, call.task_type) == tuple(tags.values())
    assert (call.task_description, call.session, call.capability) == ("sort it", "s1", "generate")
    assert (call.input_tokens, call.output_tokens) == (9, 3)
    assert (call.cache_read_tokens, call.cache_write_tokens) == (4, 2)
    assert (call.provider, call.model, call.configuration) == ("openai", "gpt-test", "default")
    assert (call.duration_ms, call.cost_usd, call.error) == (120, Decimal("0.01"), None)
    assert call.credential == "platform"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "success"),
        ({**FAILURE, "state": JobState.FAILED}, "error"),
        ({**FAILURE, "state": JobState.QUEUED, "result": None}, "retry"),
        ({**FAILURE, "state": JobState.FAILED, "http_status": 504}, "timeout"),
        (
            {
                **FAILURE,
                "attempt_state": AttemptState.ABANDONED,
                "state": JobState.FAILED,
                "error_code": "timeout",
                "http_status": None,
            },
            "timeout",
        ),
        (
            {
                **FAILURE,
                "attempt_state": AttemptState.ABANDONED,
                "state": JobState.FAILED,
                "http_status": None,
            },
            "abandoned",
        ),
    ],
)
async def test_status_says_what_became_of_a_call(
    usage: UsageReports, called: Called, changes: dict[str, Any], status: str
) -> None:
    job = new_job()
    await called(settlement_of(job, **changes), jobs=[job])
    (call,) = (await usage.attempts("acme")).calls
    assert call.status == status
    assert (await usage.attempts("acme", where={"status": status})).calls == (call,)
    others = [name for name in ("success", "error", "retry") if name != status]
    assert (await usage.attempts("acme", where={"status": others})).calls == ()


async def test_calls_under_way_and_unsent_ones_are_not_listed(
    usage: UsageReports, called: Called
) -> None:
    _running, returned = jobs = new_jobs(2)
    unsent = settlement_of(
        returned, attempt_state=AttemptState.RETURNED, state=JobState.QUEUED, result=None
    )
    await called(unsent, jobs=jobs)
    assert (await usage.attempts("acme")).calls == ()


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 50])
async def test_pages_are_newest_first_and_miss_and_repeat_none(
    usage: UsageReports, called: Called, db: asyncpg.Connection, limit: int
) -> None:
    jobs = new_jobs(10)
    await called(*map(settlement_of, jobs), jobs=jobs)  # all of them began at the same time
    for n, job in enumerate(jobs[:6]):
        await _move(db, job, timedelta(minutes=40 * n))
    calls = await _all(usage, limit=limit)
    assert {call.job_id for call in calls} == {str(job.job_id) for job in jobs}
    assert len(calls) == 10
    order = [(call.started_at, call.job_id, call.number) for call in calls]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    "where",
    [
        {"skill": "rare"},
        {"session": "s1"},
        {"agent": ["ann", "bob"]},
        {"model": "openai/other"},
        {"model": "other", "provider": "openai", "capability": "generate"},
        {"session": "s1", "skill": "rare", "status": "success"},
        {"configuration": "default", "step": "read", "task_type": "mail", "skill": "rare"},
    ],
)
async def test_pages_and_exports_are_of_the_calls_that_were_chosen(
    usage: UsageReports, called: Called, db: asyncpg.Connection, where: dict[str, Any]
) -> None:
    plain = new_jobs(5)
    tags = {"skill": "rare", "step": "read", "agent": "ann", "task_type": "mail"}
    rare = new_jobs(4, **tags, session_key="s1", model="other")
    await called(*map(settlement_of, [*plain, *rare]), jobs=[*plain, *rare])
    for n, job in enumerate(rare):
        await _move(db, job, timedelta(hours=5 * n))
    wanted = {str(job.job_id) for job in rare}
    assert [call.job_id for call in await _all(usage, limit=3, where=where)] == sorted(
        wanted, key=[str(job.job_id) for job in rare].index
    )
    exported = [call.job_id async for call in usage.export_calls("acme", where=where)]
    assert exported == [str(job.job_id) for job in reversed(rare)]


async def test_calls_without_a_tag_can_be_chosen(usage: UsageReports, called: Called) -> None:
    tagged, plain = new_job(skill="a"), new_job()
    await called(settlement_of(tagged), settlement_of(plain), jobs=[tagged, plain])
    (call,) = (await usage.attempts("acme", where={"skill": None})).calls
    assert call.job_id == str(plain.job_id)


async def test_calls_are_those_of_the_time_asked_for(
    usage: UsageReports, called: Called, db: asyncpg.Connection
) -> None:
    old, new = jobs = new_jobs(2)
    await called(*map(settlement_of, jobs), jobs=jobs)
    await _move(db, old, timedelta(days=3))
    day = datetime.now(UTC) - timedelta(days=1)

    async def found(*span: datetime | None) -> list[str]:
        page = [call.job_id for call in (await usage.attempts("acme", *span)).calls]
        assert page == [call.job_id async for call in usage.export_calls("acme", *span)]
        return page

    assert await found(day) == [str(new.job_id)]
    assert await found(None, day) == [str(old.job_id)]
    assert await found(day, day + timedelta(minutes=1)) == []


async def test_calls_are_found_whatever_the_hours_of_their_workspace_were(
    usage: UsageReports, called: Called, db: asyncpg.Connection
) -> None:
    await db.execute(
        "update penstock.llm_configs set time_zone = 'Asia/Kathmandu' where workspace_id = 'acme'"
    )
    jobs = new_jobs(8, skill="far")
    await called(*map(settlement_of, jobs), jobs=jobs)
    for n, job in enumerate(jobs):
        await _move(db, job, timedelta(minutes=13 * n))
    wanted = [str(job.job_id) for job in jobs]
    calls = await _all(usage, limit=3, where={"skill": "far"})
    assert [call.job_id for call in calls] == wanted
    exported = [call.job_id async for call in usage.export_calls("acme", where={"skill": "far"})]
    assert exported == wanted[::-1]


async def test_another_workspace_sees_none_of_them(usage: UsageReports, called: Called) -> None:
    job = new_job(session_key="s1")
    await called(settlement_of(job), jobs=[job])
    assert (await usage.attempts("other")).calls == ()
    assert (await usage.attempts("other", where={"session": "s1"})).calls == ()
    assert [call async for call in usage.export_calls("other")] == []
    with pytest.raises(UnknownWorkspace):
        await usage.attempts("nowhere")


@pytest.mark.parametrize(
    "asked",
    [
        {"before": "x"},
        {"before": "MjAyNi0wMS0wMVQwMDowMDowMA"},
        {"before": "é"},
        {"limit": 0},
        {"limit": 1001},
        {"where": {"status": "fine"}},
        {"where": {"colour": "red"}},
    ],
)
async def test_strange_questions_are_refused(usage: UsageReports, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob):
        await usage.attempts("acme", **asked)


async def test_an_export_goes_on_beyond_one_query(
    usage: UsageReports, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_client.usage.MOST_CALLS", 4)
    jobs = new_jobs(11)
    await called(*map(settlement_of, jobs), jobs=jobs)
    exported = [call.job_id async for call in usage.export_calls("acme")]
    assert sorted(exported) == sorted(str(job.job_id) for job in jobs)
