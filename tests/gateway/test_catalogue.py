"""Providers, models and estimates over HTTP."""

from __future__ import annotations

from decimal import Decimal

from tests.gateway.conftest import Api


async def test_providers_tells_what_the_catalogue_knows(api: Api) -> None:
    rows = (await api.acme.get("/api/v1/llm/providers")).json()["providers"]
    by_name = {row["name"]: row for row in rows}
    assert len(rows) >= 20
    assert by_name["anthropic"]["auth_type"] == "api_key"
    assert "streaming" in by_name["openai"]["supported_features"]


async def test_models_of_one_provider_have_prices_by_the_million_and_the_thousand(
    api: Api,
) -> None:
    rows = (await api.acme.get("/api/v1/llm/models?provider_name=openai")).json()["models"]
    model = next(row for row in rows if row["model_id"] == "gpt-4o")
    assert {row["provider"] for row in rows} == {"openai"}
    million, thousand = model["input_cost_per_million"], model["input_cost_per_1k"]
    assert Decimal(million) == Decimal(thousand) * 1000 == Decimal("2.5")


async def test_models_are_fifty_or_more(api: Api) -> None:
    assert len((await api.acme.get("/api/v1/llm/models")).json()["models"]) >= 50


async def test_models_of_an_unknown_provider_finds_none(api: Api) -> None:
    assert (await api.acme.get("/api/v1/llm/models?provider_name=nobody")).status_code == 404


async def test_estimate_is_by_the_catalogues_prices(api: Api) -> None:
    body = {"model": "openai/gpt-4o", "input_tokens": 1000, "output_tokens": 500, "calls": 10}
    found = (await api.acme.post("/api/v1/llm/estimate", json=body)).json()
    assert Decimal(found["cost_usd_per_call"]) == Decimal("0.0075")
    assert Decimal(found["cost_usd"]) == Decimal("0.075")


async def test_estimate_of_an_unknown_price_is_unknown(api: Api) -> None:
    body = {"model": "openai/gpt-99", "input_tokens": 1000, "output_tokens": 500}
    found = (await api.acme.post("/api/v1/llm/estimate", json=body)).json()
    assert found["cost_usd"] is None
