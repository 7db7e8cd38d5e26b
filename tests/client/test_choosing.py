"""The quick choice of a strategy is the choice of the comparison that explains it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_client.choosing import choosing_from
from penstock_client.routing import AnyJob, explain_route, routes_for
from penstock_client.scoring import WEIGHTS
from penstock_schemas.catalog import Catalog, Model, catalog
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason
from tests.client.routed import config, made_of, model

TODAY = date(2026, 11, 21)
#: Few prices, so that many are equal, and some that differ by almost nothing.
PRICES = st.sampled_from([None, "0", "0.1", "0.1", "1", "1.0000000000001", "1.00000001", "7.5"])


@st.composite
def models(draw: st.DrawFn) -> Catalog:
    rows: list[Model] = []
    for number in range(draw(st.integers(1, 7))):
        fields: dict[str, Any] = {
            "input_usd_per_mtok": draw(PRICES),
            "output_usd_per_mtok": draw(PRICES),
            "speed_tier": draw(st.sampled_from(["fast", "standard", "slow"])),
            "quality_tier": draw(st.sampled_from(["best", "good", "basic"])),
            "context_window": draw(st.sampled_from([None, 1_000, 2_000, 100_000])),
            "max_output_tokens": draw(st.sampled_from([None, 500, 5_000])),
            "long_context_above_tokens": draw(st.sampled_from([None, 800, 1_500])),
            "retires_on": draw(st.sampled_from([None, TODAY])),
            "capabilities": draw(st.sets(st.sampled_from(["json", "schema", "reasoning"]))),
        }
        provider = draw(st.sampled_from("abc"))
        rows.append(model(f"{provider}/m{number}", None, **fields))
    return made_of(*rows)


@st.composite
def jobs(draw: st.DrawFn) -> AnyJob:
    shared: dict[str, Any] = {"workspace": "acme", "strategy": draw(st.sampled_from(list(WEIGHTS)))}
    text = "x" * draw(st.integers(1, 9_000))
    limit = {"max_tokens": draw(st.sampled_from([None, 10, 900]))}
    return draw(
        st.sampled_from(
            [
                Generate(prompt=text, **shared, **limit),
                Reason(prompt=text, **shared, **limit),
                Classify(text=text, labels=("a",), **shared, **limit),
                Extract(text=text, output_schema={"a": 1}, **shared, **limit),
                Embed(input=(text,), **shared),
            ]
        )
    )


def explained(job: AnyJob, known: Catalog, **given_: Any) -> tuple[str, ...]:
    return explain_route(job, config(), known, today=TODAY, **given_).routes


def quickly(job: AnyJob, known: Catalog, **given_: Any) -> tuple[str, ...]:
    try:
        return routes_for(job, config(), known, today=TODAY, **given_)
    except InvalidJob:
        return ()


@settings(max_examples=300, deadline=None)
@given(
    known=models(),
    asked=st.lists(jobs(), min_size=1, max_size=4),
    alive=st.none() | st.sets(st.sampled_from("abc")),
)
def test_choice_is_that_of_the_explanation(
    known: Catalog, asked: list[AnyJob], alive: set[str] | None
) -> None:
    at = {"providers": {"a", "b", "c"}, "alive": alive}
    for job in asked:
        assert quickly(job, known, **at) == explained(job, known, **at)


@pytest.mark.parametrize("strategy", WEIGHTS)
@pytest.mark.parametrize("size", [1, 3_000, 100_000, 700_000, 3_000_000])
def test_choice_in_the_packaged_catalogue_is_that_of_the_explanation(
    strategy: Any, size: int
) -> None:
    everywhere = {provider.name for provider in catalog().providers}
    for kind in (Generate, Reason):
        job = kind(workspace="acme", prompt="x" * size, strategy=strategy)
        assert quickly(job, catalog(), providers=everywhere) == explained(
            job, catalog(), providers=everywhere
        )


def test_choice_follows_a_changed_catalogue() -> None:
    job = Generate(workspace="acme", prompt="hi", strategy="cost")
    dear, cheap = model("a/m", "9"), model("a/n", "1")
    before = made_of(dear, cheap)
    assert quickly(job, before)[0] == "a/n"
    after = made_of(model("a/m", "0.5"), cheap)
    assert quickly(job, after)[0] == "a/m"


def test_choice_follows_the_day() -> None:
    known = made_of(model("a/gone", "0", retires_on=TODAY), model("a/stays", "1"))
    job = Generate(workspace="acme", prompt="hi", strategy="cost")
    before = routes_for(job, config(), known, today=date(2026, 11, 20))
    assert (before[0], quickly(job, known)[0]) == ("a/gone", "a/stays")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_client.choosing._MOST_KEPT", 3)
    known = made_of(model("a/m"))
    for number in range(10):
        job = Generate(workspace="acme", prompt="hi", strategy="cost", max_tokens=number + 1)
        assert routes_for(job, config(**{f"c{number}": ("a/m",)}), known) == ("a/m",)
    assert len(choosing_from(known).providers) <= 3
