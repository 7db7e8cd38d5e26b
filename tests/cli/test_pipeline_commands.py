"""`penstock skills` and `penstock runs` as they are typed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from penstock_client import Penstock, Settings
from penstock_client.cli.main import load_plugins, new_app
from penstock_worker.compose import run_steward
from penstock_worker.pipelines.compute_process import run_compute
from tests.cli.conftest import Run
from tests.pipelines.declaring import MODULE

SKILL = f"""
name: doubling
steps:
  - name: numbers
    function: {MODULE}:numbers
    arguments: {{count: "{{inputs.count}}"}}
  - name: each
    function: {MODULE}:double
    for_each: "{{numbers.output}}"
    arguments: {{number: "{{item}}"}}
    max_attempts: 1
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A skill in a file."""
    path = tmp_path / "skill.yaml"
    path.write_text(SKILL)
    return str(path)


@pytest.fixture
def acme(empty: Settings, servers: None) -> None:
    """A workspace on the servers of the test."""

    async def create() -> None:
        async with Penstock.connect(settings=empty) as penstock:
            await penstock.workspaces.create("acme", monthly_tokens=None)

    asyncio.run(create())


@pytest.fixture
def at_work(acme: None, empty: Settings) -> Iterator[None]:
    """A steward and a worker of the functions, in a thread."""
    loop = asyncio.new_event_loop()

    async def work() -> None:
        await asyncio.gather(
            run_steward(empty, handle_signals=False),
            run_compute(empty, [MODULE], drain_s=0.1, handle_signals=False),
            return_exceptions=True,  # or it would not wait for both to end
        )

    def run() -> None:
        asyncio.set_event_loop(loop)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    task = loop.create_task(work())
    thread = threading.Thread(target=run)
    thread.start()
    yield
    loop.call_soon_threadsafe(task.cancel)
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_check_shows_the_steps_in_their_order(run: Run, file: str) -> None:
    ran = run("skills", "check", file)
    assert ran.code == 0
    assert "skill doubling: 2 steps" in ran.out
    assert f"each     compute  numbers  {{numbers.output}}  {MODULE}:double" in ran.out


def test_check_names_step_and_field_of_a_mistake(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "skill.yaml"
    path.write_text(SKILL.replace("{numbers.output}", "{number.output}"))
    ran = run("skills", "check", str(path))
    assert ran.code == 2
    assert ran.err.startswith("error: step each: for_each: {number.output}: there is no step")


def test_skills_are_put_listed_shown_and_removed(run: Run, acme: None, file: str) -> None:
    assert "has the skill doubling" in run("skills", "put", "acme", file).out
    (row,) = orjson.loads(run("skills", "list", "acme", "--json").out)
    assert (row["name"], row["workspace"]) == ("doubling", "acme")
    shown = orjson.loads(run("skills", "show", "acme", "doubling", "--json").out)
    assert shown == row["skill"]
    assert run("skills", "remove", "acme", "doubling").code == 0
    missing = run("skills", "show", "acme", "doubling")
    assert missing.code == 1
    assert "has no skill 'doubling'" in missing.err


def test_run_of_a_file_prints_its_output(run: Run, at_work: None, file: str) -> None:
    ran = run("runs", "start", file, "-w", "acme", "-i", "count=3", "--wait")
    assert ran.code == 0, ran.err
    assert orjson.loads(ran.out) == [0, 2, 4]
    assert "numbers succeeded, each succeeded" in ran.err
    (row,) = orjson.loads(run("runs", "list", "acme", "--json").out)
    assert (row["status"], row["steps_ended"]) == ("succeeded", 2)
    items = orjson.loads(run("runs", "items", row["run_id"], "each", "--json").out)
    assert [item["output"] for item in items] == [0, 2, 4]


def test_failed_run_exits_with_1_and_tells_why(run: Run, at_work: None, file: str) -> None:
    ran = run("runs", "start", file, "-w", "acme", "-i", "count=14", "--wait")
    assert ran.code == 1
    assert "13 is unlucky" in ran.err
    run_id = orjson.loads(run("runs", "list", "acme", "--state", "failed", "--json").out)[0]
    again = run("runs", "resume", run_id["run_id"], "--wait", "--json")
    assert again.code == 1
    assert orjson.loads(again.out)["resumes"] == 1


def test_run_by_name_is_shown_with_what_it_waits_for(run: Run, acme: None, file: str) -> None:
    run("skills", "put", "acme", file)
    run_id = run("runs", "start", "doubling", "--workspace", "acme").out.strip()
    shown = run("runs", "show", run_id)
    assert f"run {run_id} of doubling: running" in shown.out
    assert "numbers  compute  waiting" in shown.out
    assert "cancelled" in run("runs", "cancel", run_id).out
    assert run("runs", "wait", run_id).code == 1


def test_inputs_come_from_a_file_and_options_go_before(
    run: Run, at_work: None, file: str, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"count": 1, "other": "x"}')
    ran = run(
        "runs", "start", file, "-w", "acme", "--inputs", str(inputs), "-i", "count=2", "--wait"
    )
    assert orjson.loads(ran.out) == [0, 2]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--input", "count"), "input: 'count' is not name=value"),
        (("--inputs", "none.json"), "inputs: none.json cannot be read"),
    ],
)
def test_wrong_inputs_are_refused(
    run: Run, acme: None, file: str, args: tuple[str, ...], told: str
) -> None:
    ran = run("runs", "start", file, "-w", "acme", *args)
    assert ran.code == 2
    assert told in ran.err


def test_unknown_run_is_told(run: Run, acme: None) -> None:
    ran = run("runs", "show", "019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11")
    assert ran.code == 1
    assert "does not exist; see `penstock runs list`" in ran.err


def test_worker_needs_a_provider_or_a_module() -> None:
    app = new_app()
    load_plugins(app)
    for args in ([], ["--provider", "openai", "--compute", MODULE]):
        ran = CliRunner().invoke(app, ["worker", *args])
        assert ran.exit_code == 2
    missing = CliRunner().invoke(app, ["worker", "--compute", "no.such.module"])
    assert "no.such.module cannot be imported" in str(missing.exception)
