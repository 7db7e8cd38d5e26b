"""Bodies that nobody means well, and what every answer says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from penstock_gateway.bodies import MOST_DEPTH, is_deep
from penstock_gateway.shell import Shell
from tests.gateway.conftest import Api, Ticket

MB = 2**20
JSON = {"content-type": "application/json"}


async def post(api: Api, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Send it as a job."""
    return await api.acme.post("/v1/jobs", content=body, headers=JSON)


def test_is_deep_counts_brackets_outside_of_strings() -> None:
    deep, flat = b"[" * 65 + b"]" * 65, b"[" + b"[]," * 1000 + b"[]]"
    quoted = b'{"a": "' + b"[" * 500 + b'\\"[[[["}'
    assert [is_deep(deep), is_deep(flat), is_deep(quoted)] == [True, False, False]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"text": "\xc3("}',
        b'{"temperature": NaN}',
        b'{"temperature": -Infinity}',
        b'{"text": "\\ud800"}',
        b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
        b"[" * 1_000_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"1" * 100_000,
    ],
    ids=lambda body: repr(body[:16]),
)
async def test_body_that_is_no_json_is_400(api: Api, body: bytes) -> None:
    answer = await post(api, body)
    assert (answer.status_code, answer.headers["content-type"]) == (
        400,
        "application/problem+json",
    )


@pytest.mark.parametrize("body", [b"null", b"1", b'"text"', b"[]", b"{}", b'{"jobs": {}}'])
async def test_body_of_another_shape_is_422(api: Api, body: bytes) -> None:
    assert (await post(api, body)).status_code == 422


async def test_body_that_is_not_called_json_is_415(api: Api) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await api.acme.post("/v1/jobs", content=b"{}", headers=headers)).status_code == 415


async def test_body_of_50_mb_is_413_by_its_length_alone(api: Api) -> None:
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield b" " * MB

    headers = {**JSON, "content-length": str(50 * MB)}
    answer = await api.acme.post("/v1/jobs", content=endless(), headers=headers)
    assert (answer.status_code, pulled) == (413, 0)


async def test_body_without_a_length_is_413_once_it_is_too_large(api: Api) -> None:
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(50):
            pulled += 1
            yield b" " * MB

    answer = await post(api, endless())
    assert answer.status_code == 413
    assert pulled <= 12


async def test_body_that_does_not_come_is_408() -> None:
    sent: list[dict[str, object]] = []

    async def silent() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def reads(scope, receive, send) -> None:
        await receive()

    async def send(message) -> None:
        sent.append(message)

    shell = Shell(reads, most_body_bytes=10, body_within_s=0.01)
    await shell({"type": "http", "headers": []}, silent, send)
    assert sent[0]["status"] == 408


def many() -> Iterator[tuple[str, object]]:
    yield "labels", [str(n) for n in range(1_000_000)]
    yield "labels", list(range(1_000_000))
    yield "metadata", {str(n): "x" for n in range(500_000)}
    yield "tools", [1] * 1_000_000
    yield "messages", [{}] * 1_000_000
    yield "labels", ["x" * 100_000]


@pytest.mark.parametrize(("field", "value"), list(many()), ids=lambda given: str(given)[:12])
async def test_job_with_too_much_of_something_is_422_quickly(
    api: Api, ticket: Ticket, field: str, value: object
) -> None:
    began = time.process_time()
    answer = await api.acme.post("/v1/jobs", json=ticket(**{field: value}))
    assert answer.status_code == 422
    assert time.process_time() - began < 4  # the test's own encoding is part of it


async def test_more_jobs_than_may_come_together_are_422(api: Api, ticket: Ticket) -> None:
    jobs = [ticket(text="x")] * 10_001
    answer = await api.acme.post("/v1/jobs", json={"jobs": jobs})
    assert (answer.status_code, "10,000" in answer.json()["detail"]) == (422, True)


async def test_answers_carry_strict_headers_and_an_id(api: Api) -> None:
    answer = await api.nobody.get("/healthz")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert len(answer.headers["x-request-id"]) == 16
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/docs", 404),
        ("GET", "/v1/jobs/", 404),
    ],
)
async def test_unknown_routes_and_methods_are_problems(
    api: Api, method: str, path: str, status: int
) -> None:
    answer = await api.acme.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )


async def test_error_that_nobody_foresaw_is_500_without_details(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("sk-secret")

    monkeypatch.setattr("penstock_gateway.owned.read_job", broken)
    answer = await api.acme.get("/v1/jobs/019aa0a4-0000-7000-8000-000000000000")
    assert (answer.status_code, "sk-secret" in answer.text) == (500, False)
    found = [record for record in caplog.records if record.msg == "request.failed"]
    assert found[0].request_id == answer.json()["request_id"]  # type: ignore[attr-defined]


async def test_mistakes_do_not_quote_what_was_sent(api: Api, ticket: Ticket) -> None:
    secret = "sk-in-the-wrong-place"
    bodies = [ticket(type=secret), ticket(lane=secret), ticket(labels=secret), {secret: 1}]
    for body in bodies[:3]:
        answer = await api.acme.post("/v1/jobs", json=body)
        assert (answer.status_code, secret in answer.text) == (422, False)
    answer = await api.acme.get("/v1/runs", params={"workspace": "acme", "before": secret})
    assert (answer.status_code, secret in answer.text) == (422, False)
    assert answer.json()["detail"] == "a run ID is a UUID"
