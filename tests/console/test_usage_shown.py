"""Rows of usage as the page shows them: spans, groups, colours, and sums that add up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock_client.usage_rows import UsageRow, added_up
from penstock_gateway.console.usage_shown import MOST_SERIES, span_of, usage_shown

NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def row(day: int, skill: str, cost: str | None = "1", **fields: Any) -> UsageRow:
    given: dict[str, Any] = {
        "calls": 2,
        "succeeded": 2,
        "failed": 0,
        "abandoned": 0,
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "unpriced": 2 if cost is None else 0,
        "simulated": 0,
        "duration_ms": 100,
    }
    group = {"day": date(2026, 11, day), "skill": skill}
    dollars = None if cost is None else Decimal(cost)
    return UsageRow(group=group, cost_usd=dollars, **(given | fields))


@pytest.mark.parametrize(("zone", "last"), [("UTC", 21), ("Europe/Berlin", 22)])
def test_span_of_days_ends_today_where_the_workspace_is(zone: str, last: int) -> None:
    span = span_of("7d", now=NOW, time_zone=zone)
    assert len(span.buckets) == 7
    assert span.buckets[-1] == date(2026, 11, last)


def test_span_of_days_begins_at_midnight_of_the_zone() -> None:
    span = span_of("7d", now=NOW, time_zone="Europe/Berlin")
    assert span.since == datetime(2026, 11, 15, 23, tzinfo=UTC)


def test_span_of_a_month_begins_with_its_first_day() -> None:
    span = span_of("month", now=NOW, time_zone="UTC")
    assert span.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert len(span.buckets) == 21


def test_span_of_a_day_has_whole_hours() -> None:
    span = span_of("24h", now=NOW, time_zone="UTC")
    assert (len(span.buckets), span.time) == (24, "hour")
    assert span.buckets[-1] == datetime(2026, 11, 21, 23, tzinfo=UTC)


def test_usage_has_a_bucket_for_days_without_calls() -> None:
    shown = usage_shown([row(20, "a")], span_of("7d", now=NOW, time_zone="UTC"), by="skill")
    assert [each.usage.calls for each in shown.buckets] == [0, 0, 0, 0, 0, 2, 0]


def test_usage_adds_up_by_time_by_group_and_by_colour() -> None:
    rows = [row(15 + n % 7, f"skill-{n}", cost=f"0.{n + 1:02d}") for n in range(20)]
    shown = usage_shown(rows, span_of("7d", now=NOW, time_zone="UTC"), by="skill")
    assert added_up([each.usage for each in shown.buckets]) == shown.total
    assert added_up([each.usage for each in shown.groups]) == shown.total
    assert sum(sum(each.tokens) for each in shown.series) == shown.total.total_tokens
    assert sum(each.share for each in shown.groups) == pytest.approx(1)


def test_usage_gives_the_dearest_a_colour_and_the_others_one() -> None:
    rows = [row(20, f"skill-{n}", cost=f"{n}") for n in range(1, 10)]
    shown = usage_shown(rows, span_of("7d", now=NOW, time_zone="UTC"), by="skill")
    assert [each.name for each in shown.groups[:2]] == ["skill-9", "skill-8"]
    assert [each.colour for each in shown.groups] == [1, 2, 3, 4, 5, 0, 0, 0, 0]
    assert [each.name for each in shown.series][-1] == "others"
    assert len(shown.series) == MOST_SERIES + 1


def test_usage_of_six_groups_calls_none_of_them_others() -> None:
    rows = [row(20, f"skill-{n}") for n in range(6)]
    shown = usage_shown(rows, span_of("7d", now=NOW, time_zone="UTC"), by="skill")
    assert sorted(each.colour for each in shown.groups) == [1, 2, 3, 4, 5, 6]


def test_usage_of_unknown_price_is_not_free() -> None:
    shown = usage_shown(
        [row(20, "a", cost=None)], span_of("7d", now=NOW, time_zone="UTC"), by="skill"
    )
    assert (shown.total.cost_usd, shown.total.unpriced) == (None, 2)
    assert shown.groups[0].share == 1


def test_chart_of_days_stands_at_midnight_of_utc() -> None:
    shown = usage_shown([row(20, "a")], span_of("7d", now=NOW, time_zone="UTC"), by="skill")
    chart = shown.chart("cost_usd")
    assert chart["at"][5] == datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    assert chart["series"][0]["values"][5] == 1.0
