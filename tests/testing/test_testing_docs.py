"""The tests in docs/testing.md pass as they stand, in a project of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_docs_pass_as_a_users_project(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    for number, snippet in enumerate(SNIPPETS):
        named = re.match(r"# (\w+\.py)\n", snippet)
        (tmp_path / (named[1] if named else f"test_snippet_{number}.py")).write_text(snippet)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_fixture_is_not_there_unasked(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(fake_penstock): pass\n")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "fixture 'fake_penstock' not found" in done.stdout
