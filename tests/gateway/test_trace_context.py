"""The trace of a request, inside of it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from penstock_client.tracing import current_trace
from penstock_gateway.trace_context import TraceContext

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def client() -> TestClient:
    """An application that answers with the trace it runs in."""
    app = FastAPI()
    app.add_middleware(TraceContext)

    @app.get("/")
    async def answer() -> str | None:
        return current_trace()

    return TestClient(app)


def test_trace_context_is_that_of_the_header(client: TestClient) -> None:
    assert client.get("/", headers={"traceparent": PARENT}).json() == PARENT


@pytest.mark.parametrize("header", ["nonsense", "00-0-0-01", "x" * 5000])
def test_trace_context_ignores_what_is_none(client: TestClient, header: str) -> None:
    assert client.get("/", headers={"traceparent": header}).json() is None


def test_trace_context_ends_with_its_request(client: TestClient) -> None:
    client.get("/", headers={"traceparent": PARENT})
    assert client.get("/").json() is None
