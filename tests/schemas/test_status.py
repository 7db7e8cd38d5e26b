"""States, their names and their transitions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.status import TRANSITIONS, AttemptState, ErrorKind, JobState, Lane

TERMINAL = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


def test_states_keep_the_numbers_that_are_stored() -> None:
    assert {state.label: int(state) for state in JobState} == {
        "queued": 1,
        "deferred": 2,
        "blocked": 3,
        "running": 4,
        "succeeded": 10,
        "failed": 11,
        "cancelled": 12,
        "expired": 13,
    }


def test_attempt_states_keep_the_numbers_that_are_stored() -> None:
    assert {state.label: int(state) for state in AttemptState} == {
        "open": 1,
        "returned": 2,
        "succeeded": 10,
        "failed": 11,
        "abandoned": 12,
    }


def test_lanes_keep_the_numbers_that_are_stored() -> None:
    stored = {lane.label: int(lane) for lane in Lane}
    assert stored == {"interactive": 0, "bulk": 1, "background": 2}


@pytest.mark.parametrize("state", JobState)
def test_state_is_read_by_its_name(state: JobState) -> None:
    assert JobState.parse(state.label) is state


def test_unknown_state_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"unknown state 'done': expected one of .*, expired$"):
        JobState.parse("done")


@pytest.mark.parametrize("state", JobState)
def test_terminal_states_and_no_others_lead_nowhere(state: JobState) -> None:
    assert state.is_terminal is (state in TERMINAL)
    assert (not TRANSITIONS[state]) is (state in TERMINAL)


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_terminal])
def test_no_state_becomes_itself_unless_it_runs_again(state: JobState) -> None:
    assert (state in TRANSITIONS[state]) is (state is JobState.RUNNING)


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.RUNNING}))
def test_only_a_running_job_succeeds(state: JobState) -> None:
    assert JobState.SUCCEEDED in TRANSITIONS[JobState.RUNNING]
    assert JobState.SUCCEEDED not in TRANSITIONS[state]


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_terminal])
def test_any_live_job_can_be_ended_for_it(state: JobState) -> None:
    assert {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED} <= TRANSITIONS[state]


@settings(deadline=None)
@given(st.data())
def test_random_walks_stop_at_the_first_terminal_state(data: st.DataObject) -> None:
    state = data.draw(st.sampled_from([JobState.QUEUED, JobState.BLOCKED]))
    for _ in range(20):
        following = sorted(TRANSITIONS[state])
        if not following:
            break
        assert not state.is_terminal
        state = data.draw(st.sampled_from(following))
    if state.is_terminal:
        assert TRANSITIONS[state] == frozenset()
    assert state is not JobState.BLOCKED or JobState.QUEUED in TRANSITIONS[state]


def test_every_state_can_be_reached_and_blocked_only_at_birth() -> None:
    reached = frozenset[JobState]().union(*TRANSITIONS.values())
    assert set(JobState) - reached == {JobState.BLOCKED}


def test_error_kinds_are_named_as_they_are_stored() -> None:
    assert all(kind.value == kind.name.lower() for kind in ErrorKind)
