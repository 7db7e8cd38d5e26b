"""`penstock up` as a user meets it: what it prints, what it survives, what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_worker.up.command import _commands_elsewhere

from .stands import CHECKOUT, Up, descendants, runs, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

READY = r"Penstock is ready"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """One worker, one simulator, a steward and a gateway, on their way up."""
    started = Up(tmp_path, "--providers", "fireworks")
    yield started
    started.kill()


async def ready(up: Up) -> None:
    await until(lambda: up.said(READY) and up.said("Ctrl-C stops"), told=up.text)


def worker_of(up: Up) -> int:
    found = [pid for pid, command in descendants(up.pid).items() if "worker --provider" in command]
    return found[0] if found else 0


async def test_up_serves_another_process_until_ctrl_c(up: Up) -> None:
    await ready(up)
    assert set(up.variables()) == {"PENSTOCK_REDIS_URL", "PENSTOCK_DATABASE_URL"}
    assert "simulated" in up.text
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(CHECKOUT / "examples" / "quickstart.py")],
        env=up.environment | up.variables(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.startswith("delivery deepseek-v3"), done.stderr
    children = descendants(up.pid)
    assert len(children) >= 6
    up.send(signal.SIGINT)
    assert up.end() == 0
    assert not [command for pid, command in children.items() if runs(pid)]
    assert "Traceback" not in up.text


async def test_up_restarts_a_killed_worker_and_leaves_nothing_when_killed(up: Up) -> None:
    await ready(up)
    first = worker_of(up)
    os.kill(first, signal.SIGKILL)
    await until(lambda: worker_of(up) not in (0, first), told=up.text)
    await until(lambda: len(re.findall("worker.started", up.text)) == 2, told=up.text)
    children = descendants(up.pid)
    up.send(signal.SIGKILL)
    await until(lambda: not [pid for pid in children if runs(pid)], told=str(children))


def test_up_names_the_missing_key(tmp_path: Path) -> None:
    up = Up(tmp_path, "--providers", "mistral", OPENAI_API_KEY="sk-test")
    assert up.end() == 2
    assert "MISTRAL_API_KEY" in up.text


def test_up_refuses_one_server_of_two(tmp_path: Path) -> None:
    up = Up(tmp_path, PENSTOCK_REDIS_URL="redis://127.0.0.1:1/0")
    assert up.end() == 2
    assert "PENSTOCK_DATABASE_URL" in up.text


def test_port_or_free_avoids_a_busy_port() -> None:
    from penstock_worker.up.servers import port_or_free

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert port_or_free(port) not in (0, port)
    assert port_or_free(port) == port


def test_up_says_where_its_commands_are_unless_the_shell_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "penstock").write_text("#!/bin/sh\n")
    (tmp_path / "penstock").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert _commands_elsewhere() == str(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _commands_elsewhere() is None
