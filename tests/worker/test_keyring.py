"""The private keys of workers: where they come from, how a changed file is taken up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from penstock_client.sealing import seal
from penstock_schemas.errors import ConfigurationError
from penstock_worker.credentials import environment
from penstock_worker.keyring import (
    FILE_NAME,
    FILE_VARIABLE,
    KEYS_VARIABLE,
    Keyring,
    PrivateKey,
    ensure_key_file,
    read_keys,
    write_keys,
)

OLD, NEW = PrivateKey.new(), PrivateKey.new()


def opened(ring: Keyring, pair: PrivateKey) -> str:
    blob = seal("sk-1", pair.public, workspace="acme", provider="openai")
    return ring.open(blob, workspace="acme", provider="openai")


def test_keys_come_from_the_variable_newest_first(tmp_path: Path) -> None:
    ring = Keyring.load({KEYS_VARIABLE: f"{NEW.text}, {OLD.text}"}, home=tmp_path)
    assert ring.ids == (NEW.id, OLD.id)
    assert (opened(ring, NEW), opened(ring, OLD)) == ("sk-1", "sk-1")


def test_the_variable_goes_before_the_file(tmp_path: Path) -> None:
    write_keys(tmp_path / FILE_NAME, [OLD])
    assert Keyring.load({KEYS_VARIABLE: NEW.text}, home=tmp_path).ids == (NEW.id,)


def test_the_environment_goes_before_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{KEYS_VARIABLE}={OLD.text}\n")
    stored = environment({}, folder=tmp_path)
    given = environment({KEYS_VARIABLE: NEW.text}, folder=tmp_path)
    ids = [Keyring.load(variables, home=tmp_path).ids for variables in (stored, given)]
    assert ids == [(OLD.id,), (NEW.id,)]


def test_the_file_stands_in_the_home_unless_another_is_named(tmp_path: Path) -> None:
    write_keys(tmp_path / FILE_NAME, [OLD])
    write_keys(tmp_path / "other", [NEW])
    usual = Keyring.load({}, home=tmp_path)
    named = Keyring.load({FILE_VARIABLE: str(tmp_path / "other")}, home=tmp_path)
    assert (usual.ids, named.ids) == ((OLD.id,), (NEW.id,))


def test_without_variable_and_file_there_are_no_keys(tmp_path: Path) -> None:
    ring = Keyring.load({}, home=tmp_path)
    assert not ring and ring.newest is None


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=FILE_VARIABLE):
        Keyring.load({FILE_VARIABLE: str(tmp_path / "none")}, home=tmp_path)


def test_a_key_that_is_none_is_named_by_its_line_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(f"# newest first\n{NEW.text}\nnonsense\n")
    with pytest.raises(ConfigurationError, match="line 3") as told:
        Keyring.load({}, home=tmp_path)
    assert "nonsense" not in str(told.value)


def test_a_changed_file_is_taken_up_once(tmp_path: Path) -> None:
    write_keys(tmp_path / FILE_NAME, [OLD])
    ring = Keyring.load({}, home=tmp_path)
    write_keys(tmp_path / FILE_NAME, [NEW, OLD])
    changed = [ring.refresh(), ring.refresh()]
    assert (changed, ring.ids) == ([True, False], (NEW.id, OLD.id))


def test_a_file_that_appears_is_taken_up(tmp_path: Path) -> None:
    ring = Keyring.load({}, home=tmp_path)
    write_keys(tmp_path / FILE_NAME, [NEW])
    assert ring.refresh() and ring.ids == (NEW.id,)


@pytest.mark.parametrize("text", ["", "nonsense\n", None])
def test_a_file_that_is_broken_or_gone_leaves_the_keys(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / FILE_NAME
    write_keys(file, [OLD])
    ring = Keyring.load({}, home=tmp_path)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert not ring.refresh() and ring.ids == (OLD.id,)


def test_a_key_that_is_taken_out_opens_nothing_more(tmp_path: Path) -> None:
    write_keys(tmp_path / FILE_NAME, [NEW, OLD])
    ring = Keyring.load({}, home=tmp_path)
    blob = seal("sk-1", OLD.public, workspace="acme", provider="openai")
    ring.open(blob, workspace="acme", provider="openai")
    write_keys(tmp_path / FILE_NAME, [NEW])
    ring.refresh()
    with pytest.raises(Exception, match=OLD.id):
        ring.open(blob, workspace="acme", provider="openai")


def test_no_key_shows_in_a_repr() -> None:
    ring = Keyring([NEW])
    opened(ring, NEW)
    shown = repr(ring) + repr(NEW) + str(vars(ring).get("_keys"))
    assert NEW.text not in shown and "sk-1" not in shown


def test_the_file_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "home" / FILE_NAME
    made = [ensure_key_file(file), ensure_key_file(file)]
    assert made == [True, False] and len(read_keys(file)) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
