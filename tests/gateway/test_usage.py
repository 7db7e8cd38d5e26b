"""Usage over HTTP: the month, sums, calls, export."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.gateway.conftest import Api, Ticket


@pytest.fixture
async def used(api: Api, ticket: Ticket, work_for) -> Api:
    """Three calls were made: two of the skill `triage`, one of none."""
    await work_for("fireworks")
    for fields in ({"skill": "triage"}, {"skill": "triage"}, {}):
        await api.acme.post("/v1/jobs?wait_s=20", json=ticket(**fields))
    return api


async def test_month_tells_tokens_budget_and_skills(used: Api) -> None:
    month = (await used.acme.get("/api/workspaces/acme/llm/usage")).json()
    skills = {row["skill"]: row["calls"] for row in month["skills"]}
    assert (month["total"]["calls"], skills) == (3, {"triage": 2, "": 1})
    assert month["tokens_used"] == month["total"]["total_tokens"] > 0
    assert month["tokens_remaining"] is None


async def test_summary_groups_by_day_and_skill(used: Api) -> None:
    rows = (await used.acme.get("/api/workspaces/acme/usage?by=day,skill")).json()["usage"]
    assert {(row["skill"], row["calls"]) for row in rows} == {("triage", 2), ("", 1)}
    assert all("day" in row for row in rows)


async def test_summary_refuses_what_is_no_dimension(api: Api) -> None:
    answer = await api.acme.get("/api/workspaces/acme/usage?by=colour")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "by")


async def test_calls_are_paged_newest_first(used: Api) -> None:
    first = (await used.acme.get("/api/workspaces/acme/usage/calls?limit=2")).json()
    more = f"/api/workspaces/acme/usage/calls?limit=2&before={first['next']}"
    second = (await used.acme.get(more)).json()
    assert (len(first["calls"]), len(second["calls"]), second["next"]) == (2, 1, None)


async def test_export_of_calls_is_csv_with_a_header(used: Api) -> None:
    answer = await used.acme.get("/api/workspaces/acme/usage/export?skill=triage")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["skill"] for row in rows] == ["triage", "triage"]


async def test_export_of_sums_is_json_lines(used: Api) -> None:
    path = "/api/workspaces/acme/usage/export?format=jsonl&by=skill"
    rows = [json.loads(line) for line in (await used.acme.get(path)).text.splitlines()]
    assert {(row["skill"], row["calls"]) for row in rows} == {("triage", 2), ("", 1)}


async def test_export_that_cannot_be_made_is_refused_before_it_begins(api: Api) -> None:
    path = "/api/workspaces/acme/usage/export?since=2026-01-01T00:00:00"
    assert (await api.acme.get(path)).status_code == 422
