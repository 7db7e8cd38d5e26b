"""Who gets workers, and what they find in their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_client import Settings
from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ConfigurationError, MissingKey, UnknownProvider
from penstock_worker.keyring import FILE_VARIABLE, KEYS_VARIABLE
from penstock_worker.up.plan import (
    SIMULATED,
    Choice,
    choose_providers,
    gateway_service,
    steward_service,
    webhook_variables,
    worker_services,
)
from penstock_worker.up.servers import private_keys

KEYS = {"OPENAI_API_KEY": "sk-real", "MISTRAL_API_KEY": "sk-real"}


def choose(variables: dict[str, str], *named: str, simulate: bool | None = None) -> Choice:
    return choose_providers(catalog(), variables, named=named or None, simulate=simulate)


def names(choice: Choice) -> list[str]:
    return [provider.name for provider in choice.providers]


def test_choice_simulates_without_any_key() -> None:
    choice = choose({})
    assert (tuple(names(choice)), choice.simulated) == (SIMULATED, True)


def test_choice_takes_every_provider_with_a_key() -> None:
    choice = choose(KEYS)
    assert (sorted(names(choice)), choice.simulated) == (["mistral", "openai"], False)


def test_choice_never_simulates_unasked_when_there_are_keys() -> None:
    with pytest.raises(MissingKey, match="GROQ_API_KEY"):
        choose(KEYS, "openai", "groq")


def test_choice_refuses_no_simulation_without_keys() -> None:
    with pytest.raises(ConfigurationError, match="no provider has a key"):
        choose({}, simulate=False)


def test_choice_refuses_an_unknown_provider() -> None:
    with pytest.raises(UnknownProvider):
        choose({}, "nobody")


def test_simulated_workers_get_neither_the_real_address_nor_the_real_key() -> None:
    (service,) = worker_services(
        choose(KEYS, "openai", simulate=True),
        {},
        workers=1,
        concurrency=None,
        simulator_port=9100,
    )
    assert service.variables["OPENAI_API_KEY"] == "simulated"
    assert service.variables["PENSTOCK_OPENAI_BASE_URL"] == "http://127.0.0.1:9100/openai/v1"
    assert "sk-real" not in repr(service)


def test_real_workers_keep_their_environment() -> None:
    services = worker_services(
        choose(KEYS, "openai"), {}, workers=2, concurrency=7, simulator_port=None
    )
    assert [service.name for service in services] == ["openai.1", "openai.2"]
    assert services[0].variables == {}
    assert services[0].arguments[-2:] == ("--concurrency", "7")


def test_gateway_does_not_inherit_the_private_keys() -> None:
    servers = {"PENSTOCK_REDIS_URL": "redis://127.0.0.1"}
    assert gateway_service(servers, port=1).variables == {**servers, KEYS_VARIABLE: ""}


def test_steward_gets_what_opens_the_secrets_of_webhooks() -> None:
    given = {FILE_VARIABLE: "/keys"}
    assert steward_service(given).variables == given


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(Settings(), "allow"), (Settings(webhook_private="refuse"), "refuse")],
)
def test_webhooks_of_a_stack_may_lead_to_its_machine(settings: Settings, expected: str) -> None:
    assert webhook_variables(settings) == {"PENSTOCK_WEBHOOK_PRIVATE": expected}


def test_a_stack_of_its_own_makes_its_private_key_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    given = [private_keys(settings, {}, own=True) for _ in range(2)]
    assert given == [{FILE_VARIABLE: str(tmp_path / "home" / "private-keys")}] * 2


def test_on_other_servers_no_private_key_is_made(tmp_path: Path) -> None:
    assert private_keys(Settings(home=tmp_path), {}, own=False) == {}
    assert list(tmp_path.iterdir()) == []


def test_private_keys_of_the_environment_are_left_as_they_are(tmp_path: Path) -> None:
    assert private_keys(Settings(home=tmp_path), {KEYS_VARIABLE: "given"}, own=True) == {}
