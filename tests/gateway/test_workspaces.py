"""Workspaces, tokens and operations over HTTP, for administrators."""

from __future__ import annotations

from penstock_client import Penstock
from penstock_schemas.limits import PauseTarget
from tests.gateway.conftest import Api

TOKENS = "/api/workspaces/acme/tokens"


async def test_workspaces_are_made_once(api: Api) -> None:
    body = {"workspace": "third", "monthly_tokens": None}
    first = await api.admin.post("/api/workspaces", json=body)
    second = await api.admin.post("/api/workspaces", json=body)
    assert (first.status_code, second.status_code) == (201, 409)
    assert first.json()["monthly_tokens"] is None


async def test_workspaces_are_paged_by_name(api: Api) -> None:
    first = (await api.admin.get("/api/workspaces?limit=1")).json()
    second = (await api.admin.get(f"/api/workspaces?limit=5&after={first['next']}")).json()
    names = [row["workspace"] for row in (*first["workspaces"], *second["workspaces"])]
    assert (names, second["next"]) == (["acme", "other"], None)


async def test_workspace_is_changed_by_administrators_only(api: Api) -> None:
    body = {"weight": 3, "retention_days": 7}
    changed = (await api.admin.patch("/api/workspaces/acme", json=body)).json()
    assert (changed["weight"], changed["retention_days"]) == (3, 7)
    assert (await api.acme.patch("/api/workspaces/acme", json=body)).status_code == 403


async def test_workspace_shows_itself_to_its_token(api: Api) -> None:
    assert (await api.acme.get("/api/workspaces/acme")).json()["workspace"] == "acme"


async def test_token_is_made_used_listed_and_revoked(api: Api) -> None:
    made = (await api.admin.post(TOKENS, json={"name": "crawler", "scopes": ["jobs:read"]})).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.nobody.get("/v1/jobs", headers=headers)).status_code == 200
    listed = (await api.admin.get(TOKENS)).json()["tokens"]
    assert made["token_id"] in {token["token_id"] for token in listed}
    assert made["token"] not in str(listed)
    revoked = await api.admin.delete(f"{TOKENS}/{made['token_id']}")
    assert revoked.json()["revoked_at"] is not None


async def test_token_of_one_workspace_cannot_be_admin(api: Api) -> None:
    answer = await api.admin.post(TOKENS, json={"name": "x", "scopes": ["admin"]})
    assert answer.status_code == 422


async def test_token_of_another_workspace_is_not_revoked_here(api: Api, penstock: Penstock) -> None:
    of_other = (await penstock.tokens.list("other"))[0]
    answer = await api.admin.delete(f"{TOKENS}/{of_other.token_id}")
    assert answer.status_code == 404


async def test_operations_tell_pauses_and_providers(api: Api, penstock: Penstock) -> None:
    target = PauseTarget(provider="openai", scope="provider")
    await penstock.ledger.steering.pause(target, reason="maintenance")
    pauses = (await api.admin.get("/api/v1/operations/pauses")).json()["pauses"]
    one = await api.admin.get("/api/v1/operations/providers/openai")
    assert [(pause["provider"], pause["reason"]) for pause in pauses] == [("openai", "maintenance")]
    assert one.json()["provider"] == "openai"
    assert (await api.admin.get("/api/v1/operations/providers")).json() == {"providers": []}
    assert (await api.admin.get("/api/v1/operations/limits")).json() == {"limits": []}
    assert (await api.acme.get("/api/v1/operations/pauses")).status_code == 403
