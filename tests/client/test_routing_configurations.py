"""Routing by a workspace's configurations: rules, primary, fallback, providers, prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from penstock_client.ledger import Configuration, WorkspaceConfig
from penstock_client.routing import explain_route, routes_for
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import InvalidJob, UnknownConfiguration
from penstock_schemas.jobs import Embed, Generate
from tests.client.routed import config, made_of, model

CATALOG = made_of(
    model("a/default"),
    model("b/other"),
    model("c/third", "2"),
    model("d/unpriced", None),
)


def configured(
    *, providers: Mapping[str, bool] | None = None, routing: Any = None, **fields: Any
) -> WorkspaceConfig:
    """`acme` with a default configuration of these fields and another, `plain`, without any."""
    named = {"default": Configuration(**fields), "plain": Configuration(name="plain")}
    return replace(config(**(routing or {})), configurations=named, providers=providers or {})


def job(**fields: Any) -> Generate:
    return Generate(workspace="acme", prompt="hi", **fields)


def routes(own: WorkspaceConfig, **fields: Any) -> tuple[str, ...]:
    """The routes of a job, which are those that are explained."""
    found = routes_for(job(**fields), own, CATALOG)
    assert explain_route(job(**fields), own, CATALOG).routes == found
    return found


BUDGET = {"daily_usd": Decimal(1)}


def test_task_type_goes_before_the_workspace_routing() -> None:
    own = configured(task_routing={"triage": "c/third"}, routing={"generate": ("b/other",)})
    assert routes(own, task_type="triage") == ("c/third",)
    assert routes(own, task_type="else") == ("b/other",)


def test_workspace_routing_goes_before_the_primary() -> None:
    own = configured(primary="c/third", routing={"generate": ("b/other",)})
    assert routes(own) == ("b/other",)


def test_primary_goes_before_a_routing_that_is_just_the_default() -> None:
    own = configured(primary="c/third", routing={"generate": ("a/default",)})
    assert routes(own) == ("c/third",)


def test_default_routing_holds_where_nothing_is_configured() -> None:
    assert routes(configured()) == ("a/default",)


def test_pinned_model_goes_alone_before_everything() -> None:
    own = configured(primary="c/third", fallback="b/other", task_routing={"triage": "c/third"})
    assert routes(own, model="a/default", task_type="triage") == ("a/default",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("a/default", "c/third")),
        ({"task_type": "triage"}, ("b/other", "c/third")),
        ({"strategy": "cost"}, ("a/default", "c/third")),
    ],
)
def test_fallback_follows_whatever_leads(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    own = configured(fallback="c/third", task_routing={"triage": "b/other"})
    found = routes_for(job(**fields), own, CATALOG)
    assert (found[0], found[-1]) == (expected[0], expected[1])


def test_fallback_that_leads_is_not_repeated() -> None:
    assert routes(configured(primary="c/third", fallback="c/third")) == ("c/third",)


def test_primary_of_text_does_not_serve_embeddings() -> None:
    own = configured(primary="c/third", fallback="b/other")
    embed = Embed(workspace="acme", input=("x",))
    assert routes_for(embed, own, CATALOG) == ("a/vectors",)


def test_strategy_chooses_before_the_rules_and_may_take_the_primary() -> None:
    own = configured(primary="c/third", routing={"generate": ("b/other",)})
    found = routes_for(job(strategy="cost"), own, CATALOG)
    assert found[0] in {"a/default", "b/other"}
    assert found[-1] == "b/other"


def test_job_that_names_a_configuration_is_routed_by_it() -> None:
    own = configured(primary="c/third")
    assert routes(own, configuration="plain") == ("a/default",)


def test_unknown_configuration_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownConfiguration, match="has no 'nightly', only default, plain"):
        routes_for(job(configuration="nightly"), configured(), CATALOG)


# Providers that are switched off.


def test_provider_that_is_switched_off_is_left_out() -> None:
    own = configured(routing={"generate": ("b/other", "c/third")}, providers={"b": False})
    assert routes(own) == ("c/third",)


def test_strategy_leaves_out_a_provider_that_is_switched_off() -> None:
    own = configured(routing={"generate": ("b/other", "c/third")}, providers={"b": False})
    found = routes_for(job(strategy="cost"), own, CATALOG, providers=["b", "c"])
    assert found == ("c/third",)


def test_job_without_a_provider_left_is_refused() -> None:
    own = configured(providers={"a": False})
    with pytest.raises(InvalidJob, match="a/default is at a, which the workspace has switched off"):
        routes_for(job(), own, CATALOG)


# Models without a known price, under a budget in money.


def test_unpriced_model_is_refused_under_a_money_budget() -> None:
    own = configured(**BUDGET)
    with pytest.raises(InvalidJob, match=r"d/unpriced has no known price.*allow_unpriced"):
        routes_for(job(model="d/unpriced"), own, CATALOG)


def test_unpriced_model_is_left_out_where_another_can_do_the_job() -> None:
    own = configured(primary="d/unpriced", fallback="b/other", **BUDGET)
    assert routes(own) == ("b/other",)


@pytest.mark.parametrize("fields", [{}, {**BUDGET, "allow_unpriced": True}])
def test_unpriced_model_runs_where_it_is_allowed(fields: dict[str, Any]) -> None:
    assert routes(configured(**fields), model="d/unpriced") == ("d/unpriced",)


def test_strategy_takes_the_next_best_where_the_best_has_no_price() -> None:
    catalog = made_of(model("a/default"), model("a/best", None, quality_tier="best"))
    free, bound = configured(), configured(**BUDGET)
    assert routes_for(job(strategy="quality"), free, catalog)[0] == "a/best"
    found = routes_for(job(strategy="quality"), bound, catalog)
    assert found == ("a/default",)
    assert explain_route(job(strategy="quality"), bound, catalog).routes == found


# What is remembered.


def test_changed_configuration_is_routed_by_at_once() -> None:
    catalog: Catalog = CATALOG
    for primary in ("b/other", "c/third", "b/other"):
        assert routes_for(job(), configured(primary=primary), catalog) == (primary,)


def test_jobs_that_need_something_else_do_not_share_routes() -> None:
    tools = [{"name": "look"}]
    catalog = made_of(model("a/default"), model("b/tools", capabilities=["tools"]))
    own = configured(routing={"generate": ("a/default", "b/tools")})
    assert routes_for(job(), own, catalog) == ("a/default", "b/tools")
    assert routes_for(job(tools=tools), own, catalog) == ("b/tools",)
