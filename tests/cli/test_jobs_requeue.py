"""`penstock jobs requeue` and `penstock jobs list`: what an operator does about failed jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker.attempts import open_attempts, settle
from tests.cli.conftest import Run
from tests.ledger.making import MODEL, PROVIDER, lease_of, new_job, result_of, settlement_of

BODY = orjson.dumps({"version": 1, "routes": [f"{PROVIDER}/{MODEL}"], "job": {}})

Ended = Callable[..., str]


@pytest.fixture
def workspace(run: Run, servers: None) -> str:
    """A workspace of its own."""
    name = f"w-{uuid4().hex[:12]}"
    assert run("workspace", "create", name, "--monthly-tokens", "unlimited").code == 0
    return name


@pytest.fixture
def ended(workspace: str, settings: Settings) -> Ended:
    """`ended()` gives the ID of a job that failed; `ended(None)` of one that succeeded."""

    def end(kind: ErrorKind | None = ErrorKind.INVALID_REQUEST) -> str:
        job = new_job(workspace, body=BODY)
        asyncio.run(_end(settings, job, kind))
        return str(job.job_id)

    return end


async def _end(settings: Settings, job: NewJob, kind: ErrorKind | None) -> None:
    ledger = await Ledger.connect(settings)
    await ledger.submit([job])
    await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w")
    failed: dict[str, Any] = {"attempt_state": AttemptState.FAILED, "state": JobState.FAILED}
    given = {} if kind is None else {**failed, "error_kind": kind, "result": result_of(job)}
    await settle(ledger, [settlement_of(job, **given)])
    await ledger.close()


def _states(run: Run, workspace: str) -> dict[str, str]:
    lines = run("jobs", "list", "-w", workspace, "--json").out.splitlines()
    return {row["job_id"]: row["state"] for row in map(orjson.loads, lines)}


@pytest.mark.parametrize("command", ["list", "requeue"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    ran = run("jobs", command, "--help")
    assert ran.code == 0
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock jobs {command}")


def test_list_shows_the_kind_of_error(run: Run, workspace: str, ended: Ended) -> None:
    job_id = ended(ErrorKind.POISON)
    ran = run("jobs", "list", "-w", workspace, "--state", "failed")
    assert ran.out.splitlines()[1].split()[0::5][:2] == [job_id, "poison"]
    assert run("jobs", "-w", workspace, "--state", "failed").out == ran.out


def test_jobs_are_requeued_by_id(run: Run, workspace: str, ended: Ended) -> None:
    job_id, other = ended(ErrorKind.POISON), ended()
    ran = run("jobs", "requeue", job_id)
    assert (ran.code, ran.out.split(), ran.err.strip()) == (0, [job_id], "1 requeued")
    assert _states(run, workspace) == {job_id: "queued", other: "failed"}


def test_jobs_are_requeued_by_filter(run: Run, workspace: str, ended: Ended) -> None:
    poison, other = ended(ErrorKind.POISON), ended()
    asked = ("jobs", "requeue", "-w", workspace, "--error", "poison", "--since", "1h", "--json")
    ran = run(*asked)
    assert orjson.loads(ran.out) == {
        "job_id": poison,
        "workspace": workspace,
        "state": "queued",
    }
    assert _states(run, workspace) == {poison: "queued", other: "failed"}


def test_many_jobs_are_requeued_only_when_that_is_confirmed(
    run: Run, workspace: str, ended: Ended
) -> None:
    jobs = {ended(), ended()}
    refused = run("jobs", "requeue", "-w", workspace)
    assert refused.code == 2
    assert "2 jobs" in refused.err
    assert set(_states(run, workspace).values()) == {"failed"}
    assert set(run("jobs", "requeue", "-w", workspace, "--yes").out.split()) == jobs
    assert set(_states(run, workspace).values()) == {"queued"}


def test_job_that_succeeded_is_refused_by_name(run: Run, ended: Ended) -> None:
    job_id = ended(None)
    ran = run("jobs", "requeue", job_id)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{job_id} succeeded" in ran.err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ((), "--workspace"),
        (("-w", "acme", str(uuid4())), "--workspace"),
        (("-w", "acme", "--since", "yesterday"), "--since"),
        (("-w", "acme", "--error", "bad luck"), "queue_timeout"),
        (("nonsense",), "nonsense"),
        (("-w", "nobody-here"), "nobody-here"),
    ],
)
def test_requeue_without_sense_is_a_usage_error(
    run: Run, servers: None, args: tuple[str, ...], named: str
) -> None:
    ran = run("jobs", "requeue", *args)
    assert ran.code == 2
    assert named in ran.err


def test_list_needs_a_workspace(run: Run) -> None:
    ran = run("jobs")
    assert ran.code == 2
    assert "--workspace" in ran.err
