"""A skill on the platform's keys, then with a key of the workspace's own and another routing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from examples.pipeline_hygiene import DEALS, HYGIENE, SKILL, pipeline_hygiene
from penstock_client import Penstock, RunResult, Settings, Skill
from penstock_client.sealing import fingerprint
from penstock_worker.compose import run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import FILE_VARIABLE, ensure_key_file
from penstock_worker.pipelines.compute_process import run_compute
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background

YAML = Path(__file__).parents[2] / "examples" / "pipeline_hygiene.yaml"
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
    """Workers of three providers on the platform's keys, and of the COMPUTE functions."""
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
        compute = run_compute(empty, ["examples.pipeline_hygiene"], handle_signals=False)
        await running.enter_async_context(in_background(compute))
        yield


async def run_skill(penstock: Penstock) -> RunResult:
    return await pipeline_hygiene(penstock, "acme", DEALS, today=date(2026, 11, 21))


async def models(penstock: Penstock, run: RunResult) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in DEFAULTS:
        for item in await penstock.runs.items(run.run_id, step):
            found[step] = f"{item.provider}/{item.model}"
    return found


async def credential_of(penstock: Penstock, run: RunResult, step: str) -> Any:
    (item,) = await penstock.runs.items(run.run_id, step)
    query = "select credential from penstock.attempts where job_id = $1"
    return await penstock.ledger.pool.fetchval(query, item.job_id)


async def test_skill_follows_the_workspace_to_another_model_and_its_own_key(
    penstock: Penstock, workers: None
) -> None:
    first = await run_skill(penstock)
    assert await models(penstock, first) == DEFAULTS
    assert await credential_of(penstock, first, "judge") == "platform"

    async with asyncio.timeout(10):
        while not await penstock.keys.status():
            await asyncio.sleep(0.02)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await penstock.workspaces.set("acme", routing={"reason": "openai/gpt-4o"})
    second = await run_skill(penstock)

    assert await models(penstock, second) == {**DEFAULTS, "judge": "openai/gpt-4o"}
    assert await credential_of(penstock, second, "judge") == fingerprint(OWN_KEY)
    assert set((await penstock.workspaces.read("acme")).own_keys) == {"openai"}
    (skill,) = await penstock.usage.summary("acme", by=("skill",), where={"skill": SKILL})
    assert (skill.calls, skill.succeeded) == (8, 8)  # two deals are quiet
    assert skill.input_tokens == first.usage.input_tokens + second.usage.input_tokens
    steps = await penstock.usage.summary("acme", by=("step", "model"), where={"skill": SKILL})
    reasoned = {row.group["model"]: row.calls for row in steps if row.group["step"] == "judge"}
    assert reasoned == {"claude-sonnet-4-20250514": 1, "gpt-4o": 1}


def test_yaml_declares_the_same_steps() -> None:
    declared = Skill.load(YAML)
    assert [(step.name, step.type) for step in declared.steps] == [
        (step.name, step.type) for step in HYGIENE.steps
    ]
    assert declared.output == HYGIENE.output
