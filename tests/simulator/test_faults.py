"""Faults on demand, and what the caller sees of them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import jsonschema
import pytest

from penstock_worker.simulator.faults import Fault, Faults

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


async def inject(call: Any, **fault: Any) -> None:
    assert (await call.control("POST", "faults", fault)).status == 200


async def test_status_fault_answers_in_the_providers_shape(call: Any) -> None:
    await inject(call, provider="openai", kind="status", status=503)
    reply = await call.openai()
    assert (reply.status, reply.body["error"]["type"]) == (503, "server_error")


async def test_status_fault_can_bring_its_own_body(call: Any) -> None:
    await inject(call, provider="openai", kind="status", status=418, body={"tea": True})
    reply = await call.openai()
    assert (reply.status, reply.body) == (418, {"tea": True})


@pytest.mark.parametrize(("provider", "status"), [("openai", 503), ("groq", 498)])
async def test_overloaded_has_the_providers_status(call: Any, provider: str, status: int) -> None:
    await inject(call, provider=provider, kind="overloaded")
    assert (await call.openai(provider=provider)).status == status


async def test_overloaded_anthropic_is_529(call: Any) -> None:
    await inject(call, provider="anthropic", kind="overloaded")
    reply = await call.anthropic()
    assert (reply.status, reply.body["error"]["type"]) == (529, "overloaded_error")


async def test_insufficient_quota_has_openais_code(call: Any) -> None:
    await inject(call, provider="openai", kind="insufficient_quota")
    reply = await call.openai()
    assert (reply.status, reply.body["error"]["code"]) == (429, "insufficient_quota")


async def test_insufficient_quota_of_anthropic_is_a_400(call: Any) -> None:
    await inject(call, provider="anthropic", kind="insufficient_quota")
    reply = await call.anthropic()
    assert reply.status == 400
    assert "usage limits" in reply.body["error"]["message"]


@pytest.mark.parametrize(("kind", "calls", "unread"), [("drop_before", 0, 1), ("drop_after", 1, 0)])
async def test_drop_closes_the_connection(call: Any, kind: str, calls: int, unread: int) -> None:
    await inject(call, provider="openai", kind=kind, count=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call.openai()
    counts = call.sim.stats()["by_provider"]["openai"]
    assert (counts["calls"], counts["unread"], counts["in_flight"]) == (calls, unread, 0)


async def test_dropped_call_is_counted_as_dropped(call: Any) -> None:
    await inject(call, provider="openai", kind="drop_after", count=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call.openai()
    assert call.sim.stats()["by_provider"]["openai"]["by_status"] == {"dropped": 1}


async def test_hang_outlasts_the_callers_patience_and_frees_its_place(call: Any) -> None:
    await inject(call, provider="openai", kind="hang", delay_s=3600)
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.2):
            await call.openai()
    await call.until(lambda: call.sim.stats()["by_provider"]["openai"]["in_flight"] == 0)


async def test_invalid_json_is_a_200_that_does_not_parse(call: Any) -> None:
    await inject(call, provider="openai", kind="invalid_json")
    reply = await call.openai()
    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.text)


async def test_truncated_ends_in_the_middle_of_the_body(call: Any) -> None:
    await inject(call, provider="openai", kind="truncated")
    with pytest.raises(aiohttp.ClientPayloadError):
        await call.openai()


async def test_truncated_stream_has_no_terminal_event(call: Any) -> None:
    await inject(call, provider="openai", kind="truncated")
    reply = await call.openai("The pump failed.", stream=True)
    assert "chat.completion.chunk" in reply.text
    assert "[DONE]" not in reply.text


async def test_schema_violation_breaks_the_schema_only(call: Any) -> None:
    await inject(call, provider="openai", kind="schema_violation")
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    reply = await call.openai("12 mugs", response_format=wanted)
    value = json.loads(reply.body["choices"][0]["message"]["content"])
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(value)


async def test_slow_takes_its_time_and_loses_nothing(call: Any) -> None:
    await inject(call, provider="openai", kind="slow", delay_s=0.2)
    started = time.monotonic()
    reply = await call.openai("The pump failed.")
    assert time.monotonic() - started >= 0.2
    assert reply.body["object"] == "chat.completion"


async def test_count_uses_a_fault_up(call: Any) -> None:
    await inject(call, provider="openai", kind="status", status=500, count=2)
    assert [(await call.openai()).status for _ in range(3)] == [500, 500, 200]


async def test_fault_hits_only_its_model_and_provider(call: Any) -> None:
    await inject(call, provider="openai", model="gpt-4o", kind="status", status=500)
    assert (await call.openai(model="gpt-4o-mini")).status == 200
    assert (await call.openai(provider="mistral")).status == 200
    assert (await call.openai()).status == 500


async def test_fault_hits_only_its_key(call: Any) -> None:
    await inject(call, provider="openai", kind="status", status=401, key="-bad")
    statuses: list[int] = []
    for key in ("acme-bad", "acme-good"):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        url = f"{call.sim.base_url('openai')}/chat/completions"
        headers = {"authorization": f"Bearer {key}"}
        statuses.append((await call.request("POST", url, body, headers)).status)
    assert statuses == [401, 200]


async def test_fault_reads_keys_of_other_wires(call: Any) -> None:
    await inject(call, provider="anthropic", kind="status", status=401, key="key")
    assert (await call.anthropic()).status == 401


async def test_listed_fault_shows_no_more_than_the_end_of_its_key(call: Any) -> None:
    await inject(call, kind="status", status=401, key="sk-simulated-1234")
    reply = await call.control("GET", "faults")
    assert reply.body["faults"][0]["key"] == "…1234"


async def test_delete_clears_faults(call: Any) -> None:
    await inject(call, provider="openai", kind="status", status=500)
    assert (await call.control("DELETE", "faults")).body == {"cleared": 1}
    assert (await call.openai()).status == 200


def test_clear_can_name_a_provider() -> None:
    faults = Faults()
    for provider in ("openai", "mistral"):
        faults.add(Fault(kind="overloaded", provider=provider))
    assert faults.clear(provider="openai") == 1
    assert [fault.provider for fault in faults.listed()] == ["mistral"]


def test_probability_is_kept_and_repeatable_by_seed() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults(seed=seed)
        faults.add(Fault(kind="overloaded", probability=0.3))
        return [faults.take("openai", "m") is not None for _ in range(1000)]

    assert hits(1) == hits(1)
    assert 230 < sum(hits(1)) < 370


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "flood"},
        {"kind": "status", "count": 0},
        {"kind": "hang", "nap": 1},
        {"kind": "status", "key": ""},
        {},
    ],
)
async def test_wrong_fault_is_refused_with_a_reason(call: Any, fault: dict[str, Any]) -> None:
    reply = await call.control("POST", "faults", fault)
    assert reply.status == 400
    assert reply.body["error"]
