"""A strategy's choice among the models that can do the job, and the explanation of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_client import Penstock
from penstock_client.routing import MAX_ROUTES, Candidate, explain_route, providers_of, routes_for
from penstock_client.scoring import WEIGHTS
from penstock_schemas.catalog import Catalog, Model, catalog
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason, Strategy
from tests.client.routed import TEXT_CAPABILITIES, config, made_of, model

TODAY = date(2026, 11, 21)
STRATEGIES = tuple(WEIGHTS)


def generate(strategy: Strategy | None = "cost", **fields: Any) -> Generate:
    if "messages" not in fields:
        fields = {"prompt": "hi", **fields}
    return Generate.model_validate({"workspace": "acme", "strategy": strategy, **fields})


def best(models: Catalog, job: Any, **routing: tuple[str, ...]) -> str:
    return routes_for(job, config(**routing), models, today=TODAY)[0]


def candidate(models: Catalog, job: Any, ref: str, **routing: tuple[str, ...]) -> Candidate:
    explained = explain_route(job, config(**routing), models, today=TODAY)
    return next(found for found in explained.candidates if found.ref == ref)


CHEAP = model("a/cheap", "0.1", speed_tier="standard", quality_tier="basic")
FAST = model("a/fast", "5", speed_tier="fast", quality_tier="basic")
CLEVER = model("a/clever", "5", speed_tier="slow", quality_tier="best")
EVEN = model("a/even", "0.5", speed_tier="fast", quality_tier="good")
DEAR = model("a/dear", "30", speed_tier="slow", quality_tier="basic")
FOUR = made_of(DEAR, CHEAP, FAST, CLEVER, EVEN)


# The choice.


@pytest.mark.parametrize(
    ("strategy", "chosen"),
    [("cost", CHEAP), ("speed", EVEN), ("quality", CLEVER), ("balanced", EVEN)],
)
def test_strategy_chooses_its_best(strategy: Strategy, chosen: Model) -> None:
    assert best(FOUR, generate(strategy)) == chosen.ref


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_weights_add_up_to_one(strategy: Strategy) -> None:
    weights = WEIGHTS[strategy]
    assert weights.cost + weights.speed + weights.quality == pytest.approx(1)


def test_cost_is_that_of_this_jobs_tokens() -> None:
    reader = model("a/reader", "0", input_usd_per_mtok="0.1", output_usd_per_mtok="9")
    writer = model("a/writer", "0", input_usd_per_mtok="9", output_usd_per_mtok="0.1")
    models = made_of(reader, writer)
    assert best(models, generate(prompt="x" * 100_000, max_tokens=10)) == reader.ref
    assert best(models, generate(prompt="x", max_tokens=10_000)) == writer.ref


def test_cost_that_is_unknown_comes_last() -> None:
    unknown = model("a/unknown", None)
    assert best(made_of(unknown, DEAR), generate()) == DEAR.ref


def test_cost_of_a_local_model_is_the_least() -> None:
    assert best(made_of(CHEAP, model("a/own", "0")), generate()) == "a/own"


@pytest.mark.parametrize(("factor", "dearer"), [({}, "1.5"), ({"long_context_factor": 5}, "4.5")])
def test_cost_of_a_long_prompt_is_that_of_long_prompts(factor: dict[str, Any], dearer: str) -> None:
    short = model("a/short", "1", long_context_above_tokens=1000, **factor)
    models = made_of(short, model("a/wide", dearer))
    assert best(models, generate(prompt="x" * 3_000)) == "a/short"
    assert best(models, generate(prompt="x" * 30_000)) == "a/wide"


def test_equal_models_go_by_name() -> None:
    assert best(made_of(model("a/two"), model("a/one")), generate()) == "a/one"


@settings(max_examples=60, deadline=None)
@given(
    prices=st.lists(st.decimals(min_value=0, max_value=100, places=3), min_size=2, max_size=6),
    strategy=st.sampled_from(STRATEGIES),
)
def test_choice_does_not_depend_on_the_catalogues_order(
    prices: list[Decimal], strategy: Strategy
) -> None:
    rows = [model(f"a/m{number}", str(price)) for number, price in enumerate(prices)]
    job = generate(strategy)
    chosen = best(made_of(*rows), job)
    assert best(made_of(*reversed(rows)), job) == chosen
    assert Decimal(prices[int(chosen[3:])]) == min(prices)


# What can do the job.


@pytest.mark.parametrize(
    ("job", "able"),
    [
        (generate(tools=[{"name": "t"}]), {"capabilities": ["tools"]}),
        (
            generate(messages=[{"role": "user", "content": [{"type": "image", "url": "u"}]}]),
            {"capabilities": ["vision"]},
        ),
        (generate(schema={"type": "object"}), {"capabilities": ["schema"]}),
        (generate(json=True), {"capabilities": ["json"]}),
        (
            Extract(workspace="acme", text="x", output_schema={"a": 1}, strategy="cost"),
            {"capabilities": ["schema"]},
        ),
        (
            Classify(workspace="acme", text="x", labels=("a",), strategy="cost"),
            {"capabilities": ["json"]},
        ),
        (Reason(workspace="acme", prompt="x", strategy="cost"), {"capabilities": ["reasoning"]}),
        (generate(prompt="x" * 40_000), {"context_window": 20_000}),
        (generate(max_tokens=9_500), {"context_window": 20_000}),
        (generate(max_tokens=6_000), {"max_output_tokens": 8_000}),
    ],
)
def test_strategy_passes_over_what_cannot_do_the_job(job: Any, able: dict[str, Any]) -> None:
    weak = {"context_window": 9_000, "capabilities": [], "max_output_tokens": 5_000}
    strong = {"context_window": 9_000, "capabilities": [], **able}
    models = made_of(model("a/weak", "0", **weak), model("a/strong", "9", **strong))
    assert best(models, job) == "a/strong"


def test_strategy_passes_over_what_has_retired() -> None:
    models = made_of(model("a/gone", "0", retires_on=TODAY), DEAR)
    assert best(models, generate()) == DEAR.ref
    assert candidate(models, generate(), "a/gone").why.endswith("retired on 2026-11-21")


def test_strategy_never_makes_vectors_with_a_chat_model() -> None:
    job = Embed(workspace="acme", input=("x",), strategy="cost")
    assert routes_for(job, config(), FOUR, today=TODAY) == ("a/vectors",)


def test_strategy_for_vectors_has_one_route() -> None:
    better = model("a/better", "0", kind="embedding", capabilities=[], dimensions=500)
    job = Embed(workspace="acme", input=("x",), strategy="cost")
    models = made_of(DEAR, better)
    assert routes_for(job, config(), models, today=TODAY) == ("a/better",)
    assert "cannot be compared" in candidate(models, job, "a/vectors").why


def test_strategy_for_vectors_minds_their_dimensions() -> None:
    small = model("a/small", "0", kind="embedding", capabilities=[], dimensions=50)
    job = Embed(workspace="acme", input=("x",), strategy="cost", dimensions=80)
    assert best(made_of(DEAR, small), job) == "a/vectors"


# The rules before and after it.


def test_pinned_model_goes_before_a_strategy() -> None:
    job = generate("cost", model=CLEVER.ref)
    assert routes_for(job, config(), FOUR, today=TODAY) == (CLEVER.ref,)


def test_routes_of_a_strategy_end_in_those_of_the_workspace() -> None:
    routes = routes_for(
        generate(), config(generate=(CLEVER.ref, CHEAP.ref, FAST.ref)), FOUR, today=TODAY
    )
    assert routes == (CHEAP.ref, CLEVER.ref, FAST.ref)


def test_routes_of_a_strategy_are_bounded() -> None:
    rows = [model(f"a/m{number}") for number in range(9)]
    routing = tuple(row.ref for row in rows[1:])
    explained = explain_route(
        generate(), config(generate=routing), made_of(CHEAP, *rows), today=TODAY
    )
    assert len(explained.routes) == MAX_ROUTES
    left = [found for found in explained.candidates if found.ref == routing[-1]]
    assert [(found.taken, "at most" in found.why) for found in left] == [(False, True)]


def test_strategy_that_finds_nothing_leaves_the_rules() -> None:
    models = made_of(model("a/old", retires_on=TODAY))
    assert routes_for(generate(), config(), models, today=TODAY) == ("a/old",)


def test_strategy_finds_what_the_rules_cannot_do() -> None:
    sees = model("a/sees", "9", capabilities=["vision"])
    job = generate(messages=[{"role": "user", "content": [{"type": "image", "url": "u"}]}])
    assert routes_for(job, config(), made_of(CHEAP, sees), today=TODAY) == ("a/sees",)


def test_strategy_refuses_what_nothing_can_do() -> None:
    with pytest.raises(InvalidJob, match="strategy 'cost'"):
        routes_for(generate(tools=[{"name": "t"}]), config(), FOUR, today=TODAY)


# The providers that it may choose from.


ELSEWHERE = made_of(DEAR, model("b/free", "0"), model("c/free", "0"))


def test_strategy_stays_at_the_providers_that_the_routing_names() -> None:
    assert best(ELSEWHERE, generate()) == DEAR.ref
    assert best(ELSEWHERE, generate(), reason=("c/free",)) == "c/free"


def test_strategy_takes_the_providers_that_it_is_given() -> None:
    routes = routes_for(generate(), config(), ELSEWHERE, providers={"b"}, today=TODAY)
    assert routes == ("b/free", DEAR.ref)


def test_providers_of_a_workspace_that_routes_everything_itself_are_its_own() -> None:
    own = dict.fromkeys(TEXT_CAPABILITIES, ("b/free",))
    assert providers_of(generate(), config(**own), ELSEWHERE) == {"b"}


def test_providers_of_the_default_routing_include_those_of_its_fallbacks() -> None:
    named = {
        ref.partition("/")[0]
        for capability in TEXT_CAPABILITIES
        for ref in catalog().capabilities[capability].routes
    }
    assert providers_of(generate(), config(), catalog()) == named


def test_providers_survive_a_routing_that_names_no_model() -> None:
    assert providers_of(generate(), config(other=("no-such-family",)), ELSEWHERE) == {"a"}


# The explanation.


def test_explanation_has_every_model_of_the_providers_once() -> None:
    explained = explain_route(generate(), config(), FOUR, today=TODAY)
    refs = [found.ref for found in explained.candidates]
    assert sorted(refs) == sorted(row.ref for row in FOUR.models if row.kind == "chat")
    assert tuple(found.ref for found in explained.candidates if found.taken) == explained.routes


def test_explanation_begins_with_the_routes_in_order() -> None:
    explained = explain_route(generate(), config(generate=(CLEVER.ref,)), FOUR, today=TODAY)
    assert tuple(found.ref for found in explained.candidates[:2]) == explained.routes


def test_explanation_says_what_the_job_may_cost() -> None:
    found = candidate(FOUR, generate(max_tokens=999_999, prompt="x"), CHEAP.ref)
    assert found.cost_usd == Decimal("0.1")


def test_explanation_says_why_the_chosen_one_is() -> None:
    assert candidate(FOUR, generate("quality"), CLEVER.ref).why == "the best by quality"
    assert candidate(FOUR, generate("quality"), CHEAP.ref).why.startswith("number ")


def test_explanation_takes_the_tokens_that_it_is_told() -> None:
    explained = explain_route(generate(), config(), FOUR, today=TODAY, input_tokens=99_500)
    assert explained.needs.input_tokens == 99_500
    assert all("window" in found.why for found in explained.candidates if not found.taken)


def test_packaged_catalogue_has_a_choice_for_every_kind_of_job() -> None:
    jobs = (
        generate(),
        Reason(workspace="acme", prompt="x", strategy="quality"),
        Classify(workspace="acme", text="x", labels=("a",), strategy="speed"),
        Extract(workspace="acme", text="x", output_schema={"a": 1}, strategy="balanced"),
        Embed(workspace="acme", input=("x",), strategy="cost"),
    )
    for job in jobs:
        routes = routes_for(job, config(), catalog(), today=TODAY)
        assert catalog().model(routes[0]).is_active(TODAY)


# As a producer meets it.


async def test_submitted_job_is_placed_by_its_strategy_and_answered(
    penstock: Penstock, work_for: Callable[..., Awaitable[None]]
) -> None:
    job = generate("cost")
    own = await penstock.workspaces.get("acme")
    provider, _, name = routes_for(job, own, penstock.catalog)[0].partition("/")
    await work_for(provider)
    result = await penstock.call(job, timeout_s=20)
    assert (result.provider, result.model) == (provider, name)


async def test_submitted_job_that_no_model_can_do_is_refused_and_not_recorded(
    penstock: Penstock,
) -> None:
    picture = [{"role": "user", "content": [{"type": "image", "url": "https://example.com/"}]}]
    with pytest.raises(InvalidJob, match="takes no images"):
        await penstock.submit(generate(None, capability="classify", messages=picture))
    assert await penstock.jobs("acme") == []
