"""Changes laid over a catalogue: in order, row by row, and never all or nothing."""

from __future__ import annotations

from decimal import Decimal

from penstock_schemas.catalog import catalog
from penstock_schemas.changes import Changes, switched, with_changes

CATALOG = catalog()
PRICE = "input_usd_per_mtok"


def test_later_changes_go_before_earlier_ones_field_by_field() -> None:
    first = Changes(models={"openai/gpt-4o": {PRICE: 1, "output_usd_per_mtok": 2}})
    second = Changes(models={"openai/gpt-4o": {PRICE: 3}})
    model = with_changes(with_changes(CATALOG, first).catalog, second).catalog.model("gpt-4o")
    assert (model.input_usd_per_mtok, model.output_usd_per_mtok) == (3, 2)


def test_row_with_a_mistake_stays_as_it_was_and_the_others_change() -> None:
    changes = Changes(
        models={"openai/gpt-4o": {PRICE: -1}, "openai/gpt-4o-mini": {PRICE: Decimal("0.1")}}
    )
    changed = with_changes(CATALOG, changes)
    assert changed.catalog.model("openai/gpt-4o") == CATALOG.model("openai/gpt-4o")
    assert changed.catalog.model("openai/gpt-4o-mini").input_usd_per_mtok == Decimal("0.1")
    (line,) = changed.mistakes
    assert line.startswith(f"models.openai/gpt-4o.{PRICE}: ")


def test_new_provider_with_a_mistake_is_left_out_with_its_models() -> None:
    changes = Changes(
        providers={"acme": {"wire": "carrier_pigeon", "base_url": "https://x"}},
        models={"acme/big": {}},
    )
    changed = with_changes(CATALOG, changes)
    assert "acme" not in {row.name for row in changed.catalog.providers}
    assert [line.partition(":")[0] for line in changed.mistakes] == [
        "providers.acme.wire",
        "models.acme/big",
    ]


def test_package_is_never_changed() -> None:
    before = CATALOG.model("openai/gpt-4o").input_usd_per_mtok
    with_changes(CATALOG, Changes(models={"openai/gpt-4o": {PRICE: 99}}))
    assert catalog().model("openai/gpt-4o").input_usd_per_mtok == before


def test_provider_that_is_switched_off_takes_its_models_with_it() -> None:
    off = with_changes(CATALOG, Changes(providers={"openai": {"is_active": False}})).catalog
    known = switched(off)
    assert {model.active for model in known.models_of("openai")} == {False}
    assert known.resolve("openai/not-listed").active is False
    assert known.resolve("mistral/mistral-large-latest").active is None


def test_provider_that_is_switched_on_again_has_its_models_as_before() -> None:
    off = with_changes(CATALOG, Changes(providers={"openai": {"is_active": False}})).catalog
    on = with_changes(off, Changes(providers={"openai": {"is_active": True}})).catalog
    assert switched(on) == CATALOG
