"""Where a job may go, and how many tokens to expect."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.routing import estimate_tokens, routes_for
from penstock_schemas.catalog import catalog
from penstock_schemas.errors import UnknownModel, UnknownProvider
from penstock_schemas.jobs import Classify, Embed, Generate, Reason
from tests.client.routed import config

CATALOG = catalog()
GENERATE, CLASSIFY = CATALOG.capabilities["generate"], CATALOG.capabilities["classify"]


def generate(**fields: Any) -> Generate:
    return Generate.model_validate({"workspace": "acme", "prompt": "hi", **fields})


def provider_of(ref: str) -> str:
    return ref.partition("/")[0]


# A pinned model.


def test_routes_of_a_pinned_model_are_that_model_alone() -> None:
    routing = config(generate=("openai/gpt-4o",))
    assert routes_for(generate(model="groq/llama-x"), routing, CATALOG) == ("groq/llama-x",)


def test_routes_of_a_pinned_bare_name_find_its_provider() -> None:
    assert routes_for(generate(model="gpt-4o"), config(), CATALOG) == ("openai/gpt-4o",)


def test_routes_of_a_model_that_is_not_listed_yet_go_to_its_provider() -> None:
    assert routes_for(generate(model="openai/gpt-99"), config(), CATALOG) == ("openai/gpt-99",)


@pytest.mark.parametrize(
    ("model", "error"), [("nowhere/model", UnknownProvider), ("no-such-family", UnknownModel)]
)
def test_routes_of_a_name_without_a_place_are_refused(model: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=model.partition("/")[0]):
        routes_for(generate(model=model), config(), CATALOG)


# The workspace's own routing.


@pytest.mark.parametrize("chosen", [("openai/gpt-4o",), ("openai/gpt-4o", "groq/llama-x")])
def test_routes_of_the_workspace_are_taken_as_they_stand(chosen: tuple[str, ...]) -> None:
    assert routes_for(generate(), config(generate=chosen), CATALOG) == chosen


def test_routes_of_the_workspace_may_be_bare_names() -> None:
    assert routes_for(generate(), config(generate=("gpt-4o",)), CATALOG) == ("openai/gpt-4o",)


def test_routes_of_the_workspace_serve_a_capability_of_its_own() -> None:
    routing = config(haiku=("openai/gpt-4o",))
    assert routes_for(generate(capability="haiku"), routing, CATALOG) == ("openai/gpt-4o",)


def test_routes_of_the_workspace_serve_their_capability_only() -> None:
    routing = config(reason=("openai/gpt-4o",))
    assert routes_for(generate(), routing, CATALOG) == routes_for(generate(), config(), CATALOG)


def test_routes_of_the_workspace_naming_no_provider_are_refused() -> None:
    with pytest.raises(UnknownModel):
        routes_for(generate(), config(generate=("no-such-family",)), CATALOG)


# The default routing.


@pytest.mark.parametrize("capability", sorted(CATALOG.capabilities))
def test_routes_by_default_begin_with_the_capabilitys_model_and_stay_at_its_provider(
    capability: str,
) -> None:
    default = CATALOG.capabilities[capability]
    embed = Embed(workspace="acme", input=("x",))
    job = embed if capability == "embed" else generate(capability=capability)
    routes = routes_for(job, config(), CATALOG)
    assert routes[0] == default.model
    assert routes == tuple(
        ref for ref in default.routes if provider_of(ref) == provider_of(default.model)
    )


def test_routes_by_default_leave_out_fallbacks_at_other_providers() -> None:
    fallbacks = {provider_of(ref) for ref in CLASSIFY.fallbacks}
    job = Classify(workspace="acme", text="x", labels=("a", "b"))
    routes = routes_for(job, config(), CATALOG)
    assert fallbacks > {provider_of(ref) for ref in routes}
    assert len(routes) > 1


def test_routes_of_a_workspace_that_names_the_default_have_its_fallbacks_too() -> None:
    routing = config(generate=(GENERATE.model,))
    assert routes_for(generate(), routing, CATALOG) == routes_for(generate(), config(), CATALOG)


@pytest.mark.parametrize(
    "job",
    [
        Reason(workspace="acme", prompt="why?", capability="ponder"),
        Embed(workspace="acme", input=("x",), capability="ponder"),
    ],
)
def test_routes_of_an_unknown_capability_are_those_of_the_kind_of_job(job: Any) -> None:
    usual = job.model_copy(update={"capability": job.type})
    assert routes_for(job, config(), CATALOG) == routes_for(usual, config(), CATALOG)


def test_routes_of_embeddings_never_change_the_model() -> None:
    embed = Embed(workspace="acme", input=("x",))
    assert len(routes_for(embed, config(), CATALOG)) == 1


# Estimates.


def test_estimate_counts_four_characters_a_token() -> None:
    assert estimate_tokens(generate(), b"x" * 400, CATALOG)[0] == 100


def test_estimate_is_never_nothing() -> None:
    assert estimate_tokens(generate(), b"", CATALOG)[0] == 1


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (generate(max_tokens=7), 7),
        (generate(), GENERATE.max_output_tokens),
        (generate(capability="classify"), CLASSIFY.max_output_tokens),
        (generate(capability="haiku"), GENERATE.max_output_tokens),
        (Embed(workspace="acme", input=("x",)), 0),
    ],
)
def test_estimate_of_the_answer_is_what_it_may_be_at_most(job: Any, expected: int) -> None:
    assert estimate_tokens(job, b"x", CATALOG)[1] == expected
