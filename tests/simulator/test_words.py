"""Choosing labels by shared words."""

from __future__ import annotations

import pytest

from penstock_worker.simulator.words import LabelIndex, label_index, name_stems, stem, stems

LABELS = (
    "card_arrival",
    "lost_or_stolen_card",
    "exchangeRate",
    "cancel transfer",
    "verify_identity",
    "top_up_failed",
)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Has my new card arrived yet?", "card_arrival"),
        ("Somebody stole my card!", "lost_or_stolen_card"),
        ("What are the exchange rates today", "exchangeRate"),
        ("I want to cancel a transfer that I made", "cancel transfer"),
        ("How do I verify my identity", "verify_identity"),
        ("My top up just failed", "top_up_failed"),
    ],
)
def test_best_picks_the_label_that_shares_words(text: str, label: str) -> None:
    assert LABELS[LabelIndex(LABELS).best(text, stems(text))] == label


def test_best_weighs_rare_label_words_more() -> None:
    labels = ("card_fee", "card_limit", "card_pin")
    assert labels[LabelIndex(labels).best("card card pin", stems("card card pin"))] == "card_pin"


def test_best_knows_kindred_words_of_common_labels() -> None:
    labels = ("positive", "negative")
    assert labels[LabelIndex(labels).best("", stems("I love it, truly great"))] == "positive"


def test_best_falls_back_to_a_catch_all() -> None:
    labels = ("refund", "other", "login")
    assert labels[LabelIndex(labels).best("zebra", stems("zebra"))] == "other"


def test_best_is_stable_without_overlap() -> None:
    index = LabelIndex(("a1", "b1", "c1"))
    assert index.best("zebra", ["zebra"]) == index.best("zebra", ["zebra"])


def test_name_stems_split_identifiers_alike() -> None:
    assert name_stems("cardArrival") == name_stems("card_arrival") == name_stems("card arrivals")


def test_stem_joins_forms_of_a_word() -> None:
    assert {stem(word) for word in ("transfer", "transfers", "transferred")} == {stem("transfer")}


def test_label_index_is_built_once_per_label_set() -> None:
    assert label_index(("x", "y")) is label_index(("x", "y"))
