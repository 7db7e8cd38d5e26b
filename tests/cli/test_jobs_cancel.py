"""`penstock jobs cancel`: what it prints, and what it refuses."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import orjson
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger
from tests.cli.conftest import Run
from tests.ledger.making import new_jobs


@pytest.fixture
def jobs(run: Run, servers: None, settings: Settings) -> tuple[str, list[str]]:
    """A workspace of its own and its two jobs, which wait."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name, "--monthly-tokens", "unlimited").code == 0
    made = new_jobs(2, name)

    async def submit() -> None:
        ledger = await Ledger.connect(settings)
        await ledger.submit(made)
        await ledger.close()

    asyncio.run(submit())
    return name, [str(job.job_id) for job in made]


def test_help_ends_in_an_example(run: Run) -> None:
    ran = run("jobs", "cancel", "--help")
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith("Example: penstock jobs cancel")


def test_jobs_are_cancelled_by_id_as_often_as_asked(run: Run, jobs: tuple[str, list[str]]) -> None:
    workspace, (first, second) = jobs
    for _ in range(2):
        ran = run("jobs", "cancel", first)
        assert (ran.code, ran.out.split()) == (0, [first, "cancelled"])
    lines = run("jobs", "list", "-w", workspace, "--json").out.splitlines()
    states = {row["job_id"]: row["state"] for row in map(orjson.loads, lines)}
    assert states == {first: "cancelled", second: "queued"}


def test_cancelled_jobs_are_printed_as_json_lines(run: Run, jobs: tuple[str, list[str]]) -> None:
    _, ids = jobs
    ran = run("jobs", "cancel", *ids, "--json")
    assert [orjson.loads(line) for line in ran.out.splitlines()] == [
        {"job_id": job_id, "state": "cancelled"} for job_id in ids
    ]


def test_unknown_job_is_named_and_nothing_is_cancelled(
    run: Run, jobs: tuple[str, list[str]]
) -> None:
    workspace, (first, _) = jobs
    unknown = str(uuid4())
    ran = run("jobs", "cancel", first, unknown)
    assert (ran.code, unknown in ran.err) == (1, True)
    assert run("jobs", "list", "-w", workspace, "--state", "cancelled", "--json").out == ""


@pytest.mark.parametrize("args", [(), ("nonsense",)])
def test_cancel_without_sense_is_a_usage_error(
    run: Run, servers: None, args: tuple[str, ...]
) -> None:
    assert run("jobs", "cancel", *args).code == 2


def test_all_live_jobs_of_a_workspace_are_cancelled_once_it_is_meant(
    run: Run, jobs: tuple[str, list[str]]
) -> None:
    workspace, ids = jobs
    ran = run("jobs", "cancel", "-w", workspace)
    assert (ran.code, "2 jobs would be cancelled" in ran.err) == (2, True)
    assert run("jobs", "cancel", "-w", workspace, "--skill", "another", "--yes").out == ""
    ran = run("jobs", "cancel", "-w", workspace, "--state", "queued", "--yes")
    assert ran.out.split() == [ids[0], "cancelled", ids[1], "cancelled"]
    assert run("jobs", "cancel", "-w", workspace, "--yes").out == ""
