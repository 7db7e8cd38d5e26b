"""A gateway inside the test, on the servers of the test process, and tokens to ask it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from penstock_client import Penstock, Settings
from penstock_gateway.app import create_app


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, with its connection."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


def client_of(app: FastAPI, token: str | None = None) -> httpx.AsyncClient:
    """A client of the application, as whoever has the token."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


@dataclass(frozen=True)
class Api:
    """The application with clients of workspace `acme`, of workspace `other`, and of an admin."""

    app: FastAPI
    acme: httpx.AsyncClient
    other: httpx.AsyncClient
    admin: httpx.AsyncClient
    nobody: httpx.AsyncClient
    acme_token: str
    admin_token: str


@pytest.fixture
async def api(penstock: Penstock, empty: Settings) -> AsyncIterator[Api]:
    """A gateway on an empty stack that has the workspaces `acme` and `other`."""
    await penstock.workspaces.create("other", monthly_tokens=None)
    acme = (await penstock.tokens.create("acme's", workspace="acme")).secret
    other = (await penstock.tokens.create("other's", workspace="other")).secret
    admin = (await penstock.tokens.create("admin")).secret
    async with serving(empty) as app:
        yield Api(
            app=app,
            acme=client_of(app, acme),
            other=client_of(app, other),
            admin=client_of(app, admin),
            nobody=client_of(app),
            acme_token=acme,
            admin_token=admin,
        )


Ticket = Callable[..., dict[str, object]]


@pytest.fixture
def ticket() -> Ticket:
    """`ticket(text="…")` is a job as JSON."""

    def make(**fields: object) -> dict[str, object]:
        job: dict[str, object] = {
            "type": "classify",
            "workspace": "acme",
            "text": "I want a refund",
            "labels": ["refund", "praise"],
        }
        return job | fields

    return make
