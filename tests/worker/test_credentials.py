"""Where a provider is and with which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_client.sealing import seal
from penstock_schemas.catalog import Provider, catalog
from penstock_schemas.errors import ConfigurationError, MissingKey
from penstock_worker.credentials import (
    Access,
    Accesses,
    NoPlatformKey,
    access_to,
    base_url_variable,
    environment,
)
from penstock_worker.keyring import CannotOpen, Keyring, PrivateKey, write_keys

OPENAI = catalog().provider("openai")
PLACED = Provider(name="my-cloud", display_name="Mine", base_url="https://{region}.example/v1")
TWO_KEYS = Provider(
    name="two", display_name="Two", base_url="https://two.example/v1/", key_variables=("A", "B")
)
LOCAL = Provider(
    name="local", display_name="Local", base_url="http://127.0.0.1:1234/v1", auth_style="none"
)


def test_environment_goes_before_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=from file\nB='from file'\n# C=commented\nD\n")
    assert environment({"A": "from process", "E": "x"}, folder=tmp_path) == {
        "A": "from process",
        "B": "from file",
        "E": "x",
    }


def test_environment_needs_no_env_file(tmp_path: Path) -> None:
    assert environment({"A": "1"}, folder=tmp_path) == {"A": "1"}


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "PENSTOCK_OPENAI_BASE_URL"),
        ("my-cloud", "PENSTOCK_MY_CLOUD_BASE_URL"),
        ("a.b2", "PENSTOCK_A_B2_BASE_URL"),
    ],
)
def test_base_url_variable_is_made_of_the_name(provider: str, variable: str) -> None:
    assert base_url_variable(provider) == variable


def test_base_url_variables_of_the_catalogue_differ() -> None:
    names = [base_url_variable(provider.name) for provider in catalog().providers]
    assert len(set(names)) == len(names)


def test_access_is_the_catalogues_address_and_the_key() -> None:
    access = access_to(OPENAI, {"OPENAI_API_KEY": "sk-1"})
    assert access == Access(OPENAI.base_url, "sk-1")


def test_access_elsewhere_is_where_the_variable_says() -> None:
    variables = {"OPENAI_API_KEY": "sk-1", "PENSTOCK_OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"}
    assert access_to(OPENAI, variables).base_url == "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("variables", "key"),
    [({"A": "a", "B": "b"}, "a"), ({"B": "b"}, "b"), ({"A": "", "B": "b"}, "b")],
)
def test_access_takes_the_first_key_that_is_set(variables: dict[str, str], key: str) -> None:
    assert access_to(TWO_KEYS, variables).api_key == key


@pytest.mark.parametrize("variables", [{}, {"A": ""}, {"C": "c"}])
def test_access_without_a_key_names_the_variables(variables: dict[str, str]) -> None:
    with pytest.raises(MissingKey, match="provider two has no key: set A or B") as caught:
        access_to(TWO_KEYS, variables)
    assert caught.value.variables == ("A", "B")


def test_access_without_a_key_is_fine_where_none_is_needed() -> None:
    assert access_to(LOCAL, {}) == Access(LOCAL.base_url, None)


def test_access_to_an_open_address_names_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set PENSTOCK_MY_CLOUD_BASE_URL"):
        access_to(PLACED, {})


def test_access_to_an_open_address_is_where_the_variable_says() -> None:
    provider = PLACED.model_copy(update={"auth_style": "none"})
    variables = {"PENSTOCK_MY_CLOUD_BASE_URL": "https://eu.example/v1"}
    assert access_to(provider, variables).base_url == "https://eu.example/v1"


def test_access_refuses_an_override_whose_braces_stand() -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_OPENAI_BASE_URL"):
        access_to(OPENAI, {"PENSTOCK_OPENAI_BASE_URL": "https://{host}/v1", "OPENAI_API_KEY": "k"})


def test_access_leaves_the_models_place_in_an_address() -> None:
    url = "https://acme.example/openai/deployments/{model}?api-version=1"
    variables = {"PENSTOCK_OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}
    assert access_to(OPENAI, variables).base_url == url


def test_access_refuses_other_braces_beside_the_models() -> None:
    url = "https://{resource}.example/openai/deployments/{model}"
    with pytest.raises(ConfigurationError, match="PENSTOCK_OPENAI_BASE_URL"):
        access_to(OPENAI, {"PENSTOCK_OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"})


@pytest.mark.parametrize("url", ["127.0.0.1:9/v1", "ftp://x/v1", "//x"])
def test_access_refuses_an_address_that_is_not_http(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_OPENAI_BASE_URL must start with http"):
        access_to(OPENAI, {"PENSTOCK_OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"})


def test_access_never_shows_its_key() -> None:
    assert "sk-secret" not in repr(Access("https://x", "sk-secret"))


@pytest.mark.parametrize("provider", catalog().providers, ids=lambda provider: provider.name)
def test_every_provider_of_the_catalogue_can_be_reached_by_its_variables(
    provider: Provider,
) -> None:
    variables = dict.fromkeys(provider.key_variables, "key")
    variables[base_url_variable(provider.name)] = "http://127.0.0.1:9"
    access = access_to(provider, variables)
    assert (access.api_key is not None) or not provider.needs_key


# Each call's own.

PAIR = PrivateKey.new()
PLATFORM = Access(OPENAI.base_url, "sk-platform")


def sealed_for(workspace: str) -> bytes:
    return seal("sk-own", PAIR.public, workspace=workspace, provider="openai")


def test_a_call_uses_its_workspaces_key_else_the_platforms() -> None:
    accesses = Accesses(OPENAI, PLATFORM, Keyring([PAIR]))
    own, platform = accesses.of("acme", sealed_for("acme")), accesses.of("acme", None)
    assert (own, platform) == (Access(OPENAI.base_url, "sk-own"), PLATFORM)


def test_a_call_never_uses_the_platforms_key_in_place_of_one_that_does_not_open() -> None:
    with pytest.raises(CannotOpen):
        Accesses(OPENAI, PLATFORM, Keyring([PAIR])).of("acme", sealed_for("other"))


def test_a_call_that_needs_the_platforms_key_does_not_go_without() -> None:
    accesses = Accesses(OPENAI, Access(OPENAI.base_url, None), Keyring([PAIR]))
    assert accesses.platform is None
    with pytest.raises(NoPlatformKey):
        accesses.of("acme", None)


def test_a_provider_that_needs_no_key_is_called_without() -> None:
    access = Access(LOCAL.base_url, None)
    assert Accesses(LOCAL, access, Keyring()).of("acme", None) == access


def test_a_key_that_does_not_open_is_tried_with_a_file_that_has_changed(tmp_path: Path) -> None:
    write_keys(tmp_path / "private-keys", [PrivateKey.new()])
    accesses = Accesses(OPENAI, PLATFORM, Keyring.load({}, home=tmp_path))
    write_keys(tmp_path / "private-keys", [PAIR])
    assert accesses.of("acme", sealed_for("acme")).api_key == "sk-own"
