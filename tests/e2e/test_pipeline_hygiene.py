"""A skill on the platform's keys, then with a key of the workspace's own and another routing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from penstock_client import Penstock, Result, Settings
from penstock_client.sealing import fingerprint
from penstock_worker.compose import run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import FILE_VARIABLE, ensure_key_file
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background

EXAMPLE = run_path(str(Path(__file__).parents[2] / "examples" / "pipeline_hygiene.py"))
SKILL = EXAMPLE["SKILL"]
OWN_KEY = "sk-own-71c0ffee55aa"
DEFAULTS = {
    "read-notes": "fireworks/deepseek-v3",
    "judge": "anthropic/claude-sonnet-4-20250514",
    "write": "anthropic/claude-sonnet-4-20250514",
}


@pytest.fixture
async def workers(
    empty: Settings, simulator: Simulator, steward: None, tmp_path: Path
) -> AsyncIterator[None]:
    """Workers of three providers on the platform's keys."""
    file = tmp_path / "private-keys"
    ensure_key_file(file)
    keys = {"FIREWORKS_API_KEY": "fw-p", "ANTHROPIC_API_KEY": "sk-p", "OPENAI_API_KEY": "sk-p"}
    async with AsyncExitStack() as running:
        for provider in ("fireworks", "anthropic", "openai"):
            address = {base_url_variable(provider): simulator.base_url(provider)}
            given = {**keys, **address, FILE_VARIABLE: str(file)}
            worker = run_worker(
                provider, empty, given, concurrency=5, drain_s=5, handle_signals=False
            )
            await running.enter_async_context(in_background(worker))
        yield


async def run_skill(penstock: Penstock) -> dict[str, Result]:
    today = date(2026, 11, 21)
    return await EXAMPLE["pipeline_hygiene"](penstock, "acme", EXAMPLE["DEALS"], today=today)


def models(results: dict[str, Result]) -> dict[str, str]:
    return {step: f"{result.provider}/{result.model}" for step, result in results.items()}


async def credential_of(penstock: Penstock, result: Result) -> Any:
    query = "select credential from penstock.attempts where job_id = $1"
    return await penstock.ledger.pool.fetchval(query, result.job_id)


async def test_skill_follows_the_workspace_to_another_model_and_its_own_key(
    penstock: Penstock, workers: None
) -> None:
    first = await run_skill(penstock)
    assert models(first) == DEFAULTS
    assert await credential_of(penstock, first["judge"]) == "platform"

    async with asyncio.timeout(10):
        while not await penstock.keys.status():
            await asyncio.sleep(0.02)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await penstock.workspaces.set("acme", routing={"reason": "openai/gpt-4o"})
    second = await run_skill(penstock)

    assert models(second) == {**DEFAULTS, "judge": "openai/gpt-4o"}
    assert await credential_of(penstock, second["judge"]) == fingerprint(OWN_KEY)
    assert set((await penstock.workspaces.read("acme")).own_keys) == {"openai"}
    (skill,) = await penstock.usage.summary("acme", by=("skill",), where={"skill": SKILL})
    assert (skill.calls, skill.succeeded) == (6, 6)
    total = sum(r.usage.input_tokens for run in (first, second) for r in run.values())
    assert skill.input_tokens == total
    steps = await penstock.usage.summary("acme", by=("step", "model"), where={"skill": SKILL})
    reasoned = {row.group["model"]: row.calls for row in steps if row.group["step"] == "judge"}
    assert reasoned == {"claude-sonnet-4-20250514": 1, "gpt-4o": 1}
