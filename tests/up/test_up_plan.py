"""Who gets workers, and what they find in their environment."""

from __future__ import annotations

import pytest

from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ConfigurationError, MissingKey, UnknownProvider
from penstock_worker.up.plan import SIMULATED, Choice, choose_providers, worker_services

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
