"""One service kept running: heard, restarted or reported, stopped."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from penstock_worker.up.plan import Service
from penstock_worker.up.services import RunningService, running, wait_until_ready

from .stands import environment, until


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was heard of services and said about them, in an environment without settings."""
    for name in ("PENSTOCK_REDIS_URL", "PENSTOCK_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return []


def run(service: Service, told: list[str]) -> AbstractAsyncContextManager[list[RunningService]]:
    return running(
        [service],
        hear=lambda name, line: told.append(line),
        note=lambda name, line: told.append(line),
        death_signal=signal.SIGKILL,
        forced=asyncio.Event(),
    )


async def test_service_with_wrong_settings_is_reported_and_not_restarted(told: list[str]) -> None:
    service = Service(name="steward", arguments=("steward",), variables={}, ready_event="started")
    async with run(service, told) as started:
        assert await wait_until_ready(started, within_s=30) == ["steward"]
    assert any("PENSTOCK_DATABASE_URL is not set" in line for line in told)
    assert [line for line in told if "not started again" in line]


async def test_service_that_crashes_is_started_again(told: list[str]) -> None:
    service = Service(
        name="simulator",
        arguments=("simulator", "--port", "0"),
        variables={},
        ready_event="at http",
    )
    async with run(service, told) as started:
        assert await wait_until_ready(started, within_s=30) == []
        first = started[0].pid
        assert first is not None
        started[0].send(signal.SIGKILL)
        await until(lambda: sum("at http" in line for line in told) == 2)
        assert started[0].pid != first
    assert any("was ended by SIGKILL; starting it again at once" in line for line in told)
