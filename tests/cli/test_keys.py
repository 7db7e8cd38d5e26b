"""`penstock keys`: keys of workspaces and of workers, none of which is ever shown."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger
from penstock_client.sealing import decode_key, fingerprint, sealing_id
from penstock_worker.keyring import FILE_VARIABLE, KEYS_VARIABLE, Keyring, read_keys
from penstock_worker.resealing import KeyCare
from tests.cli.conftest import Run

KEY = "sk-own-71c0ffee55aa"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the private keys will be."""
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "private-keys"))
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "private-keys"


@pytest.fixture
def look(empty: Settings, servers: None, file: Path) -> Callable[[], None]:
    """`look()` does what workers do every few seconds."""

    async def once() -> None:
        ledger = await Ledger.connect(empty)
        ring = Keyring.load({FILE_VARIABLE: str(file)}, home=file.parent)
        await KeyCare(ledger, ring).look()
        await ledger.close()

    return lambda: asyncio.run(once())


@pytest.fixture
def ready(run: Run, look: Callable[[], None]) -> None:
    """The workspace `acme`, and a published key."""
    assert run("workspace", "create", "acme").code == 0
    assert run("keys", "generate").code == 0
    look()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key on stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))


def status(run: Run) -> list[dict[str, Any]]:
    return orjson.loads(run("keys", "status", "--json").out)


@pytest.mark.parametrize(
    "command", ["set", "list", "test", "remove", "status", "forget", "generate", "rotate"]
)
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    last = " ".join(run("keys", command, "--help").out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock keys {command}")


def test_set_reads_the_key_from_stdin_and_list_shows_its_fingerprint(
    run: Run, ready: None, typed: None
) -> None:
    stored = run("keys", "set", "acme", "openai", "--no-validate")
    (row,) = orjson.loads(run("keys", "list", "acme", "--json").out)
    shown = run("keys", "list", "acme").out
    assert stored.code == 0 and (row["provider"], row["works"]) == ("openai", None)
    assert row["fingerprint"] == fingerprint(KEY) and "not tested" in shown
    assert KEY not in stored.out + stored.err + shown + str(row)


def test_set_reads_the_key_from_a_variable(
    run: Run, ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)
    given = ("keys", "set", "acme", "openai", "--from-env", "ACME_KEY", "--no-validate", "--json")
    assert orjson.loads(run(*given).out)["fingerprint"] == fingerprint(KEY)


def test_set_takes_no_key_as_an_argument(run: Run, ready: None) -> None:
    assert run("keys", "set", "acme", "openai", KEY).code == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("acme", "nobody"), "'nobody' is not in the catalogue"),
        (("nobody", "openai"), "workspace: 'nobody'"),
    ],
)
def test_set_names_what_it_does_not_know(
    run: Run, ready: None, typed: None, names: tuple[str, str], told: str
) -> None:
    ran = run("keys", "set", *names, "--no-validate")
    assert ran.code == 2 and told in ran.err


def test_set_without_a_worker_says_that_it_could_not_be_tested(
    run: Run, ready: None, typed: None
) -> None:
    ran = run("keys", "set", "acme", "openai", "--timeout-s", "1")
    assert ran.code == 1 and "could not be tested" in ran.err and KEY not in ran.err
    assert orjson.loads(run("keys", "list", "acme", "--json").out) == []


def test_set_before_anything_is_published_says_what_to_do(
    run: Run, empty: Settings, servers: None, typed: None
) -> None:
    run("workspace", "create", "acme")
    ran = run("keys", "set", "acme", "openai")
    assert ran.code == 2 and "penstock keys generate" in ran.err


def test_remove_tells_when_there_is_nothing_to_remove(run: Run, ready: None, typed: None) -> None:
    run("keys", "set", "acme", "openai", "--no-validate")
    assert [run("keys", "remove", "acme", "openai").code for _ in range(2)] == [0, 1]


def test_generate_makes_the_file_once_and_shows_the_public_half(run: Run, file: Path) -> None:
    made = orjson.loads(run("keys", "generate", "--json").out)
    again = run("keys", "generate", "--show-public")
    (key,) = read_keys(file)
    assert made["created"] and made["sealing_key"] == key.id
    assert f"PENSTOCK_PUBLIC_KEY={made['public_key']}" in again.out and key.text not in again.out
    assert sealing_id(decode_key(made["public_key"], variable="")) == key.id


def test_rotate_puts_a_new_key_in_front_and_prune_waits_until_the_old_is_free(
    run: Run, ready: None, typed: None, look: Callable[[], None], file: Path
) -> None:
    run("keys", "set", "acme", "openai", "--no-validate")
    (old,) = read_keys(file)
    rotated = run("keys", "rotate")
    too_early = run("keys", "rotate", "--prune")
    new, kept = read_keys(file)
    look()
    pruned = run("keys", "rotate", "--prune", "--json")
    assert rotated.code == 0 and kept.id == old.id
    assert too_early.code == 1 and "1 to " + old.id in too_early.err
    assert orjson.loads(pruned.out)["removed"] == [old.id]
    assert [key.id for key in read_keys(file)] == [new.id]
    assert [(row["sealing_key"], row["sealed"]) for row in status(run)] == [(new.id, 1)]


def test_rotate_says_when_the_keys_stand_in_the_environment(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = run("keys", "generate", "--stdout").out.strip()
    monkeypatch.setenv(KEYS_VARIABLE, key)
    ran = run("keys", "rotate")
    assert ran.code == 2 and KEYS_VARIABLE in ran.err and key not in ran.err
    assert not file.exists()


def test_forget_takes_a_lost_key_and_what_is_sealed_to_it(
    run: Run, ready: None, typed: None
) -> None:
    run("keys", "set", "acme", "openai", "--no-validate")
    lost = status(run)[0]["sealing_key"]
    ran = run("keys", "forget", lost, "--yes")
    assert ran.code == 0 and "1 keys" in ran.out
    assert (status(run), run("keys", "list", "acme", "--json").out.strip()) == ([], "[]")
