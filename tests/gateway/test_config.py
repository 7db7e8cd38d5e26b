"""A workspace's LLM configuration over HTTP, its keys and its named configurations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from penstock_client import Penstock, Settings
from penstock_worker.compose import run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import FILE_VARIABLE, ensure_key_file
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background
from tests.gateway.conftest import Api

CONFIG = "/api/workspaces/acme/llm/config"
CONFIGS = "/api/v1/llm/configs"
KEY = "sk-own-71c0ffee55aa"
BAD_KEY = "sk-bad-1234567890abcdef"


@pytest.fixture
async def openai(
    penstock: Penstock, empty: Settings, simulator: Simulator, steward: None, tmp_path: Path
) -> AsyncIterator[None]:
    """A worker of a simulated OpenAI, which has published a key to seal to."""
    file = tmp_path / "private-keys"
    ensure_key_file(file)
    variables = {
        base_url_variable("openai"): simulator.base_url("openai"),
        "OPENAI_API_KEY": "sk-platform",
        FILE_VARIABLE: str(file),
    }
    worker = run_worker("openai", empty, variables, concurrency=5, drain_s=2, handle_signals=False)
    async with in_background(worker):
        async with asyncio.timeout(10):
            while not await penstock.keys.status():
                await asyncio.sleep(0.02)
        yield


async def connected(api: Api) -> set[str]:
    """The providers that `acme` has a key of its own for."""
    shown = (await api.acme.get(CONFIG)).json()
    return {row["provider"] for row in shown["providers"] if row["connected"]}


async def test_config_of_a_new_workspace_has_the_default_routing(api: Api) -> None:
    shown = (await api.acme.get(CONFIG)).json()
    assert shown["routing"]["classify"] == "fireworks/deepseek-v3"
    assert {row["connected"] for row in shown["providers"]} == {False}


async def test_config_sets_routing_and_leaves_the_rest(api: Api) -> None:
    answer = await api.acme.post(CONFIG, json={"routing": {"reason": "openai/gpt-4o"}})
    assert answer.json()["routing"]["reason"] == "openai/gpt-4o"
    assert answer.json()["routing"]["extract"] == "fireworks/deepseek-v3"


async def test_config_sets_budgets_and_switches_providers(api: Api) -> None:
    body = {
        "default_token_budget": 1000,
        "budget_mode": "hard",
        "providers": {"openai": {"enabled": False}},
    }
    shown = (await api.acme.post(CONFIG, json=body)).json()
    enabled = {row["provider"]: row["enabled"] for row in shown["providers"]}
    assert (shown["monthly_tokens"], shown["budget_mode"]) == (1000, "hard")
    assert (enabled["openai"], enabled["anthropic"]) == (False, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"routing": {"reason": "nobody/x"}}, "routing.reason"),
        ({"providers": {"nobody": {"enabled": True}}}, "providers.nobody"),
        ({"weight": -1}, "weight"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_config_names_the_field_that_is_wrong(
    api: Api, body: dict[str, object], field: str
) -> None:
    answer = await api.acme.post(CONFIG, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_config_stores_a_key_that_works(api: Api, openai: None) -> None:
    answer = await api.acme.post(CONFIG, json={"providers": {"openai": {"api_key": KEY}}})
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    assert await connected(api) == {"openai"}


async def test_config_takes_a_key_out(api: Api, openai: None) -> None:
    await api.acme.post(CONFIG, json={"providers": {"openai": KEY}})
    await api.acme.post(CONFIG, json={"providers": {"openai": {"api_key": None}}})
    assert await connected(api) == set()


async def test_config_with_a_refused_key_changes_nothing(
    api: Api, openai: None, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", status=401, key=BAD_KEY))
    body = {"providers": {"openai": BAD_KEY}, "routing": {"reason": "openai/gpt-4o"}}
    answer = await api.acme.post(CONFIG, json=body)
    assert (answer.status_code, BAD_KEY in answer.text) == (422, False)
    assert answer.json()["errors"][0]["field"] == "providers.openai.api_key"
    shown = (await api.acme.get(CONFIG)).json()
    assert shown["routing"]["reason"] != "openai/gpt-4o"
    assert await connected(api) == set()


async def test_config_keys_need_their_scope(api: Api, penstock: Penstock) -> None:
    made = await penstock.tokens.create("c", workspace="acme", scopes=["config:write"])
    headers = {"Authorization": f"Bearer {made.secret}"}
    answer = await api.nobody.post(CONFIG, json={"providers": {"openai": KEY}}, headers=headers)
    assert answer.status_code == 403


async def test_key_is_set_tested_and_removed(api: Api, openai: None) -> None:
    path = "/api/v1/llm/providers/openai/key"
    answer = await api.acme.post(path, json={"api_key": KEY})
    assert (answer.json()["success"], answer.json()["provider"]) == (True, "openai")
    assert (await api.acme.post(f"{path}/test")).json()["success"] is True
    assert (await api.acme.delete(path)).status_code == 204
    assert (await api.acme.delete(path)).status_code == 404


async def test_key_without_anything_to_seal_to_is_refused(api: Api) -> None:
    answer = await api.acme.post("/api/v1/llm/providers/openai/key", json={"api_key": KEY})
    assert answer.status_code == 422
    assert KEY not in answer.text


async def test_key_of_an_unknown_provider_finds_none(api: Api) -> None:
    answer = await api.acme.post("/api/v1/llm/providers/nobody/key", json={"api_key": KEY})
    assert answer.status_code == 404


async def test_key_in_a_wrong_place_is_not_quoted(api: Api) -> None:
    answers = [
        await api.acme.post(CONFIG, json={"providers": {"openai": {"api_key": [KEY]}}}),
        await api.acme.post(CONFIG, json={"providers": {"openai": {"key": KEY}}}),
        await api.acme.post("/api/v1/llm/providers/openai/key", json={"api_key": {"x": KEY}}),
        await api.acme.post("/api/v1/llm/providers/openai/key", json=KEY),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert not any(KEY in answer.text for answer in answers)


async def test_status_says_which_providers_are_configured(api: Api, openai: None) -> None:
    await api.acme.post("/api/v1/llm/providers/openai/key", json={"api_key": KEY})
    rows = (await api.acme.get("/api/v1/llm/providers/status")).json()["providers"]
    by_name = {row["name"]: row for row in rows}
    assert (by_name["openai"]["configured"], by_name["mistral"]["configured"]) == (True, False)
    assert by_name["openai"]["own_key"]
    assert by_name["anthropic"]["is_openai_compatible"] is False
    assert by_name["openai"]["display_name"] == "OpenAI"


async def test_configurations_are_made_changed_listed_and_removed(api: Api) -> None:
    body = {"name": "nightly", "primary": "openai/gpt-4o-mini", "daily_usd": "5"}
    made = await api.acme.post(CONFIGS, json=body)
    assert (made.status_code, made.json()["temperature"], made.json()["max_tokens"]) == (
        201,
        0.7,
        4096,
    )
    changed = await api.acme.put(f"{CONFIGS}/nightly", json={"fallback": "openai/gpt-4o"})
    assert (changed.json()["primary"], changed.json()["fallback"]) == (
        "openai/gpt-4o-mini",
        "openai/gpt-4o",
    )
    listed = (await api.acme.get(CONFIGS)).json()["configurations"]
    assert [(one["name"], one["is_default"]) for one in listed] == [
        ("default", True),
        ("nightly", False),
    ]
    assert (await api.acme.delete(f"{CONFIGS}/nightly")).status_code == 204
    assert (await api.acme.get(f"{CONFIGS}/nightly")).status_code == 404


async def test_configuration_can_be_made_the_default_one(api: Api) -> None:
    await api.acme.post(CONFIGS, json={"name": "nightly", "is_default": True})
    assert (await api.acme.get(CONFIG)).json()["default_configuration"] == "nightly"
    assert (await api.acme.delete(f"{CONFIGS}/nightly")).status_code == 422


async def test_keys_never_stand_in_postgres_in_the_clear(
    api: Api, openai: None, empty: Settings
) -> None:
    await api.acme.post("/api/v1/llm/providers/openai/key", json={"api_key": KEY})
    connection = await asyncpg.connect(empty.require_database())
    stored = await connection.fetchval("select sealed from penstock.provider_keys")
    await connection.close()
    assert KEY.encode() not in stored
