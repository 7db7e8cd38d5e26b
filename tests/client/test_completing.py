"""What a job that does not say gets from the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.completing import (
    BULK_ABOVE,
    lane_of,
    with_attempts,
    with_configuration,
    with_defaults,
)
from penstock_client.ledger import Configuration
from penstock_schemas.catalog import JobDefaults, catalog
from penstock_schemas.jobs import Embed, Generate
from penstock_schemas.status import Lane

OPENAI = catalog().provider("openai")


def generate(**fields: Any) -> Generate:
    return Generate(workspace="acme", prompt="hi", **fields)


def test_job_without_defaults_is_the_very_job() -> None:
    job = generate()
    assert with_attempts(with_defaults(job, JobDefaults()), OPENAI) is job


@pytest.mark.parametrize(
    ("fields", "lane"), [({}, "bulk"), ({"lane": "interactive"}, "interactive")]
)
def test_lane_is_the_configured_one_unless_the_job_names_its_own(
    fields: dict[str, Any], lane: str
) -> None:
    assert with_defaults(generate(**fields), JobDefaults(lane="bulk")).lane == lane


@pytest.mark.parametrize(
    ("together", "fields", "lane"),
    [
        (BULK_ABOVE, {}, Lane.INTERACTIVE),
        (BULK_ABOVE + 1, {}, Lane.BULK),
        (BULK_ABOVE + 1, {"lane": "interactive"}, Lane.INTERACTIVE),
        (1, {"lane": "background"}, Lane.BACKGROUND),
    ],
)
def test_many_jobs_together_are_bulk_unless_they_name_a_lane(
    together: int, fields: dict[str, Any], lane: Lane
) -> None:
    assert lane_of(generate(**fields), together=together) is lane


@pytest.mark.parametrize(("fields", "strategy"), [({}, "cost"), ({"strategy": "speed"}, "speed")])
def test_strategy_is_the_configured_one_unless_the_job_names_its_own(
    fields: dict[str, Any], strategy: str
) -> None:
    assert with_defaults(generate(**fields), JobDefaults(strategy="cost")).strategy == strategy


def test_strategy_is_never_given_to_embeddings() -> None:
    job = Embed(workspace="acme", input=("hi",))
    assert with_defaults(job, JobDefaults(strategy="cost")).strategy is None


@pytest.mark.parametrize(
    ("fields", "configured", "attempts"),
    [({}, None, 5), ({}, 2, 2), ({"max_attempts": 5}, 2, 5), ({"max_attempts": 9}, 2, 9)],
)
def test_attempts_are_the_jobs_then_its_providers(
    fields: dict[str, Any], configured: int | None, attempts: int
) -> None:
    provider = OPENAI.model_copy(update={"max_attempts": configured})
    assert with_attempts(generate(**fields), provider).max_attempts == attempts


# What a configuration adds.


def configured(*routes: str, given: Generate | Embed, **fields: Any) -> Any:
    return with_configuration(given, Configuration(**fields), routes=routes, catalog=catalog())


def test_job_gets_what_its_configuration_says() -> None:
    given = generate()
    found = configured("openai/gpt-4o", given=given, temperature=0.3, max_tokens=900)
    assert (found.temperature, found.max_tokens) == (0.3, 900)


def test_job_keeps_what_it_says_itself() -> None:
    given = generate(temperature=0.0, max_tokens=7)
    assert configured("openai/gpt-4o", given=given, temperature=0.3, max_tokens=900) is given


def test_job_of_a_configuration_that_says_nothing_is_the_very_job() -> None:
    given = generate()
    assert configured("openai/gpt-4o", given=given) is given


def test_configured_max_tokens_are_no_more_than_each_model_answers_with() -> None:
    routes = ("openai/gpt-4o", "anthropic/claude-3-5-haiku-20241022")
    assert configured(*routes, given=generate(), max_tokens=100_000).max_tokens == 8192


def test_configured_temperature_is_not_for_models_that_refuse_one() -> None:
    reasons = next(model.ref for model in catalog().models if model.reasoning)
    assert configured(reasons, given=generate(), temperature=0.7).temperature is None
    either = configured(reasons, "openai/gpt-4o", given=generate(), temperature=0.7)
    assert either.temperature == 0.7


@pytest.mark.parametrize("fields", [{"top_p": 0.5}, {"effort": "high"}])
def test_configured_temperature_is_not_put_beside_what_excludes_it(fields: dict[str, Any]) -> None:
    given = generate(**fields)
    assert configured("anthropic/claude-sonnet-4-6", given=given, temperature=0.7) is given


def test_embeddings_are_not_sampled() -> None:
    given = Embed(workspace="acme", input=("x",))
    assert configured("openai/gpt-4o", given=given, temperature=0.7, max_tokens=9) is given
