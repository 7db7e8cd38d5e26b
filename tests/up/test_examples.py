"""The examples as a user runs them: against `penstock up`, without any key."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .stands import CHECKOUT, Up, environment, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """The simulated providers of the default routing, on their way up."""
    paths = os.pathsep.join([environment(tmp_path)["PYTHONPATH"], str(CHECKOUT)])
    options = ("--providers", "fireworks,anthropic", "--compute", "examples.pipeline_hygiene")
    started = Up(tmp_path, *options, PYTHONPATH=paths)
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
    assert lines[:3] == [
        "read-notes: fireworks/deepseek-v3 (simulated)",
        "read-notes: fireworks/deepseek-v3 (simulated)",
        "judge: anthropic/claude-sonnet-4-20250514 (simulated)",
    ], done.stderr
    assert lines[-1].startswith("pipeline-hygiene: 4 calls, ")


async def test_webhook_tells_a_receiver_beside_the_stack(up: Up) -> None:
    await until(lambda: up.said("Ctrl-C stops"), told=up.text)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(CHECKOUT / "examples" / "webhook.py")],
        env=up.environment | up.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("job.succeeded of "), done.stderr
    assert done.stdout.splitlines()[-1] in {"delivery", "refund", "praise"}
