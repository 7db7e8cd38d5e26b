"""A skill's workers inside the test: COMPUTE functions, simulated providers, a steward."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from penstock_client import Settings
from penstock_worker.pipelines.compute_process import run_compute
from tests.conftest import in_background
from tests.pipelines import functions

MODULE = "tests.pipelines.functions"


@pytest.fixture
async def compute(empty: Settings, steward: None) -> AsyncIterator[None]:
    """A worker of the functions of these tests."""
    functions.CALLS.clear()
    functions.GATE.clear()
    worker = run_compute(empty, [MODULE], drain_s=0.1, grace_s=0.5, handle_signals=False)
    async with in_background(worker):
        yield
        functions.GATE.set()


@pytest.fixture
async def models(work_for: Callable[..., Awaitable[None]]) -> None:
    """Workers of the providers of the default routing."""
    for provider in ("fireworks", "anthropic"):
        await work_for(provider)
