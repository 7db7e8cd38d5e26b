"""Job IDs made of time, and workspace names."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils import uuid7

from penstock_schemas.ids import (
    JobId,
    created_at,
    first_id_at,
    is_workspace_id,
    parse_job_id,
)

CANONICAL = "0190a0b0-0000-7000-8000-00000000abcd"
MOMENTS = st.integers(0, 2**33).map(lambda seconds: datetime.fromtimestamp(seconds, tz=UTC))


@pytest.mark.parametrize(
    "text", [CANONICAL, CANONICAL.upper(), CANONICAL.replace("-", ""), f"{{{CANONICAL}}}"]
)
def test_job_id_is_read_into_its_canonical_form(text: str) -> None:
    assert parse_job_id(text) == CANONICAL


@pytest.mark.parametrize("text", ["", "job-1", CANONICAL[:-1], CANONICAL + "0"])
def test_job_id_refuses_what_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="is not a job ID: expected a UUID"):
        parse_job_id(text)


def test_job_id_says_when_it_was_made() -> None:
    before = time.time()
    made = created_at(JobId(str(uuid7()))).timestamp()
    assert before - 0.002 <= made <= time.time() + 0.002


@settings(deadline=None)
@given(MOMENTS, st.integers(0, 999))
def test_first_id_of_a_moment_says_that_moment(moment: datetime, ms: int) -> None:
    moment += timedelta(milliseconds=ms)
    made = created_at(JobId(str(first_id_at(moment))))
    assert abs(made - moment) <= timedelta(milliseconds=1)


@settings(deadline=None)
@given(MOMENTS, st.integers(0, 2**80 - 1))
def test_first_id_of_a_moment_bounds_its_ids(moment: datetime, rest: int) -> None:
    inside = UUID(int=first_id_at(moment).int | rest)
    assert first_id_at(moment) <= inside < first_id_at(moment + timedelta(seconds=1))


def test_ids_made_now_lie_between_the_bounds_of_now() -> None:
    now = datetime.now(UTC)
    made = UUID(str(uuid7()))
    hour = timedelta(hours=1)
    assert first_id_at(now - hour) < made < first_id_at(now + hour)


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme.eu-1_x", "a" * 63])
def test_workspace_id_takes_plain_names(name: str) -> None:
    assert is_workspace_id(name)


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a b", "a/b", "a\n", "ä", "a" * 64, "a|b"])
def test_workspace_id_refuses_others(name: str) -> None:
    assert not is_workspace_id(name)
