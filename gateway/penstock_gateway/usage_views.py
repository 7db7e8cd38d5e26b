"""What the API shows of usage: fields of `penstock_client.usage_rows`, money as decimal text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from fastapi import Response
from pydantic import ConfigDict

from penstock_client.usage_export import plain_data
from penstock_gateway.views import View


class UsageFigures(View):
    """One group of calls, with the columns it was grouped by ('' for no such tag).

    `cost_usd` sums up the calls whose price is known; `unpriced` counts the others.
    """

    model_config = ConfigDict(extra="allow")

    calls: int
    succeeded: int
    failed: int
    abandoned: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: str | None
    unpriced: int
    simulated: int
    duration_ms: int
    total_tokens: int
    mean_duration_ms: float


class UsageRows(View):
    """Usage, a row for each group."""

    usage: list[UsageFigures]


class MoneyView(View):
    """What one configuration may spend and has spent, in US dollars; null is unlimited."""

    configuration: str
    daily_usd: str | None
    monthly_usd: str | None
    used_today_usd: str
    used_this_month_usd: str
    held_usd: str


class MonthView(View):
    """A workspace's month. `tokens_remaining` is null without a budget."""

    workspace: str
    time_zone: str
    began_at: datetime
    resets_at: datetime
    tokens_used: int
    tokens_held: int
    token_budget: int | None
    tokens_remaining: int | None
    budget_mode: str
    on_budget: str
    total: UsageFigures
    skills: list[UsageFigures]
    money: list[MoneyView]


class CallView(View):
    """One call."""

    model_config = ConfigDict(extra="allow")

    job_id: str
    number: int
    started_at: datetime
    finished_at: datetime | None
    status: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    simulated: bool
    duration_ms: int | None
    error: str | None


class Calls(View):
    """Some calls, and what to give as `before` for those that come after them; null: no more."""

    calls: list[CallView]
    next: str | None


def json_of(data: dict[str, Any]) -> Response:
    """Rows as JSON."""
    return Response(orjson.dumps(plain_data(data)), media_type="application/json")
