"""Backfills over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
import pytest

from penstock_gateway.backfill_bodies import BACKFILL_EXAMPLE
from tests.gateway.conftest import Api

EMPTY = {name: value for name, value in BACKFILL_EXAMPLE.items() if name != "rows"}


@pytest.fixture
async def models(work_for: Callable[..., Awaitable[None]]) -> None:
    """A worker of the provider of the default routing."""
    await work_for("fireworks")


async def status_at_end(api: Api, backfill_id: str) -> dict[str, object]:
    """The last event of a backfill."""
    answer = await api.acme.get(f"/v1/backfills/{backfill_id}/events", timeout=30)
    data = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    return orjson.loads(data[-1].removeprefix("data: "))


async def test_rows_in_the_request_start_at_once_and_are_exported(api: Api, models: None) -> None:
    started = await api.acme.post("/v1/backfills", json=BACKFILL_EXAMPLE)
    assert started.status_code == 202, started.text
    backfill_id = started.json()["backfill_id"]
    ended = await status_at_end(api, backfill_id)
    assert (ended["status"], ended["succeeded"], ended["rows"]) == ("succeeded", 2, 2)
    exported = await api.acme.get(f"/v1/backfills/{backfill_id}/export")
    lines = [orjson.loads(line) for line in exported.text.splitlines()]
    assert [(line["id"], line["output"]) for line in lines] == [(1, "refund"), (2, "praise")]
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    rest = await api.acme.get(f"/v1/backfills/{backfill_id}/export?after=0&numbered=true")
    assert [
        (row["number"], row["answer"]["id"]) for row in map(orjson.loads, rest.iter_lines())
    ] == [(1, 2)]
    asked = (await api.acme.get(f"/v1/backfills/{backfill_id}/plan")).json()["plan"]
    assert (asked["type"], asked["labels"]) == ("classify", ["refund", "praise"])


async def test_rows_are_loaded_in_pages_that_may_be_sent_again(api: Api) -> None:
    made = (await api.acme.post("/v1/backfills", json=EMPTY)).json()
    at, rows = f"/v1/backfills/{made['backfill_id']}", [{"id": 1, "text": "x"}]
    assert made["status"] == "loading"
    for _ in range(2):
        loaded = await api.acme.post(f"{at}/rows", json={"at": 0, "rows": rows})
        assert loaded.json()["rows"] == 1
    gap = await api.acme.post(f"{at}/rows", json={"at": 5, "rows": rows})
    assert (gap.status_code, "1 rows are there" in gap.text) == (422, True)
    started = await api.acme.post(f"{at}/start", json={})
    assert (started.status_code, started.json()["status"]) == (202, "running")
    late = await api.acme.post(f"{at}/rows", json={"at": 1, "rows": rows})
    assert late.status_code == 422


async def test_same_key_gives_the_first_backfill(api: Api) -> None:
    headers = {"Idempotency-Key": "monday"}
    first = await api.acme.post("/v1/backfills", json=BACKFILL_EXAMPLE, headers=headers)
    again = await api.acme.post("/v1/backfills", json=BACKFILL_EXAMPLE, headers=headers)
    assert again.json()["backfill_id"] == first.json()["backfill_id"]


async def test_backfill_is_paused_resumed_and_cancelled(api: Api) -> None:
    made = (await api.acme.post("/v1/backfills", json=BACKFILL_EXAMPLE)).json()
    at = f"/v1/backfills/{made['backfill_id']}"
    assert (await api.acme.post(f"{at}/pause")).json()["status"] == "paused"
    resumed = await api.acme.post(f"{at}/resume", json={"max_cost_usd": "9"})
    assert (resumed.json()["status"], resumed.json()["max_cost_usd"]) == ("running", "9")
    assert (await api.acme.delete(at)).json()["status"] == "cancelled"
    assert (await api.acme.post(f"{at}/resume", json={})).status_code == 422


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": []}, "classify needs labels"),
        ({"type": "extract"}, "schema"),
        ({"schema": {"type": "objct"}, "type": "extract", "labels": []}, "not a JSON Schema"),
        ({"prompt": "{"}, "placeholder"),
        ({"webhook": "http://example.com/x"}, "https"),
    ],
)
async def test_settings_that_do_not_fit_are_refused(
    api: Api, changes: dict[str, object], told: str
) -> None:
    answer = await api.acme.post("/v1/backfills", json=BACKFILL_EXAMPLE | changes)
    assert answer.status_code == 422
    assert told in answer.text
