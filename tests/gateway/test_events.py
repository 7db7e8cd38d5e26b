"""Reading an answer along by server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from penstock_client import Penstock
from penstock_gateway.sse import Readers, events_of
from penstock_schemas.ids import JobId
from tests.gateway.conftest import Api, Ticket

Event = tuple[str, str, Any]


def events_in(text: str) -> list[Event]:
    """The events of a stream: name, ID and data of each."""
    found: list[Event] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


async def streamed(api: Api, **headers: str) -> tuple[str, list[Event]]:
    """A job that streamed its answer, and its events."""
    job = {"type": "generate", "prompt": "Tell me a long story", "stream": True}
    job_id = (await api.acme.post("/v1/jobs", json=job)).json()["job_id"]
    answer = await api.acme.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return job_id, events_in(answer.text)


async def test_events_are_the_pieces_and_then_the_result(api: Api, work_for) -> None:
    await work_for("anthropic")
    _, events = await streamed(api)
    names = [name for name, _, _ in events]
    text = "".join(data.get("text", "") for name, _, data in events if name == "delta")
    assert names == ["delta"] * (len(names) - 1) + ["result"]
    assert len(names) > 2
    assert text == events[-1][2]["text"]


async def test_events_go_on_after_the_last_one_that_came(api: Api, work_for) -> None:
    await work_for("anthropic")
    job_id, events = await streamed(api)
    headers = {"Last-Event-ID": events[1][1]}
    answer = await api.acme.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert events_in(answer.text) == events[2:]


async def test_events_after_the_result_are_none(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    headers = {"Last-Event-ID": "result"}
    answer = await api.acme.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert answer.status_code == 204


async def test_events_of_a_job_that_does_not_stream_are_its_result(
    api: Api, ticket: Ticket, work_for
) -> None:
    await work_for("fireworks")
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    answer = await api.acme.get(f"/v1/jobs/{job_id}/events")
    assert [(name, data["output"]) for name, _, data in events_in(answer.text)] == [
        ("result", "refund")
    ]


async def test_events_leave_no_task_behind_when_the_reader_goes(
    api: Api, penstock: Penstock, ticket: Ticket
) -> None:
    job_id = JobId((await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"])
    readers = Readers()
    before = asyncio.all_tasks()
    events = events_of(penstock, job_id, after=None, readers=readers)
    reading = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(20):
        while readers.count == 0:
            await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await events.aclose()
    async with asyncio.timeout(20):  # the connection goes back to its pool
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0)
    assert readers.count == 0


async def test_events_of_too_many_readers_are_refused(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    readers = api.app.state.serving.readers
    readers.count = 500
    answer = await api.acme.get(f"/v1/jobs/{job_id}/events")
    readers.count = 0
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
