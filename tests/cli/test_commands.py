"""The producer's commands as a user runs them: output, exit codes, one line for each error."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
import typer

from penstock_client.cli import main as entry
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE


@pytest.fixture
def put_together_anew() -> Iterator[None]:
    """The command line is put together for this test, and again for those after it."""
    entry.command_line.cache_clear()
    yield
    entry.command_line.cache_clear()


COMMANDS = [
    ("migrate",),
    ("doctor",),
    ("workspace", "create"),
    ("workspace", "list"),
    ("submit",),
    ("result",),
    ("jobs",),
    ("backfill",),
]


def new_name() -> str:
    return f"w-{uuid4().hex[:12]}"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_ends_in_an_example(run, command: tuple[str, ...]) -> None:
    ran = run(*command, "--help")
    assert ran.code == 0
    last = " ".join(ran.out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock {' '.join(command)}")


@pytest.mark.usefixtures("put_together_anew")
def test_broken_plugin_costs_one_line(run, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_module:register", entry.GROUP)
    monkeypatch.setattr(entry, "entry_points", lambda group: [broken])
    ran = run("--help")
    assert ran.code == 0
    assert "backfill" in ran.out
    assert ran.err.count("\n") == 1
    assert "no_such_module" in ran.err


@pytest.mark.usefixtures("put_together_anew")
def test_unexpected_error_is_one_line_too(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(app: typer.Typer) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(entry, "load_plugins", lambda app: None)
    monkeypatch.setattr(entry, "app", explode_app())
    ran = run("explode")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "two lines" in ran.err


def explode_app() -> typer.Typer:
    app = entry.new_app()

    @app.command("explode")
    def explode() -> None:
        raise RuntimeError("two\nlines")

    return app


@pytest.mark.usefixtures("put_together_anew")
def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DEBUG", "1")
    monkeypatch.setattr(entry, "app", explode_app())
    with pytest.raises(RuntimeError):
        entry.main(["explode"])


def test_interrupt_is_130_and_says_how_to_go_on(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock_client.cli import running

    def interrupted(work) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(running.asyncio, "run", interrupted)
    ran = run("workspace", "list")
    assert (ran.code, ran.err) == (130, "interrupted: run the same command again\n")


def test_missing_settings_are_named(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(REDIS_VARIABLE, raising=False)
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    ran = run("workspace", "list")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "PENSTOCK_DATABASE_URL is not set" in ran.err


def test_bad_setting_is_named(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DEADLINE_S", "soon")
    ran = run("workspace", "list")
    assert ran.code == 2
    assert ran.err.startswith("error: PENSTOCK_DEADLINE_S: ")


def test_migrate_says_that_nothing_is_to_do(run, servers) -> None:
    assert run("migrate").out == "nothing to do: the database is up to date\n"
    assert run("migrate", "--check").code == 0
    assert orjson.loads(run("migrate", "--json").out) == {"applied": [], "pending": []}


def test_workspace_is_created_once(run, servers) -> None:
    name = new_name()
    assert (
        run("workspace", "create", name).out
        == f"created workspace {name} with 50,000 tokens a month\n"
    )
    again = run("workspace", "create", name, "--monthly-tokens", "unlimited")
    assert (again.code, "already exists" in again.err) == (1, True)
    listed = orjson.loads(run("workspace", "list", "--json").out)
    assert {row["workspace"]: row["monthly_tokens"] for row in listed}[name] == 50_000


def test_workspace_budget_may_be_unlimited_but_not_nonsense(run, servers) -> None:
    name = new_name()
    created = run("workspace", "create", name, "--monthly-tokens", "unlimited", "--json")
    assert orjson.loads(created.out) == {"workspace": name, "monthly_tokens": None}
    assert run("workspace", "create", new_name(), "--monthly-tokens", "lots").code == 2


def test_submit_prints_the_id_that_jobs_lists(run, servers) -> None:
    name = new_name()
    run("workspace", "create", name)
    given = ("submit", "-w", name, "-c", "classify", "--text", "x", "--label", "a", "--label", "b")
    job_id = run(*given, "--idempotency-key", "k").out.strip()
    assert run(*given, "--idempotency-key", "k").out.strip() == job_id
    (row,) = [orjson.loads(line) for line in run("jobs", "-w", name, "--json").out.splitlines()]
    assert (row["job_id"], row["state"], row["capability"]) == (job_id, "queued", "classify")
    assert job_id in run("jobs", "-w", name, "--state", "queued").out
    assert job_id not in run("jobs", "-w", name, "--state", "failed").out


def test_result_that_does_not_come_is_a_timeout(run, servers) -> None:
    name = new_name()
    run("workspace", "create", name)
    job_id = run("submit", "-w", name, "-c", "generate", "--prompt", "x").out.strip()
    ran = run("result", job_id, "--timeout-s", "0.05")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert job_id in ran.err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("submit", "-w", "nobody", "-c", "generate", "--prompt", "x"), "nobody"),
        (("submit", "-w", "acme", "-c", "classify", "--text", "x"), "labels"),
        (("submit", "-w", "acme", "-c", "summarise", "--text", "x"), "--type"),
        (("submit", "-w", "acme", "-c", "generate"), "prompt"),
        (("submit", "-w", "acme", "-c", "generate", "--file", "/none"), "/none"),
        (("result", "nonsense"), "nonsense"),
        (("jobs", "-w", "nobody"), "nobody"),
        (("jobs", "-w", "acme", "--before", "nonsense"), "nonsense"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    run, servers, args: tuple[str, ...], named: str
) -> None:
    ran = run(*args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("error: ") and named in ran.err


def test_unknown_job_is_exit_code_1(run, servers) -> None:
    assert run("result", str(uuid4())).code == 1


@pytest.mark.parametrize("missing", ["--labels-file", "--prompt-file", "--output", "input"])
def test_backfill_names_the_file_that_is_wrong_and_writes_nothing(
    run, servers, tmp_path: Path, missing: str
) -> None:
    name = new_name()
    run("workspace", "create", name)
    files = {
        "--labels-file": tmp_path / "labels.txt",
        "--prompt-file": tmp_path / "prompt.txt",
        "--output": tmp_path / "out" / "out.jsonl",
        "input": tmp_path / "in.jsonl",
    }
    (tmp_path / "out").mkdir()
    files["--labels-file"].write_text("a\nb\n")
    files["--prompt-file"].write_text("Mind {id}")
    files["input"].write_text('{"id": 1, "text": "x"}\n')
    files[missing] = tmp_path / "none" / "file"
    options = [
        str(part) for option, path in files.items() if option != "input" for part in (option, path)
    ]
    ran = run("backfill", str(files["input"]), "-w", name, "-c", "classify", *options)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert str(files[missing]) in ran.err
    assert list((tmp_path / "out").iterdir()) == []


def test_backfill_of_an_empty_file_is_done(run, servers, tmp_path: Path) -> None:
    name = new_name()
    run("workspace", "create", name)
    (tmp_path / "in.jsonl").touch()
    (tmp_path / "labels").write_text("a\n")
    given = ("-w", name, "-c", "classify", "--labels-file", str(tmp_path / "labels"), "--json")
    ran = run("backfill", str(tmp_path / "in.jsonl"), *given, "-o", str(tmp_path / "out.jsonl"))
    assert ran.code == 0
    assert orjson.loads(ran.out)["rows"] == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_backfill_exits_with_1_when_a_row_cannot_be_asked(run, servers, tmp_path: Path) -> None:
    name = new_name()
    run("workspace", "create", name)
    source, labels, out = tmp_path / "in.jsonl", tmp_path / "labels", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": " "}\n')
    labels.write_text("a\n")
    given = ("-w", name, "-c", "classify", "--labels-file", str(labels), "-o", str(out))
    ran = run("backfill", str(source), *given)
    assert ran.code == 1
    assert f"error: {source}:1: 'text' is empty\n" in ran.err
    assert "1 rows: 0 succeeded, 1 failed, 0 done before" in ran.out
