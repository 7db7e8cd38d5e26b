"""Jobs over HTTP: submit, await, list, explain, cancel, start again."""

from __future__ import annotations

import asyncio

from penstock_client import Penstock
from tests.gateway.conftest import Api, Ticket


async def test_submit_answers_202_with_id_and_location(api: Api, ticket: Ticket) -> None:
    answer = await api.acme.post("/v1/jobs", json=ticket())
    job_id = answer.json()["job_id"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job_id}")


async def test_submit_fills_in_the_tokens_workspace(api: Api, ticket: Ticket) -> None:
    job = ticket()
    del job["workspace"]
    answer = await api.acme.post("/v1/jobs", json=job)
    assert answer.json()["workspace"] == "acme"


async def test_submit_for_another_workspace_finds_none(api: Api, ticket: Ticket) -> None:
    answer = await api.acme.post("/v1/jobs", json=ticket(workspace="other"))
    nowhere = await api.acme.post("/v1/jobs", json=ticket(workspace="nowhere"))
    assert (answer.status_code, nowhere.status_code) == (404, 404)
    assert answer.json()["type"] == nowhere.json()["type"]


async def test_submit_with_an_idempotency_key_gives_the_first_job(api: Api, ticket: Ticket) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await api.acme.post("/v1/jobs", json=ticket(), headers=headers)
    second = await api.acme.post("/v1/jobs", json=ticket(text="other"), headers=headers)
    assert first.json()["job_id"] == second.json()["job_id"]


async def test_submit_of_one_key_at_the_same_moment_gives_one_job(api: Api, ticket: Ticket) -> None:
    headers = {"Idempotency-Key": "k1"}
    posts = [api.acme.post("/v1/jobs", json=ticket(), headers=headers) for _ in range(10)]
    answers = await asyncio.gather(*posts)
    assert len({answer.json()["job_id"] for answer in answers}) == 1


async def test_submit_that_waits_gives_the_result(api: Api, ticket: Ticket, work_for) -> None:
    await work_for("fireworks")
    answer = await api.acme.post("/v1/jobs?wait_s=20", json=ticket())
    assert (answer.status_code, answer.json()["output"]) == (200, "refund")


async def test_submit_that_waits_in_vain_answers_202(api: Api, ticket: Ticket) -> None:
    answer = await api.acme.post("/v1/jobs?wait_s=0.05", json=ticket())
    assert answer.status_code == 202


async def test_submit_many_answers_ids_in_their_order(
    api: Api, ticket: Ticket, penstock: Penstock
) -> None:
    jobs = [ticket(text=f"t{n}", skill=f"s{n}") for n in range(20)]
    answer = await api.acme.post("/v1/jobs", json={"jobs": jobs})
    shown = [await api.acme.get(f"/v1/jobs/{job_id}") for job_id in answer.json()["job_ids"]]
    assert [one.json()["skill"] for one in shown] == [f"s{n}" for n in range(20)]


async def test_submit_many_tells_each_mistake_by_its_place(api: Api, ticket: Ticket) -> None:
    jobs = [ticket(), ticket(labels=[]), ticket(type="sing")]
    answer = await api.acme.post("/v1/jobs", json={"jobs": jobs})
    fields = [error["field"] for error in answer.json()["errors"]]
    assert answer.status_code == 422
    assert fields == ["jobs.1.classify.labels", "jobs.2"]
    assert (await api.acme.get("/v1/jobs")).json()["jobs"] == []


async def test_submit_of_one_bad_job_leaves_those_beside_it_alone(api: Api, ticket: Ticket) -> None:
    posts = [
        api.acme.post("/v1/jobs", json=ticket(model="nobody/knows" if n % 2 else None))
        for n in range(10)
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert statuses == [202, 422] * 5


async def test_get_waits_for_the_result(api: Api, ticket: Ticket, work_for) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    waiting = asyncio.create_task(api.acme.get(f"/v1/jobs/{job_id}?wait_s=30"))
    await work_for("fireworks")
    assert (await waiting).json()["status"] == "succeeded"


async def test_get_of_a_pending_job_tells_where_it_stands(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket(skill="triage"))).json()["job_id"]
    shown = (await api.acme.get(f"/v1/jobs/{job_id}")).json()
    assert (shown["status"], shown["skill"], shown["provider"]) == (
        "queued",
        "triage",
        "fireworks",
    )


async def test_list_pages_through_all_jobs_newest_first(api: Api, ticket: Ticket) -> None:
    jobs = [ticket(text=str(n)) for n in range(5)]
    ids = (await api.acme.post("/v1/jobs", json={"jobs": jobs})).json()["job_ids"]
    seen: list[str] = []
    url = "/v1/jobs?limit=2"
    while url:
        page = await api.acme.get(url)
        seen += [job["job_id"] for job in page.json()["jobs"]]
        url = page.links["next"]["url"] if "next" in page.links else ""
    assert seen == sorted(ids, reverse=True)


async def test_list_chooses_by_tags_and_state(api: Api, ticket: Ticket) -> None:
    jobs = [ticket(skill="a", step="x"), ticket(skill="a"), ticket(skill="b")]
    await api.acme.post("/v1/jobs", json={"jobs": jobs})
    found = (await api.acme.get("/v1/jobs?skill=a&step=x&state=queued")).json()["jobs"]
    none = (await api.acme.get("/v1/jobs?state=failed")).json()["jobs"]
    assert ([job["skill"] for job in found], none) == (["a"], [])


async def test_list_as_admin_needs_a_workspace(api: Api, ticket: Ticket) -> None:
    await api.acme.post("/v1/jobs", json=ticket())
    assert (await api.admin.get("/v1/jobs")).status_code == 422
    assert len((await api.admin.get("/v1/jobs?workspace=acme")).json()["jobs"]) == 1


async def test_results_tells_those_that_are_there(api: Api, ticket: Ticket, work_for) -> None:
    done = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    await work_for("fireworks")
    await api.acme.get(f"/v1/jobs/{done}?wait_s=20")
    queued = ticket(model="deepseek/deepseek-chat")
    waits = (await api.acme.post("/v1/jobs", json=queued)).json()["job_id"]
    of_other = ticket(workspace="other")
    strange = (await api.admin.post("/v1/jobs", json=of_other)).json()["job_id"]
    answer = await api.acme.post("/v1/results", json={"job_ids": [done, waits, strange]})
    found = answer.json()
    assert [result["job_id"] for result in found["results"]] == [done]
    assert (found["pending"], found["unknown"]) == ([waits], [strange])


async def test_attempts_tells_calls_with_their_cost(api: Api, ticket: Ticket, work_for) -> None:
    await work_for("fireworks")
    job_id = (await api.acme.post("/v1/jobs?wait_s=20", json=ticket())).json()["job_id"]
    attempts = (await api.acme.get(f"/v1/jobs/{job_id}/attempts")).json()["attempts"]
    assert [(one["state"], one["provider"]) for one in attempts] == [("succeeded", "fireworks")]
    assert float(attempts[0]["cost_usd"]) > 0


async def test_explain_says_why_a_job_waits(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    found = (await api.acme.get(f"/v1/jobs/{job_id}/explain")).json()
    assert found["why"]
    assert found["status"] == "queued"


async def test_cancel_ends_a_job(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    answer = await api.acme.delete(f"/v1/jobs/{job_id}")
    shown = await api.acme.get(f"/v1/jobs/{job_id}")
    assert (answer.json()["status"], shown.json()["status"]) == ("cancelled", "cancelled")


async def test_requeue_starts_a_cancelled_job_again(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    await api.acme.delete(f"/v1/jobs/{job_id}")
    answer = await api.acme.post(f"/v1/jobs/{job_id}/requeue")
    shown = await api.acme.get(f"/v1/jobs/{job_id}")
    assert (answer.status_code, shown.json()["status"]) == (202, "queued")


async def test_requeue_of_a_living_job_is_refused(api: Api, ticket: Ticket) -> None:
    job_id = (await api.acme.post("/v1/jobs", json=ticket())).json()["job_id"]
    assert (await api.acme.post(f"/v1/jobs/{job_id}/requeue")).status_code == 422
