"""The scripts from a bare checkout: what they say when there is no Python that will do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("dirname", "sed", "cat", "cksum", "mkdir", "rm")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what scripts/install reads, with a `bin` folder that is its whole PATH."""
    copy = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for name in ("constraints.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("schemas", "client", "worker", "gateway"):
        (copy / name).mkdir()
        shutil.copy(ROOT / name / "pyproject.toml", copy / name / "pyproject.toml")
    (copy / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (copy / "bin" / tool).symlink_to(found)
    return copy


def pretend_python(checkout: Path, *, version: str, has_ensurepip: bool) -> None:
    """A `python3` that answers the script's questions about itself as the given one would."""
    minor = int(version.split(".")[1])
    answers = f"""#!/bin/sh
case $2 in
    *print*) echo {version} ;;
    *'< (3, 11)'*) exit {int(minor < 11)} ;;
    *'>= (3, 15)'*) exit {int(minor >= 15)} ;;
    *ensurepip*) exit {int(not has_ensurepip)} ;;
esac
"""
    path = checkout / "bin" / "python3"
    path.write_text(answers, encoding="utf-8")
    path.chmod(0o755)


def run_install(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    command = ["/bin/sh", str(checkout / "scripts" / "install"), *arguments]
    return subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, check=False
    )


def test_install_without_python_says_what_it_needs(checkout: Path) -> None:
    done = run_install(checkout)
    assert done.returncode == 1
    assert "needs Python 3.11 to 3.14" in done.stderr


@pytest.mark.parametrize("version", ["3.9.18", "3.15.0"])
def test_install_names_the_version_it_refuses(checkout: Path, version: str) -> None:
    pretend_python(checkout, version=version, has_ensurepip=True)
    done = run_install(checkout)
    assert done.returncode == 1
    assert f"python3 is {version}" in done.stderr


def test_install_without_ensurepip_names_the_debian_package(checkout: Path) -> None:
    pretend_python(checkout, version="3.12.4", has_ensurepip=False)
    done = run_install(checkout)
    assert done.returncode == 1
    assert "apt install python3-venv  (or python3.12-venv)" in done.stderr
    assert not (checkout / ".venv").exists()


def test_install_leaves_a_foreign_venv_alone(checkout: Path) -> None:
    (checkout / "bin" / "python3").symlink_to(sys.executable)
    (checkout / ".venv").mkdir()
    done = run_install(checkout)
    assert done.returncode == 1
    assert "was not made by this script" in done.stderr
    assert (checkout / ".venv").exists()


def test_install_rejects_an_unknown_argument(checkout: Path) -> None:
    done = run_install(checkout, "--frobnicate")
    assert done.returncode == 2
    assert "--frobnicate" in done.stderr
