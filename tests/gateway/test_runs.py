"""Skills and runs over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from penstock_gateway.run_bodies import RUN_EXAMPLE, SKILL_EXAMPLE
from tests.gateway.conftest import Api

FAILING = {
    "name": "failing",
    "steps": [{"name": "ask", "type": "generate", "prompt": "{inputs.nothing}"}],
}


@pytest.fixture
async def models(work_for: Callable[..., Awaitable[None]]) -> None:
    """Workers of the providers of the default routing."""
    for provider in ("fireworks", "anthropic"):
        await work_for(provider)


async def test_declared_skill_runs_and_is_awaited_in_one_request(api: Api, models: None) -> None:
    answer = await api.acme.post("/v1/runs?wait_s=20", json=RUN_EXAMPLE)
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert run["status"] == "succeeded"
    assert [step["succeeded"] for step in run["steps"]] == [2, 1]
    assert isinstance(run["output"], str)
    assert answer.headers["location"] == f"/v1/runs/{run['run_id']}"
    found = await api.acme.get(f"/v1/runs/{run['run_id']}/steps/sort")
    items = found.json()["items"]
    assert [item["item"] for item in items] == [0, 1]
    assert {item["output"] for item in items} <= {"refund", "praise"}
    (row,) = (await api.acme.get("/v1/runs?state=succeeded")).json()["runs"]
    assert (row["run_id"], row["steps_ended"]) == (run["run_id"], 2)


async def test_put_skill_runs_by_name(api: Api) -> None:
    put = await api.acme.post("/v1/skills", json=SKILL_EXAMPLE)
    assert put.json()["skill"] == SKILL_EXAMPLE | {
        "steps": [dict(step) for step in SKILL_EXAMPLE["steps"]]
    }
    body = {"skill": "sort-tickets", "inputs": {"tickets": []}}
    started = await api.acme.post("/v1/runs", json=body)
    assert started.status_code == 202
    assert started.json()["skill"] == "sort-tickets"
    assert [each["name"] for each in (await api.acme.get("/v1/skills")).json()["skills"]] == [
        "sort-tickets"
    ]
    assert (await api.acme.delete("/v1/skills/sort-tickets")).status_code == 204
    assert (await api.acme.get("/v1/skills/sort-tickets")).status_code == 404


async def test_skill_that_does_not_hold_together_is_refused_by_step_and_field(api: Api) -> None:
    steps = [{"name": "ask", "type": "generate", "prompt": "{judge.text}"}]
    answer = await api.acme.post("/v1/skills", json={"name": "x", "steps": steps})
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "step ask: prompt: {judge.text}: there is no step 'judge'; there are inputs, ask"
    )


async def test_inputs_that_do_not_fit_are_refused(api: Api) -> None:
    answer = await api.acme.post("/v1/runs", json={**RUN_EXAMPLE, "inputs": {}})
    assert answer.status_code == 422
    assert "'tickets' is a required property" in answer.json()["detail"]


async def test_same_idempotency_key_gives_the_first_run(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first, second = [
        (await api.acme.post("/v1/runs", json=RUN_EXAMPLE, headers=headers)).json()["run_id"]
        for _ in range(2)
    ]
    assert first == second


async def test_failed_run_tells_why_and_can_be_resumed(api: Api, steward: None) -> None:
    failed = await api.acme.post("/v1/runs?wait_s=10", json={"skill": FAILING, "inputs": {"a": 1}})
    run = failed.json()
    assert run["status"] == "failed"
    assert run["error"] == (
        "step ask failed: prompt: {inputs.nothing}: there is no 'nothing', only a"
    )
    resumed = await api.acme.post(f"/v1/runs/{run['run_id']}/resume")
    assert (resumed.status_code, resumed.json()["resumes"]) == (202, 1)


async def test_cancelled_run_is_told_at_once(api: Api) -> None:
    run_id = (await api.acme.post("/v1/runs", json=RUN_EXAMPLE)).json()["run_id"]
    assert (await api.acme.delete(f"/v1/runs/{run_id}")).json()["status"] == "cancelled"


@pytest.mark.parametrize("run_id", ["019aa0a4-0000-7000-8000-000000000000", "x"])
async def test_unknown_run_is_not_found(api: Api, run_id: str) -> None:
    answer = await api.acme.get(f"/v1/runs/{run_id}")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("unknown-run")
