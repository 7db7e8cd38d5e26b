"""Providers that only the configuration file knows, or knows otherwise: called as it says."""

from __future__ import annotations

from pathlib import Path

from penstock_client import Generate, Penstock, Settings
from penstock_schemas.status import JobState
from penstock_worker.compose import run_steward, run_worker
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background

FILE = """
[defaults]
max_attempts = 1

[providers.azure]
base_url = "{url}/azure/openai/deployments/{{model}}?api-version=2024-10-21"
default_model = "my-gpt"

[providers.acme]
base_url = "{url}/acme/v1"
default_model = "org/big"

[[models]]
provider = "acme"
name = "org/big"
input_usd_per_mtok = "1000000"
output_usd_per_mtok = "0"
"""


async def test_configured_providers_are_called_where_the_file_says(
    empty: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE.format(url=simulator.url), "utf-8")
    settings = empty.model_copy(update={"config": path})
    keys = {"ACME_API_KEY": "sk-test", "AZURE_OPENAI_API_KEY": "sk-test"}
    workers = {"concurrency": 2, "drain_s": 5, "handle_signals": False}
    async with (
        in_background(run_steward(settings, handle_signals=False)),
        in_background(run_worker("acme", settings, keys, **workers)),
        in_background(run_worker("azure", settings, keys, **workers)),
        Penstock.connect(settings=settings) as penstock,
    ):
        await penstock.workspaces.create("acme", monthly_tokens=None)
        jobs = [Generate(workspace="acme", prompt="hi", model=name) for name in ("acme", "azure")]
        own, deployed = [await penstock.call(job, timeout_s=20) for job in jobs]
    assert (own.provider, own.model, own.status) == ("acme", "org/big", JobState.SUCCEEDED)
    assert own.cost_usd == own.usage.input_tokens
    assert (deployed.provider, deployed.model) == ("azure", "my-gpt")
    calls = {name: seen["calls"] for name, seen in simulator.stats()["by_provider"].items()}
    assert calls == {"acme": 1, "azure": 1}
