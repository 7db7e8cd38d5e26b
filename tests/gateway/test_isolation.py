"""Two workspaces' tokens on every route and every ID of the other, by the OpenAPI document.

A new route is covered by itself: what it needs to be asked stands in the document, and where that
is not enough these tests fail until it is said here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from penstock_client import Penstock, Skill
from penstock_client.backfill import Plan
from penstock_gateway.app import create_app
from tests.gateway.conftest import Api, Ticket

#: Routes that are about no workspace; they must not tell anything of one.
OF_NOBODY = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/llm/providers"),
    ("GET", "/api/v1/llm/models"),
    ("POST", "/api/v1/llm/estimate"),
    ("POST", "/v1/results"),
}
#: Routes that anybody may ask.
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
#: What owners cannot do either, as things stand: to requeue a queued job, to test no key.
NOT_NOW = {409, 422, 503}
#: How a route may say that there is nothing for this token.
REFUSALS = {
    "not-allowed",
    "unknown-workspace",
    "unknown-job",
    "unknown-token",
    "unknown-run",
    "unknown-backfill",
    "unknown-skill",
    "unknown-delivery",
}
MARK = "theirs-alone"


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def place(self) -> tuple[str, str]:
        return (self.method, self.path)

    def parameters(self, where: str) -> set[str]:
        return {p["name"] for p in self.told.get("parameters", ()) if p["in"] == where}

    @property
    def example(self) -> Any:
        body = self.told.get("requestBody")
        return None if body is None else body["content"]["application/json"]["example"]


def operations() -> Iterator[Operation]:
    """Every operation that the document tells."""
    document = create_app().openapi()
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(method.upper(), path, told)


ALL = list(operations())
NAMED = {"ids": lambda given: f"{given.method} {given.path}"}


@dataclass(frozen=True)
class Theirs:
    """What the workspace `other` has."""

    job_id: str
    token_id: str
    run_id: str
    event_id: str
    backfill_id: str

    def request(self, operation: Operation) -> tuple[str, dict[str, str], Any]:
        """Path, query and body that name all of it."""
        path = operation.path
        for name in operation.parameters("path"):
            path = path.replace(f"{{{name}}}", self._of(name, path))
        query: dict[str, str] = {}
        if "workspace" in operation.parameters("query"):
            query["workspace"] = "other"
        return path, query, self._body(operation.example)

    def _of(self, name: str, path: str) -> str:
        if name == "name":
            return "theirs" if "/configs/" in path else "openai"
        known = {
            "workspace": "other",
            "job_id": self.job_id,
            "token_id": self.token_id,
            "run_id": self.run_id,
            "event_id": self.event_id,
            "backfill_id": self.backfill_id,
            "skill": MARK,
            "step": "ask",
        }
        return known[name]  # a parameter that is new has to be said here

    def _body(self, example: Any) -> Any:
        if not isinstance(example, dict):
            return example
        body = dict(example)
        if "workspace" in body:
            body["workspace"] = "other"
        if "job_ids" in body:
            body["job_ids"] = [self.job_id]
        return body


@pytest.fixture
async def theirs(api: Api, penstock: Penstock, ticket: Ticket) -> Theirs:
    """A job, a token, a named configuration, a skill and a run of it, of `other`."""
    job = ticket(workspace="other", skill=MARK)
    job_id = (await api.other.post("/v1/jobs", json=job)).json()["job_id"]
    await penstock.workspaces.set_configuration("other", "theirs")
    made = await penstock.tokens.create(MARK, workspace="other")
    steps = [{"name": "ask", "type": "generate", "prompt": "{inputs.what}"}]
    put = await penstock.skills.put("other", Skill.parse({"name": MARK, "steps": steps}))
    run = await penstock.runs.start(put.skill, workspace="other", inputs={"what": MARK})
    event = await penstock.webhooks.test("other", f"https://hooks.example/{MARK}")
    plan = Plan(workspace="other", kind="classify", labels=("a",), run=MARK)
    backfill = await penstock.backfills.create(plan)
    return Theirs(job_id, made.info.token_id, run.run_id, event.event_id, backfill.backfill_id)


async def ask(client: httpx.AsyncClient, operation: Operation, theirs: Theirs) -> httpx.Response:
    path, query, body = theirs.request(operation)
    content = None if body is None else json.dumps(body)
    headers = {"content-type": "application/json"} if content else {}
    return await client.request(
        operation.method, path, params=query, content=content, headers=headers
    )


@pytest.mark.parametrize("operation", ALL, **NAMED)
async def test_route_finds_nothing_of_another_workspace(
    api: Api, theirs: Theirs, operation: Operation
) -> None:
    answer = await ask(api.acme, operation, theirs)
    if operation.place in OF_NOBODY:
        assert answer.status_code == 200
        found = answer.text if operation.path != "/v1/results" else answer.json()["results"]
        assert MARK not in str(found)
        assert theirs.job_id not in str(found)
    else:
        assert answer.status_code in {403, 404}, answer.text
        assert answer.json()["type"].rpartition(":")[2] in REFUSALS
        assert MARK not in answer.text


@pytest.mark.parametrize(
    "operation", [one for one in ALL if one.place not in OF_NOBODY | OPEN], **NAMED
)
async def test_route_finds_it_for_its_owner(api: Api, theirs: Theirs, operation: Operation) -> None:
    """Else the test above could not fail."""
    if operation.method == "GET" and operation.path.endswith("/events"):
        await api.other.delete(f"/v1/jobs/{theirs.job_id}")  # else it would not end
        await api.other.delete(f"/v1/backfills/{theirs.backfill_id}")
    as_owner = await ask(api.other, operation, theirs)
    answer = as_owner if as_owner.status_code != 403 else await ask(api.admin, operation, theirs)
    if answer.is_success:
        return
    not_now = answer.status_code in NOT_NOW or answer.json()["type"].endswith("unknown-key")
    assert not_now, answer.text


@pytest.mark.parametrize("operation", [one for one in ALL if one.place not in OPEN], **NAMED)
async def test_route_answers_nobody_without_a_token(
    api: Api, theirs: Theirs, operation: Operation
) -> None:
    assert (await ask(api.nobody, operation, theirs)).status_code == 401


@pytest.mark.parametrize("operation", ALL, **NAMED)
def test_route_is_described(operation: Operation) -> None:
    told = operation.told
    assert told["summary"]
    assert told["tags"]
    assert ("security" in told) is (operation.place not in OPEN)
    if operation.method in {"POST", "PUT", "PATCH"} and not operation.path.endswith(
        ("/requeue", "/resume", "/retry", "/test", "/pause", "/retry-failed")
    ):
        assert operation.example is not None


def test_document_has_every_schema_that_it_names() -> None:
    document = create_app().openapi()
    schemas = document["components"]["schemas"]
    named = {
        part.split('"')[0]
        for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]
    }
    assert named <= schemas.keys()
