"""What each distribution declares against what its code needs: imports, versions, data files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("schemas", "client", "worker", "gateway")

# Where the name to import is not the name to install.
DISTRIBUTION_OF = {
    "dotenv": "python-dotenv",
    "json_repair": "json-repair",
    "opentelemetry": "opentelemetry-api",
    "pydantic_core": "pydantic",
    "starlette": "fastapi",
    "uuid_utils": "uuid-utils",
    "yaml": "pyyaml",
}


def project_of(name: str) -> dict[str, Any]:
    with (ROOT / name / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared_by(name: str) -> set[str]:
    """What it always needs."""
    return names_of(project_of(name)["dependencies"])


def extras_of(name: str) -> set[str]:
    """What its extras add."""
    extras = project_of(name).get("optional-dependencies", {}).values()
    return names_of([each for extra in extras for each in extra])


def names_of(dependencies: list[str]) -> set[str]:
    return {normal(re.split(r"[\s\[<>=!~;]", text, maxsplit=1)[0]) for text in dependencies}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def imports_of(name: str) -> dict[str, Path]:
    """Every distribution the package imports, with one of the files that does."""
    found: dict[str, Path] = {}
    for path in (ROOT / name / f"penstock_{name}").rglob("*.py"):
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top != f"penstock_{name}":
                found[normal(DISTRIBUTION_OF.get(top, top))] = path.relative_to(ROOT)
    return found


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", NAMES)
def test_distribution_declares_what_it_imports(name: str) -> None:
    declared = declared_by(name) | extras_of(name)
    undeclared = {k: v for k, v in imports_of(name).items() if k not in declared}
    assert undeclared == {}


def test_distributions_share_one_version() -> None:
    assert len({project_of(name)["version"] for name in NAMES}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_distribution_pins_its_siblings_exactly(name: str) -> None:
    siblings = [text for text in project_of(name)["dependencies"] if text.startswith("penstock")]
    assert all(text.endswith(f"=={project_of(name)['version']}") for text in siblings)
    assert bool(siblings) == (name != "schemas")


def test_constraints_pin_every_declared_dependency() -> None:
    pinned = {normal(line.partition("==")[0]) for line in pins()}
    development = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    wanted = {normal(line) for line in development if line and not line.startswith("#")}
    wanted |= {entry for name in NAMES for entry in declared_by(name) if "penstock" not in entry}
    assert wanted - pinned == set()


def test_constraints_hold_names_and_versions_only() -> None:
    pattern = re.compile(r"[a-z0-9-]+==[0-9][A-Za-z0-9.+]*(; [a-z_]+ .+)?")
    assert [line for line in pins() if not pattern.fullmatch(line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_wheel_holds_every_file_of_its_package(name: str, tmp_path: Path) -> None:
    held = set(zipfile.ZipFile(build(name, "wheel", tmp_path)).namelist())
    folder = ROOT / name
    files = (path for path in (folder / f"penstock_{name}").rglob("*") if path.is_file())
    wanted = {path.relative_to(folder).as_posix() for path in files if path.suffix != ".pyc"}
    assert f"penstock_{name}/py.typed" in wanted
    assert wanted - held == set()


@pytest.mark.parametrize("name", NAMES)
def test_wheel_carries_the_licence_and_its_entry_points(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(name, "wheel", tmp_path)) as wheel:
        info = f"penstock_{name}-{project_of(name)['version']}.dist-info"
        licence = wheel.read(f"{info}/licenses/LICENSE").decode()
        assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
        assert (f"{info}/entry_points.txt" in wheel.namelist()) == (name != "schemas")


@pytest.mark.parametrize("name", NAMES)
def test_source_archive_holds_its_package_and_the_licence(name: str, tmp_path: Path) -> None:
    folder = f"penstock_{name}-{project_of(name)['version']}"
    with tarfile.open(build(name, "sdist", tmp_path)) as archive:
        licence = archive.extractfile(f"{folder}/LICENSE")
        assert licence is not None
        assert licence.read() == (ROOT / "LICENSE").read_bytes()
        assert f"{folder}/penstock_{name}/py.typed" in archive.getnames()


def build(name: str, target: str, folder: Path) -> Path:
    """Builds with the backend that is installed here, so nothing is downloaded."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT / name, check=True, capture_output=True, text=True)
    (built,) = folder.iterdir()
    return built
