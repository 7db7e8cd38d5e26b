"""The configuration file: what it may say, what it changes, and how its mistakes are told."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from penstock_schemas.catalog import Catalog, Model, Provider, catalog
from penstock_schemas.configuration import (
    CapabilitySection,
    Configuration,
    DefaultsSection,
    ModelSection,
    ProviderSection,
    configured,
    parse_configuration,
)
from penstock_schemas.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "penstock.toml"
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def parsed(text: str) -> Configuration:
    return parse_configuration(text, file="penstock.toml")


def under(text: str) -> Catalog:
    return configured(catalog(), parsed(text), file="penstock.toml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        under(text)
    return str(caught.value).splitlines()


# Its shape.


def test_file_that_is_empty_changes_nothing() -> None:
    assert under("") is catalog()


def test_provider_section_has_every_field_of_a_provider() -> None:
    assert set(ProviderSection.model_fields) - {"limits"} == set(Provider.model_fields) - {"name"}


def test_model_section_has_every_field_of_a_model() -> None:
    own = set(Model.model_fields) - {"active", "known"} | {"is_active"}
    assert set(ModelSection.model_fields) == own


def test_example_has_no_mistakes() -> None:
    file = parse_configuration(EXAMPLE.read_text("utf-8"), file="penstock.toml")
    assert file.providers and file.models and file.capabilities
    configured(catalog(), file, file="penstock.toml")


def test_limits_of_a_provider_are_passed_through() -> None:
    text = "[providers.openai.limits]\nrequests_per_minute = 500\ntokens_per_minute = 1.5e6\n"
    limits = parsed(text).providers["openai"].limits
    assert limits == {"requests_per_minute": 500, "tokens_per_minute": 1_500_000.0}
    assert under(text).provider("openai") == catalog().provider("openai")


# Providers.


def test_provider_keeps_what_the_file_does_not_say() -> None:
    openai = under("[providers.openai]\nbase_url = 'https://proxy.example/v1'\n").provider("openai")
    assert openai == catalog().provider("openai").model_copy(
        update={"base_url": "https://proxy.example/v1"}
    )


def test_new_provider_needs_a_base_url_only() -> None:
    known = under("[providers.acme]\nbase_url = 'https://llm.acme.example/v1'\n")
    acme, model = known.provider("acme"), known.resolve("acme/org/big")
    assert (acme.wire, acme.base_url) == ("openai_chat", "https://llm.acme.example/v1")
    assert (acme.key_variables, acme.needs_key) == (("ACME_API_KEY",), False)
    assert (model.name, "tools" in model.capabilities) == ("org/big", True)


def test_new_provider_may_be_on_any_wire() -> None:
    text = (
        "[providers.claude-proxy]\nbase_url = 'https://p.example'\nwire = 'anthropic'\n"
        "auth_type = 'api_key'\nauth_style = 'x-api-key'\nkey_variables = ['PROXY_KEY']\n"
    )
    proxy = under(text).provider("claude-proxy")
    assert (proxy.wire, proxy.auth_style) == ("anthropic", "x-api-key")
    assert (proxy.key_variables, proxy.needs_key) == (("PROXY_KEY",), True)


@pytest.mark.parametrize(("local", "timeout_s"), [("false", 60), ("true", 120)])
def test_new_provider_waits_longer_when_it_is_local(local: str, timeout_s: float) -> None:
    known = under(f"[providers.acme]\nbase_url = 'http://127.0.0.1:9/v1'\nlocal = {local}\n")
    assert known.provider("acme").timeout_s == timeout_s


def test_name_of_a_provider_stands_for_its_default_model() -> None:
    known = under("[providers.openai]\ndefault_model = 'gpt-4o-mini'\n")
    assert known.resolve("openai").ref == known.resolve("openai/").ref == "openai/gpt-4o-mini"


def test_default_model_may_name_its_provider() -> None:
    known = under("[providers.mistral]\ndefault_model = 'mistral/mistral-large-latest'\n")
    assert known.resolve("mistral").ref == "mistral/mistral-large-latest"


# Defaults.


def test_defaults_hold_for_providers_that_the_file_does_not_name() -> None:
    text = (
        "[defaults]\ntimeout_s = 30\nmax_attempts = 3\n"
        "[providers.openai]\ntimeout_s = 90\nmax_attempts = 7\n"
    )
    known = under(text)
    assert (known.provider("openai").timeout_s, known.provider("openai").max_attempts) == (90, 7)
    assert (known.provider("groq").timeout_s, known.provider("groq").max_attempts) == (30, 3)


def test_defaults_leave_local_providers_their_time() -> None:
    assert under("[defaults]\ntimeout_s = 30\n").provider("ollama").timeout_s == 120


def test_defaults_of_jobs_are_the_catalogues() -> None:
    defaults = under("[defaults]\nlane = 'bulk'\nstrategy = 'cost'\n").defaults
    assert (defaults.lane, defaults.strategy) == ("bulk", "cost")


# Models.


def test_price_of_the_file_goes_before_the_packages() -> None:
    text = (
        "[[models]]\nprovider = 'openai'\nname = 'gpt-4o'\n"
        "input_usd_per_mtok = 1.75\noutput_usd_per_mtok = '7'\n"
    )
    model = under(text).model("openai/gpt-4o")
    assert (model.input_usd_per_mtok, model.output_usd_per_mtok) == (Decimal("1.75"), 7)
    assert model.context_window == catalog().model("openai/gpt-4o").context_window


def test_new_model_is_listed_with_what_the_file_says() -> None:
    text = (
        "[providers.acme]\nbase_url = 'http://127.0.0.1:9/v1'\n"
        "[[models]]\nprovider = 'acme'\nname = 'org/big'\nquality_tier = 'best'\n"
    )
    model = under(text).model("acme/org/big")
    assert (model.wire_id, model.quality_tier, model.known) == ("org/big", "best", True)
    assert model.input_usd_per_mtok is None


def test_new_model_of_embeddings_can_do_nothing_else() -> None:
    text = "[[models]]\nprovider = 'openai'\nname = 'vectors-1'\nkind = 'embedding'\n"
    assert under(text).model("openai/vectors-1").capabilities == frozenset()


def test_model_is_active_by_the_files_word() -> None:
    text = (
        "[[models]]\nprovider = 'openai'\nname = 'gpt-4o'\nis_active = false\n"
        "[[models]]\nprovider = 'google'\nname = 'gemini-1.5-pro'\nis_active = true\n"
    )
    known, day = under(text), date(2026, 11, 21)
    assert not known.model("openai/gpt-4o").is_active(day)
    assert known.model("google/gemini-1.5-pro").is_active(day)


# Capabilities.


def test_capability_with_a_new_model_keeps_none_of_its_fallbacks() -> None:
    before, after = catalog(), under("[capabilities.reason]\nmodel = 'openai/gpt-4o'\n")
    assert after.capabilities["reason"].routes == ("openai/gpt-4o",)
    kept = before.capabilities["reason"].max_output_tokens
    assert after.capabilities["reason"].max_output_tokens == kept


def test_capability_may_lead_to_a_model_that_is_not_listed() -> None:
    text = (
        "[providers.acme]\nbase_url = 'http://127.0.0.1:9/v1'\ndefault_model = 'big'\n"
        "[capabilities.summarise]\nmodel = 'acme'\nfallbacks = ['gpt-4o-mini']\n"
    )
    assert under(text).capabilities["summarise"].routes == ("acme/big", "openai/gpt-4o-mini")


def test_capability_may_change_its_length_only() -> None:
    known = under("[capabilities.reason]\nmax_output_tokens = 99\n").capabilities["reason"]
    assert known.routes == catalog().capabilities["reason"].routes
    assert known.max_output_tokens == 99


# Mistakes.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timeout_s = 5\n", "timeout_s: is not a known key"),
        ("[defaults]\ntimeout_s = 0\n", "defaults.timeout_s: "),
        ("[defaults]\nlane = 'fast'\n", "defaults.lane: "),
        ("[defaults]\nmax_attempts = 51\n", "defaults.max_attempts: "),
        ("[providers.openai]\nbase_ulr = 'x'\n", "providers.openai.base_ulr: is not a known key"),
        ("[providers.openai]\nbase_url = 'x'\n", "providers.openai.base_url: "),
        ("[providers.openai]\nmax_tokens_field = 'x'\n", "providers.openai.max_tokens_field: "),
        ("[providers.openai.limits]\nrpm = 'x'\n", "providers.openai.limits.rpm"),
        ("[providers.acme]\nwire = 'gemini'\n", "providers.acme.base_url: is required"),
        ("[providers.Acme]\nbase_url = 'http://x'\n", "providers.Acme.name: "),
        ("[[models]]\nname = 'x'\n", "models.0.provider: is required"),
        ("[[models]]\nprovider = 'nope'\nname = 'x'\n", "models.nope/x: provider: 'nope'"),
        (
            "[[models]]\nprovider = 'openai'\nname = 'gpt-4o'\ninput_usd_per_mtok = -1\n",
            "models.0.input_usd_per_mtok: ",
        ),
        (
            "[[models]]\nprovider = 'openai'\nname = 'x'\n" * 2,
            "models: openai/x stands there twice",
        ),
        ("[capabilities.new]\nmax_output_tokens = 5\n", "capabilities.new.model: is required"),
        ("[capabilities.reason]\nmodel = 'nope/x'\n", "capabilities.reason.model: "),
        ("[capabilities.reason]\nfallbacks = ['nope']\n", "capabilities.reason.fallbacks: "),
    ],
)
def test_mistake_names_the_file_and_the_key(text: str, told: str) -> None:
    (line,) = mistakes(text) if "limits" not in text else mistakes(text)[:1]
    assert line.startswith(f"penstock.toml: {told}")


def test_mistakes_are_all_told_a_line_each() -> None:
    lines = mistakes("[defaults]\ntimeout_s = 0\n[providers.openai]\nretries = 3\n")
    assert [line.split(": ")[1] for line in lines] == [
        "defaults.timeout_s",
        "providers.openai.retries",
    ]


def test_text_that_is_no_toml_names_the_line() -> None:
    (line,) = mistakes("[defaults]\ntimeout_s = \n")
    assert line.startswith("penstock.toml, line 2: ")


def test_mistake_does_not_repeat_the_value() -> None:
    (line,) = mistakes("[providers.openai]\nbase_url = 'sk-secret'\n")
    assert "sk-secret" not in line


# What is written of it.


@pytest.mark.parametrize(
    "section", [DefaultsSection, ProviderSection, ModelSection, CapabilitySection]
)
def test_page_names_every_key(section: type[BaseModel]) -> None:
    assert [name for name in section.model_fields if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_page_shows_files_without_mistakes(text: str) -> None:
    assert under(text) != catalog()
