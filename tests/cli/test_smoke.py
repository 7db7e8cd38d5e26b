"""`penstock smoke`, against simulated providers in a thread of their own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from penstock_client.settings import CONFIG_VARIABLE, DATABASE_VARIABLE
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.cli.conftest import Run


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Simulator]:
    """Simulated providers that serve while the command runs its own event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=10)

    simulator: Simulator = there(Simulator().__aenter__())
    monkeypatch.chdir(tmp_path)
    for name in (DATABASE_VARIABLE, CONFIG_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("PENSTOCK_OPENAI_BASE_URL", simulator.base_url("openai"))
    yield simulator
    there(simulator.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()


@pytest.mark.usefixtures("simulated")
def test_smoke_says_that_a_key_works(run: Run) -> None:
    ran = run("smoke", "--provider", "openai")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("ok: openai/")
    assert "(simulated)" in ran.out


def test_smoke_fails_for_a_key_that_does_not_work(run: Run, simulated: Simulator) -> None:
    simulated.faults.add(Fault(kind="status", status=401))
    ran = run("smoke", "--provider", "openai", "--model", "gpt-4o")
    assert ran.code == 1
    assert ran.out.startswith("failed: openai/gpt-4o (simulated): authentication: ")


@pytest.mark.usefixtures("simulated")
def test_smoke_can_print_json(run: Run) -> None:
    told = json.loads(run("smoke", "--provider", "openai", "--json").out)
    assert (told["ok"], told["kind"], told["simulated"]) == (True, None, True)


@pytest.mark.usefixtures("simulated")
def test_smoke_of_an_unknown_provider_is_a_mistake(run: Run) -> None:
    ran = run("smoke", "--provider", "nobody")
    assert ran.code == 2
    assert "nobody" in ran.err
