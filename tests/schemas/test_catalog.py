"""The catalogue: its data are whole and agree with an independent price list; names resolve."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from pydantic import ValidationError

from penstock_schemas.catalog import SAMPLING_PARAMETERS, Catalog, Model, catalog
from penstock_schemas.errors import UnknownModel, UnknownProvider

REQUIRED_PROVIDERS = [
    "openai",
    "anthropic",
    "google",
    "fireworks",
    "deepseek",
    "mistral",
    "groq",
    "together",
    "openrouter",
    "xai",
    "cerebras",
    "perplexity",
    "cohere",
    "azure",
    "bedrock",
    "databricks",
    "huggingface",
    "nvidia",
    "sambanova",
    "deepinfra",
    "moonshot",
    "zai",
    "lmstudio",
    "ollama",
    "vllm",
    "openai_compatible",
]
REQUIRED_MODELS = [
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-20250514",
    "anthropic/claude-3-5-haiku-20241022",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-coder",
    "google/gemini-1.5-pro",
    "google/gemini-1.5-flash",
    "mistral/mistral-large-latest",
    "mistral/codestral-latest",
    "fireworks/deepseek-v3",
    "openai/gpt-5",
    "openai/gpt-5-mini",
    "openai/o3",
    "openai/o4-mini",
    "openai/gpt-4.1",
    "openai/text-embedding-3-small",
    "openai/text-embedding-3-large",
    "mistral/mistral-embed",
]
PRICED_ON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICE_LIST_NAMES = {"xai": "x-ai", "moonshot": "moonshotai", "bedrock": "aws"}
PRICED_ELSEWHERE = {"fireworks/deepseek-v3", "sambanova/Meta-Llama-3.3-70B-Instruct"}
PRICE_FIELDS = {
    "input_usd_per_mtok": "input_mtok",
    "cached_input_usd_per_mtok": "cache_read_mtok",
    "cache_write_usd_per_mtok": "cache_write_mtok",
}
PRICED = [
    model
    for model in catalog().models
    if model.input_usd_per_mtok is not None
    and not catalog().provider(model.provider).local
    and model.ref not in PRICED_ELSEWHERE
]


def listed_prices(model: Model) -> Any:
    """What genai-prices says of the model; the price of short prompts where there are tiers."""
    provider = PRICE_LIST_NAMES.get(model.provider, model.provider)
    _, info = get_snapshot().find_provider_model(model.wire_id, None, provider, None)
    return info.get_prices(PRICED_ON)


def base_price(listed: Any) -> Decimal | None:
    return getattr(listed, "base", listed)


@pytest.mark.parametrize("name", REQUIRED_PROVIDERS)
def test_catalog_has_provider(name: str) -> None:
    assert catalog().provider(name).base_url


@pytest.mark.parametrize("ref", REQUIRED_MODELS)
def test_catalog_has_model(ref: str) -> None:
    assert catalog().model(ref).ref == ref


def test_catalog_has_fifty_models_or_more() -> None:
    assert len(catalog().models) >= 50


@pytest.mark.parametrize("model", PRICED, ids=lambda model: model.ref)
def test_model_prices_agree_with_price_list(model: Model) -> None:
    listed = listed_prices(model)
    for field, key in PRICE_FIELDS.items():
        assert getattr(model, field) == base_price(getattr(listed, key)), field
    expected = Decimal(0) if model.kind == "embedding" else base_price(listed.output_mtok)
    assert model.output_usd_per_mtok == expected


LONG = [model for model in PRICED if model.long_context_above_tokens is not None]


@pytest.mark.parametrize("model", LONG, ids=lambda model: model.ref)
def test_long_prompts_cost_as_much_more_as_the_price_list_says_at_most(model: Model) -> None:
    listed = listed_prices(model)
    kinds = (listed.input_mtok, listed.output_mtok)
    assert model.long_context_factor == max(
        tier.price / kind.base for kind in kinds for tier in kind.tiers
    )


def test_local_models_cost_nothing() -> None:
    local = [m for m in catalog().models if catalog().provider(m.provider).local]
    assert local
    assert {(m.input_usd_per_mtok, m.output_usd_per_mtok) for m in local} == {(0, 0)}


def test_hosted_models_are_never_free() -> None:
    free = [
        model.ref
        for model in catalog().models
        if model.input_usd_per_mtok == 0 and not catalog().provider(model.provider).local
    ]
    assert free == []


def test_unknown_price_stays_unknown() -> None:
    assert catalog().model("deepseek/deepseek-coder").input_usd_per_mtok is None


def test_embedding_models_give_dimensions_and_a_provider_that_embeds() -> None:
    for model in catalog().models:
        if model.kind == "embedding":
            assert model.dimensions, model.ref
            assert catalog().provider(model.provider).embeddings, model.ref


def test_base_urls_leave_the_wire_its_slash() -> None:
    assert [p.name for p in catalog().providers if p.base_url.endswith("/")] == []


def test_hosted_providers_use_tls_unless_the_user_gives_the_address() -> None:
    plain = [
        p.name for p in catalog().providers if not p.local and not p.base_url.startswith("https://")
    ]
    assert plain == ["openai_compatible"]


def test_google_key_variables_keep_their_order() -> None:
    names = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_AI_API_KEY")
    assert catalog().provider("google").key_variables == names


@pytest.mark.parametrize(
    ("name", "compatible"), [("openai", True), ("groq", True), ("anthropic", False)]
)
def test_provider_compatibility_follows_the_wire(name: str, compatible: bool) -> None:
    assert catalog().provider(name).is_openai_compatible is compatible


def test_provider_whose_address_is_the_users_says_so() -> None:
    needing = [p.name for p in catalog().providers if p.needs_base_url]
    assert needing == ["azure", "databricks", "openai_compatible"]


def test_local_providers_need_no_key_and_wait_longer() -> None:
    for name in ("lmstudio", "ollama", "vllm"):
        provider = catalog().provider(name)
        assert (provider.needs_key, provider.timeout_s, provider.max_concurrency) == (False, 120, 4)


def test_default_routing_of_each_capability() -> None:
    first = {name: default.model for name, default in catalog().capabilities.items()}
    assert first == {
        "extract": "fireworks/deepseek-v3",
        "classify": "fireworks/deepseek-v3",
        "reason": "anthropic/claude-sonnet-4-20250514",
        "generate": "anthropic/claude-sonnet-4-20250514",
        "embed": "openai/text-embedding-3-small",
    }


def test_default_output_caps_fit_their_models() -> None:
    for name, default in catalog().capabilities.items():
        for ref in default.routes:
            limit = catalog().model(ref).max_output_tokens
            assert limit is None or (default.max_output_tokens or 0) <= limit, (name, ref)


def test_model_wire_id_defaults_to_the_name() -> None:
    assert catalog().model("openai/gpt-4o").wire_id == "gpt-4o"


def test_model_wire_id_may_differ_from_the_name() -> None:
    assert catalog().model("fireworks/deepseek-v3").wire_id == (
        "accounts/fireworks/models/deepseek-v3"
    )


def test_model_refuses_a_name_that_is_in_no_row() -> None:
    with pytest.raises(UnknownModel):
        catalog().model("openai/some-new-model")


def test_provider_unknown_lists_the_known_ones() -> None:
    with pytest.raises(UnknownProvider, match="openrouter"):
        catalog().provider("opnai")


def test_resolve_accepts_an_unlisted_model_at_unknown_price() -> None:
    model = catalog().resolve("openai/some-new-model")
    assert (model.kind, model.known, model.input_usd_per_mtok) == ("chat", False, None)


def test_resolve_splits_at_the_first_slash_only() -> None:
    model = catalog().resolve("lmstudio/org/model")
    assert (model.provider, model.name, model.wire_id) == ("lmstudio", "org/model", "org/model")


def test_resolve_prices_unlisted_local_models_at_zero() -> None:
    assert catalog().resolve("ollama/my-finetune").output_usd_per_mtok == 0


def test_resolve_takes_embed_in_the_name_for_an_embedding_model() -> None:
    assert catalog().resolve("lmstudio/some-embed-model").kind == "embedding"


def test_resolve_gives_unlisted_fireworks_models_their_account_prefix() -> None:
    assert catalog().resolve("fireworks/kimi-k9").wire_id == "accounts/fireworks/models/kimi-k9"


def test_resolve_knows_unlisted_reasoning_snapshots() -> None:
    model = catalog().resolve("openai/o3-2025-04-16")
    assert catalog().unsupported_parameters(model) >= SAMPLING_PARAMETERS


@pytest.mark.parametrize("ref", ["nowhere/gpt-4o", "meta-llama/Llama-3.3-70B-Instruct"])
def test_resolve_refuses_an_unknown_provider(ref: str) -> None:
    with pytest.raises(UnknownProvider):
        catalog().resolve(ref)


@pytest.mark.parametrize("ref", ["", "unheard-of-model", "openai/"])
def test_resolve_refuses_a_name_that_says_nothing(ref: str) -> None:
    with pytest.raises(UnknownModel):
        catalog().resolve(ref)


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("claude-opus-9", "anthropic"),
        ("gpt-4o", "openai"),
        ("o1", "openai"),
        ("o1-preview", "openai"),
        ("o4-mini", "openai"),
        ("gemini-9-pro", "google"),
        ("deepseek-chat", "deepseek"),
        ("mistral-large-latest", "mistral"),
        ("codestral-latest", "mistral"),
        ("mistral-7b-instruct-v0.3", "lmstudio"),
        ("devstral-small", "lmstudio"),
        ("Qwen3-8B", "lmstudio"),
        ("gemma-3-4b", "lmstudio"),
        ("llama-3.2-3b", "lmstudio"),
        ("nomic-embed-text-v2", "lmstudio"),
        ("phi-4", "lmstudio"),
        ("gpt-oss-20b-mxfp4", "lmstudio"),
        ("llama-3.3-70b-versatile", "groq"),
        ("o10", None),
        ("weather", None),
    ],
)
def test_detect_provider_of_bare_name(name: str, provider: str | None) -> None:
    assert catalog().detect_provider(name) == provider


def test_resolve_normalises_a_bare_name() -> None:
    assert catalog().resolve("gemini-2.5-flash").ref == "google/gemini-2.5-flash"


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("qwen2.5-7b-instruct", "lmstudio/qwen2.5-7b-instruct"),
        ("lmstudio/org/model", "lmstudio/org/model"),
        ("claude-opus-9", "anthropic/claude-opus-9"),
    ],
)
def test_normalise_gives_provider_and_model(name: str, normal: str) -> None:
    assert catalog().normalise(name) == normal
    assert catalog().normalise(normal) == normal


@pytest.mark.parametrize("name", [model.ref for model in catalog().models])
def test_normalised_rows_are_themselves(name: str) -> None:
    assert catalog().normalise(name) == name


@pytest.mark.parametrize(
    ("ref", "local"),
    [
        ("lmstudio/org/model", True),
        ("ollama/llama3.1", True),
        ("nomic-embed-text-v2", True),
        ("groq/llama-3.1-8b-instant", False),
        ("gpt-4o", False),
        ("openai_compatible/anything", False),
    ],
)
def test_is_local_is_of_the_provider(ref: str, local: bool) -> None:
    assert catalog().is_local(ref) is local


def test_is_local_refuses_a_name_of_no_provider() -> None:
    with pytest.raises(UnknownProvider):
        catalog().is_local("nowhere/model")


def test_tier_and_window_are_had_by_any_name() -> None:
    model = catalog().resolve("gpt-4o-mini")
    assert (model.speed_tier, model.quality_tier, model.context_window) == (
        "fast",
        "basic",
        128_000,
    )


def test_reasoning_models_refuse_sampling_parameters() -> None:
    refused = catalog().unsupported_parameters(catalog().model("openai/o3"))
    assert refused >= SAMPLING_PARAMETERS | {"stop"}


def test_ordinary_models_take_sampling_parameters() -> None:
    refused = catalog().unsupported_parameters(catalog().model("openai/gpt-4o"))
    assert not refused & SAMPLING_PARAMETERS


def test_unsupported_parameters_include_the_providers() -> None:
    model = catalog().model("anthropic/claude-sonnet-4-20250514")
    assert "seed" in catalog().unsupported_parameters(model)


@pytest.mark.parametrize(
    ("ref", "strength"),
    [
        ("groq/openai/gpt-oss-20b", "json_schema"),
        ("groq/llama-3.1-8b-instant", "json_object"),
        ("anthropic/claude-sonnet-4-20250514", "tool"),
    ],
)
def test_structured_output_prefers_the_models_own(ref: str, strength: str) -> None:
    assert catalog().structured_output(catalog().model(ref)) == strength


@pytest.mark.parametrize(("day", "active"), [(date(2025, 9, 28), True), (date(2025, 9, 29), False)])
def test_model_is_active_until_it_retires(day: date, active: bool) -> None:
    assert catalog().model("google/gemini-1.5-pro").is_active(day) is active


def test_catalog_refuses_a_row_twice() -> None:
    data = catalog().model_dump()
    data["models"] = [*data["models"], data["models"][0]]
    with pytest.raises(ValidationError, match="twice"):
        Catalog.model_validate(data)


def test_catalog_refuses_a_model_of_no_provider() -> None:
    data = catalog().model_dump()
    data["providers"] = [row for row in data["providers"] if row["name"] != "zai"]
    with pytest.raises(ValidationError, match="zai"):
        Catalog.model_validate(data)


def test_catalog_refuses_default_routing_to_an_unknown_provider() -> None:
    data = catalog().model_dump()
    data["capabilities"]["reason"]["model"] = "nowhere/model"
    with pytest.raises(ValidationError, match="nowhere/model"):
        Catalog.model_validate(data)


def test_catalog_survives_json() -> None:
    assert Catalog.model_validate(json.loads(catalog().model_dump_json())) == catalog()
