"""The examples as a user runs them: against `penstock up`, without any key."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .stands import CHECKOUT, Up, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """The simulated providers of the default routing, on their way up."""
    started = Up(tmp_path, "--providers", "fireworks,anthropic")
    yield started
    started.kill()


async def test_pipeline_hygiene_runs_without_keys(up: Up) -> None:
    await until(lambda: up.said("Ctrl-C stops"), told=up.text)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(CHECKOUT / "examples" / "pipeline_hygiene.py")],
        env=up.environment | up.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "read-notes: fireworks/deepseek-v3 (simulated)",
        "judge: anthropic/claude-sonnet-4-20250514 (simulated)",
    ], done.stderr
    assert lines[-1].startswith("pipeline-hygiene: 3 calls, ")
