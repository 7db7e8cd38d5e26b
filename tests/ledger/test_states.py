"""The state machine: no way out of an end, and the ledger never takes a step that is not in it."""

from __future__ import annotations

from typing import Any

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.ledger import Ledger
from penstock_schemas.status import TRANSITIONS, AttemptState, JobState
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import PROVIDER, lease_of, new_job, row, settlement_of

ENDS = [state for state in JobState if state.is_terminal]
steps = st.lists(st.sampled_from(list(JobState)), max_size=12)


@given(steps)
def test_transitions_have_no_way_out_of_an_end(wanted: list[JobState]) -> None:
    state, end = JobState.QUEUED, None
    for following in wanted:
        if following in TRANSITIONS[state]:
            state = following
        if state.is_terminal:
            end = end or state
            assert state is end


def test_transitions_name_every_state_and_reach_every_end() -> None:
    assert set(TRANSITIONS) == set(JobState)
    reached = {JobState.QUEUED}
    for _ in JobState:
        reached |= {following for state in reached for following in TRANSITIONS[state]}
    assert reached >= set(ENDS)
    assert JobState.SUCCEEDED not in TRANSITIONS[JobState.QUEUED], "nothing succeeds unstarted"


async def test_ledger_takes_only_steps_of_the_state_machine(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    """Every state x every settlement (ours, stale): the step taken is one of TRANSITIONS."""
    for start in JobState:
        for wanted in (JobState.QUEUED, JobState.DEFERRED, *ENDS):
            for fence in (1, 99):
                job = new_job()
                await ledger.submit([job])
                await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w")
                held = {JobState.RUNNING: 1}.get(start, -1 if start.is_terminal else None)
                await db.execute(
                    "update penstock.jobs set state = $2, fence = $3 where id = $1",
                    job.job_id,
                    start,
                    held,
                )
                kind = (
                    AttemptState.SUCCEEDED if wanted is JobState.SUCCEEDED else AttemptState.FAILED
                )
                given: dict[str, Any] = {"attempt_state": kind, "state": wanted}
                await settle(ledger, [settlement_of(job, fence=fence, **given)])
                after = JobState((await row(db, job))["state"])
                late_success = wanted is JobState.SUCCEEDED and not start.is_terminal
                allowed = TRANSITIONS[start] | {start}
                assert after in allowed or late_success, (start, wanted, fence)
