"""What a backfill's page shows, from how it stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from penstock_gateway.console.backfill_views import BackfillShown, backfill_shown
from penstock_schemas.backfills import BackfillState, BackfillStatus

BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
STANDING: dict[str, Any] = {
    "backfill_id": "019aa0a4-0000-7000-8000-000000000000",
    "workspace": "acme",
    "name": "tickets",
    "status": BackfillState.RUNNING,
    "reason": None,
    "origin": "tickets.jsonl",
    "type": "classify",
    "model": None,
    "rows": 1000,
    "under_way": 100,
    "succeeded": 300,
    "failed": 40,
    "invalid": 10,
    "duplicates": 0,
    "adopted": 200,
    "errors": {"overloaded": 40, "invalid_row": 10},
    "calls": 340,
    "input_tokens": 1,
    "output_tokens": 1,
    "cost_usd": Decimal(1),
    "cost_unknown_rows": 0,
    "projected_cost_usd": None,
    "held_usd": Decimal("0.5"),
    "simulated_rows": 0,
    "window": 100,
    "rows_per_call": 1,
    "max_cost_usd": Decimal(4),
    "max_error_rate": None,
    "sample": None,
    "estimate": None,
    "rows_per_s": 10.0,
    "left_s": 45.0,
    "webhook": None,
    "created_at": BEGAN,
    "started_at": BEGAN,
    "finished_at": None,
    "kept": True,
    "version": 1,
}


def shown(**changes: Any) -> BackfillShown:
    """A backfill that runs, with these changes."""
    return backfill_shown(BackfillStatus.model_validate(STANDING | changes))


def test_backfill_bar_adds_up_to_the_rows_that_are_done_or_under_way() -> None:
    found = shown()
    widths = (found.answered_width, found.failed_width, found.under_way_width)
    assert widths == (50.0, 5.0, 10.0)
    assert (found.answered, found.share) == (500, 0.55)


@pytest.mark.parametrize("under_way", [1, 1000])
def test_backfill_bar_never_exceeds_its_whole(under_way: int) -> None:
    found = shown(succeeded=795, failed=4, invalid=0, adopted=200, under_way=under_way)
    assert found.answered_width + found.failed_width + found.under_way_width <= 100


def test_backfill_bar_shows_a_single_row_of_many() -> None:
    assert shown(rows=1_000_000, failed=1, invalid=0).failed_width == 0.4


def test_backfill_without_rows_has_no_share() -> None:
    found = shown(rows=0, succeeded=0, failed=0, invalid=0, adopted=0, under_way=0, errors={})
    assert (found.share, found.answered_width, found.can_export) == (None, 0.0, False)


def test_backfill_shows_errors_in_words_with_their_share() -> None:
    first, second = shown().errors
    assert (first.kind, first.rows, first.width) == ("overloaded", 40, 80.0)
    assert (second.kind, second.width) == ("the row could not be asked", 20.0)


def test_backfill_shows_what_is_spent_and_held_of_its_ceiling() -> None:
    found = shown()
    assert (found.cost_width, found.held_width) == (25.0, 12.5)
    over = shown(cost_usd=Decimal("3.9"), held_usd=Decimal(1))
    assert over.cost_width + over.held_width <= 100


@pytest.mark.parametrize(
    ("state", "can"),
    [
        ("loading", {"export"}),
        ("running", {"pause", "retry", "export"}),
        ("paused", {"resume", "retry", "export"}),
        ("failed", {"retry", "export"}),
        ("cancelled", {"export"}),
    ],
)
def test_backfill_offers_what_its_state_allows(state: str, can: set[str]) -> None:
    found = shown(status=state)
    names = ("pause", "resume", "retry", "export")
    assert {name for name in names if getattr(found, f"can_{name}")} == can


def test_backfill_says_how_much_was_simulated() -> None:
    told = [shown(simulated_rows=rows).simulated for rows in (0, 20, 500)]
    assert told == [None, "20 simulated", "simulated"]


def test_backfill_took_from_its_start_to_its_end() -> None:
    assert shown().took_s is None
    assert shown(finished_at=BEGAN + timedelta(minutes=2)).took_s == 120
