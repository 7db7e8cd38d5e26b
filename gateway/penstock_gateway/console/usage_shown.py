"""Pure: rows of usage -> the figures, charts and tables of the usage page.

Everything comes from the same rows, so all of it adds up, and with what the API tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from penstock_client.usage_rows import UsageRow, added_up

Bucket = date | datetime
SpanName = Literal["24h", "7d", "30d", "90d", "month"]

SPANS: Final[Mapping[SpanName, str]] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "month": "this month",
}
_DAYS: Final[Mapping[str, int]] = {"7d": 7, "30d": 30, "90d": 90}
#: By what usage is told apart, with the columns of that.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "skill": ("skill",),
    "model": ("provider", "model"),
    "provider": ("provider",),
    "capability": ("capability",),
    "configuration": ("configuration",),
}
#: Groups with a colour of their own; the others are one.
MOST_SERIES: Final = 5


@dataclass(frozen=True, slots=True)
class Span:
    """A time to look at: since when, and the hours or days that it falls into, oldest first."""

    time: Literal["day", "hour"]
    since: datetime
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupShown:
    """One group. `value` chooses it in a filter, `colour` is its series, 0 for the others."""

    name: str
    value: str
    colour: int
    usage: UsageRow
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketShown:
    """The usage of one hour or day."""

    bucket: Bucket
    usage: UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One colour of the charts, a value for each bucket."""

    name: str
    colour: int
    tokens: tuple[int, ...]
    cost_usd: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageShown:
    """The whole page but its calls."""

    time: Literal["day", "hour"]
    total: UsageRow
    buckets: tuple[BucketShown, ...]
    groups: tuple[GroupShown, ...]
    series: tuple[Series, ...]

    def chart(self, figure: Literal["tokens", "cost_usd"]) -> dict[str, Any]:
        """One chart, as its script takes it: seconds, and values from the bottom up."""
        return {
            "time": self.time,
            "figure": figure,
            "at": [_seconds(each.bucket) for each in self.buckets],
            "series": [
                {"name": each.name, "colour": each.colour, "values": getattr(each, figure)}
                for each in self.series
            ],
        }


def span_of(name: SpanName, *, now: datetime, time_zone: str) -> Span:
    """The hours or days of a span, the present one too; days are those of the zone."""
    if name == "24h":
        last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = tuple(last - timedelta(hours=back) for back in range(23, -1, -1))
        return Span("hour", hours[0], hours)
    zone = ZoneInfo(time_zone)
    today = now.astimezone(zone).date()
    back = today.day if name == "month" else _DAYS[name]
    days = tuple(today - timedelta(days=ago) for ago in range(back - 1, -1, -1))
    return Span("day", datetime.combine(days[0], time(), zone).astimezone(UTC), days)


def usage_shown(rows: Sequence[UsageRow], span: Span, *, by: str) -> UsageShown:
    """What is shown of rows that were told apart by the span's time and by the columns of `by`."""
    of_group: dict[str, list[UsageRow]] = {}
    of_bucket: dict[Bucket, list[UsageRow]] = {each: [] for each in span.buckets}
    for row in rows:
        of_group.setdefault(_value(row, by), []).append(row)
        of_bucket.setdefault(_bucket(row, span), []).append(row)
    total = added_up(rows)
    groups = _groups(of_group, total, by=by)
    buckets = tuple(
        BucketShown(bucket=each, usage=added_up(of_bucket[each])) for each in sorted(of_bucket)
    )
    colours = {group.value: group.colour for group in groups}
    order = [each.bucket for each in buckets]
    names = {group.colour: group.name for group in groups if group.colour}
    series = [
        _series(names.get(colour, "others"), colour, order, of_bucket, colours=colours, by=by)
        for colour in (*names, *([0] if len(groups) > len(names) else []))
    ]
    return UsageShown(
        time=span.time, total=total, buckets=buckets, groups=groups, series=tuple(series)
    )


def _groups(
    of_group: Mapping[str, Sequence[UsageRow]], total: UsageRow, *, by: str
) -> tuple[GroupShown, ...]:
    """The groups, the most expensive first; their share is of the cost, else of the tokens."""
    summed = {value: added_up(rows) for value, rows in of_group.items()}

    def dearness(value: str) -> tuple[Decimal, int, int]:
        usage = summed[value]
        return (usage.cost_usd or Decimal(0), usage.total_tokens, usage.calls)

    all_have_one = len(summed) <= MOST_SERIES + 1
    most = MOST_SERIES + 1 if all_have_one else MOST_SERIES
    return tuple(
        GroupShown(
            name=value or f"no {by}",
            value=value,
            colour=place if place <= most else 0,
            usage=summed[value],
            share=_share(summed[value], total),
        )
        for place, value in enumerate(sorted(summed, key=dearness, reverse=True), start=1)
    )


def _share(usage: UsageRow, total: UsageRow) -> float:
    if total.cost_usd:
        return float((usage.cost_usd or Decimal(0)) / total.cost_usd)
    return usage.total_tokens / total.total_tokens if total.total_tokens else 0.0


def _series(
    name: str,
    colour: int,
    order: Sequence[Bucket],
    of_bucket: Mapping[Bucket, Sequence[UsageRow]],
    *,
    colours: Mapping[str, int],
    by: str,
) -> Series:
    found = [
        added_up([row for row in of_bucket[each] if colours[_value(row, by)] == colour])
        for each in order
    ]
    return Series(
        name=name,
        colour=colour,
        tokens=tuple(each.total_tokens for each in found),
        cost_usd=tuple(float(each.cost_usd or 0) for each in found),
    )


def _value(row: UsageRow, by: str) -> str:
    return "/".join(str(row.group[name]) for name in GROUPS[by])


def _bucket(row: UsageRow, span: Span) -> Bucket:
    found: Any = row.group[span.time]
    return found.astimezone(UTC) if isinstance(found, datetime) else found


def _seconds(bucket: Bucket) -> int:
    """Days stand at midnight of UTC: their chart names days of no zone."""
    if not isinstance(bucket, datetime):
        bucket = datetime.combine(bucket, time(), UTC)
    return int(bucket.timestamp())
