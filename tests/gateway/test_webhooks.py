"""Webhooks over HTTP: secrets once, deliveries as they stand, and addresses that are refused."""

from __future__ import annotations

import pytest

from penstock_client import Penstock
from penstock_client.sealing import sealing_id
from penstock_worker.keyring import PrivateKey
from tests.gateway.conftest import Api, Ticket

URL = "https://hooks.example/penstock"


@pytest.fixture
async def published(penstock: Penstock) -> None:
    """A workers' public key."""
    public = PrivateKey.new().public
    await penstock.ledger.pool.execute(
        "insert into penstock.sealing_keys (id, public_key) values ($1, $2)",
        sealing_id(public),
        public,
    )


async def test_secret_is_shown_once(api: Api, published: None) -> None:
    made = await api.acme.post("/v1/webhooks/secrets", json={})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    listed = (await api.acme.get("/v1/webhooks/secrets")).json()["secrets"]
    assert [one["secret_id"] for one in listed] == [made.json()["secret_id"]]
    assert made.json()["secret"] not in str(listed)


async def test_second_secret_needs_a_rotation(api: Api, published: None) -> None:
    for body, status in (({}, 201), ({}, 422), ({"rotate": True}, 201)):
        answer = await api.acme.post("/v1/webhooks/secrets", json=body)
        assert answer.status_code == status


async def test_rotation_of_another_workspace_changes_nothing_here(
    api: Api, published: None
) -> None:
    first = (await api.acme.post("/v1/webhooks/secrets", json={})).json()
    await api.other.post("/v1/webhooks/secrets", json={"rotate": True, "keep_previous_h": 0})
    (listed,) = (await api.acme.get("/v1/webhooks/secrets")).json()["secrets"]
    assert (listed["secret_id"], listed["expires_at"]) == (first["secret_id"], None)


async def test_deliveries_are_listed_by_pages(api: Api) -> None:
    made = [
        (await api.acme.post("/v1/webhooks/test", json={"url": URL})).json()["event_id"]
        for _ in range(3)
    ]
    first = (await api.acme.get("/v1/webhooks/deliveries", params={"limit": 2})).json()
    rest = (await api.acme.get("/v1/webhooks/deliveries", params={"before": first["next"]})).json()
    found = [one["event_id"] for one in first["deliveries"] + rest["deliveries"]]
    assert found == made[::-1]
    assert rest["next"] is None
    waiting = await api.acme.get("/v1/webhooks/deliveries", params={"state": "delivered"})
    assert waiting.json()["deliveries"] == []


async def test_delivery_is_shown_and_retried(api: Api) -> None:
    event_id = (await api.acme.post("/v1/webhooks/test", json={"url": URL})).json()["event_id"]
    shown = (await api.acme.get(f"/v1/webhooks/deliveries/{event_id}")).json()
    again = (await api.acme.post(f"/v1/webhooks/deliveries/{event_id}/retry")).json()
    for one in (shown, again):
        assert (one["state"], one["url"], one["workspace"]) == ("waiting", URL, "acme")
        assert "signing secret" in one["waits_for"]


@pytest.mark.parametrize("event_id", ["x", "evt_00000000000000000000000000000000"])
async def test_unknown_delivery_is_404(api: Api, event_id: str) -> None:
    answer = await api.acme.get(f"/v1/webhooks/deliveries/{event_id}")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("unknown-delivery")


async def test_job_takes_a_webhook(api: Api, ticket: Ticket, penstock: Penstock) -> None:
    answer = await api.acme.post("/v1/jobs", json=ticket(webhook=URL))
    assert answer.status_code == 202
    await api.acme.delete(f"/v1/jobs/{answer.json()['job_id']}")
    (noted,) = (await api.acme.get("/v1/webhooks/deliveries")).json()["deliveries"]
    assert (noted["type"], noted["subject"]) == ("job.cancelled", answer.json()["job_id"])


@pytest.mark.parametrize(
    "url", ["http://hooks.example/", "https://10.0.0.1/", "https://localhost/", "hooks.example"]
)
async def test_address_that_is_refused_names_its_field(api: Api, ticket: Ticket, url: str) -> None:
    answer = await api.acme.post("/v1/jobs", json=ticket(webhook=url))
    assert answer.status_code == 422
    assert "webhook" in str(answer.json()["errors"])
