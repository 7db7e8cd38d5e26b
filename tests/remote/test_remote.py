"""A client of a gateway: what is its own beside what every connection does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from penstock_client import (
    Classify,
    ConfigurationError,
    Generate,
    InvalidJob,
    Penstock,
    RemotePenstock,
    Settings,
    Unavailable,
)
from penstock_client.remote.bodies import MOST_BYTES, chunks_of
from tests.gateway.conftest import serving
from tests.gateway.serving_thread import listening
from tests.remote.conftest import WorkFor


def refund(**fields: Any) -> Classify:
    given = {"workspace": "acme", "text": "I want a refund", "labels": ["refund", "praise"]}
    return Classify.model_validate({**given, **fields})


class Line(httpx.AsyncBaseTransport):
    """The way to a gateway in this process; `disturb` may lose an answer, or give another."""

    def __init__(self, app: Any) -> None:
        self.way = httpx.ASGITransport(app=app)
        self.requests: list[httpx.Request] = []
        self.disturb: Callable[[httpx.Request, httpx.Response], httpx.Response] = lambda _, it: it

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.disturb(request, await self.way.handle_async_request(request))


@asynccontextmanager
async def disturbed(settings: Settings, token: str) -> AsyncIterator[tuple[RemotePenstock, Line]]:
    async with serving(settings) as app:
        line = Line(app)
        client = RemotePenstock("http://gateway", token, settings=settings, transport=line)
        async with client as entered:
            yield entered, line


async def test_lost_answer_to_a_submit_makes_one_job(
    penstock: Penstock, empty: Settings, token: str
) -> None:
    async with disturbed(empty, token) as (remote, line):
        lost = [True, True]

        def lose(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
            if request.method == "POST" and lost:
                lost.pop()
                raise httpx.ReadError("the answer was lost")
            return answer

        line.disturb = lose
        handles = await remote.submit_many([refund(), refund()])
    rows = await penstock.jobs("acme")
    assert sorted(row.job_id for row in rows) == sorted(each.job_id for each in handles)


async def test_requeue_is_not_sent_again_once_it_was_sent(empty: Settings, token: str) -> None:
    async with disturbed(empty, token) as (remote, line):
        handle = await remote.submit(refund())
        await handle.cancel()

        def lose(request: httpx.Request, _: httpx.Response) -> httpx.Response:
            raise httpx.ReadError("the answer was lost")

        line.disturb = lose
        line.requests.clear()
        with pytest.raises(Unavailable):
            await remote.requeue([handle.job_id])
        assert len(line.requests) == 1


async def test_gateway_that_says_to_come_back_is_asked_again(empty: Settings, token: str) -> None:
    async with disturbed(empty, token) as (remote, line):
        turned_away = [True]

        def refuse(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
            if turned_away:
                turned_away.pop()
                return httpx.Response(503, headers={"Retry-After": "0"}, content=b"{}")
            return answer

        line.disturb = refuse
        assert await remote.jobs("acme") == []


async def test_unavailable_names_the_gateway_and_its_variable(empty: Settings, token: str) -> None:
    patient = empty.model_copy(update={"deadline_s": 0.3})
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*PENSTOCK_URL"):
        async with Penstock.connect("http://127.0.0.1:9", token=token, settings=patient):
            pass


async def test_refused_token_is_told_on_entry(gateway: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_TOKEN"):
        async with Penstock.connect(gateway, token="pst_wrong"):
            pass


async def test_token_that_may_only_read_usage_connects_and_is_told_what_it_lacks(
    penstock: Penstock, gateway: str
) -> None:
    made = await penstock.tokens.create("reader", workspace="acme", scopes=["usage:read"])
    async with Penstock.connect(gateway, token=made.secret) as remote:
        assert (await remote.usage.month("acme")).total.calls == 0
        with pytest.raises(ConfigurationError, match="jobs:write"):
            await remote.submit(refund())


@pytest.mark.parametrize("url", ["gateway", "ftp://gateway", "https://u:p@gateway", "https://"])
def test_connect_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_URL"):
        Penstock.connect(url, token="pst_x", settings=Settings())


def test_connect_asks_for_a_token() -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_TOKEN"):
        Penstock.connect("https://gateway", settings=Settings(token=None))


def test_connect_takes_the_gateway_of_the_environment_where_no_server_is_named() -> None:
    alone = Settings(url="https://gateway", token="pst_x", redis_url=None, database_url=None)
    assert isinstance(Penstock.connect(settings=alone), RemotePenstock)
    both = alone.model_copy(update={"redis_url": "redis://localhost"})
    assert isinstance(Penstock.connect(settings=both), Penstock)


def test_token_is_not_shown() -> None:
    assert "pst_secret" not in repr(Settings(url="https://gateway", token="pst_secret"))


async def test_connection_is_refused(remote: RemotePenstock) -> None:
    with pytest.raises(InvalidJob, match="connection"):
        await remote.submit(refund(), connection=object())


async def test_what_needs_the_servers_says_so(remote: RemotePenstock) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_REDIS_URL"):
        _ = remote.ledger
    assert not hasattr(remote, "ledger")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = remote.nothing


def test_chunks_are_bounded_and_keep_the_bulk_lane() -> None:
    large = [Generate(workspace="acme", prompt="x" * 20_000) for _ in range(800)]
    large.append(Generate(workspace="acme", prompt="short", lane="interactive"))
    chunks = list(chunks_of(large, together=len(large)))
    assert [job for chunk in chunks for job in chunk.jobs] == large
    assert all(len(chunk.body) < MOST_BYTES + 100_000 for chunk in chunks)
    sent = [job for chunk in chunks for job in orjson.loads(chunk.body)["jobs"]]
    assert {job["lane"] for job in sent[:-1]} == {"bulk"}
    assert sent[-1]["lane"] == "interactive"
    assert len({job["idempotency_key"] for job in sent}) == len(large)


async def test_body_that_a_gateway_finds_too_large_is_halved(
    penstock: Penstock, empty: Settings, token: str
) -> None:
    small = empty.model_copy(update={"max_body_bytes": 4096})
    async with disturbed(small, token) as (remote, _):
        handles = await remote.submit_many([refund(text="x" * 500) for _ in range(20)])
        assert len({each.job_id for each in handles}) == 20
        with pytest.raises(InvalidJob):
            await remote.submit(refund(text="x" * 5000))


async def test_thousand_awaits_take_few_connections(
    remote: RemotePenstock, work_for: WorkFor
) -> None:
    handles = await remote.submit_many([refund() for _ in range(1000)])
    awaited = asyncio.gather(*(handle.result(timeout_s=40) for handle in handles))
    await work_for("fireworks", concurrency=200)
    results = await awaited
    assert {result.output for result in results} == {"refund"}
    assert len(_connections(remote._http._requests)) <= 9


async def test_awaiting_outlives_lost_connections(
    empty: Settings, token: str, work_for: WorkFor
) -> None:
    async with disturbed(empty, token) as (remote, line):
        handle = await remote.submit(refund())
        lost = [True] * 3

        def lose(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
            if request.url.path == "/v1/results" and lost:
                lost.pop()
                raise httpx.ConnectError("away")
            return answer

        line.disturb = lose
        awaited = asyncio.ensure_future(handle.result(timeout_s=30))
        await work_for("fireworks")
        assert (await awaited).output == "refund"
        assert not lost


class Cut(httpx.AsyncByteStream):
    """The beginning of an answer, whose connection is lost then."""

    def __init__(self, body: bytes, at: int) -> None:
        self.body, self.at = body, at

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body[: self.at // 2]
        yield self.body[self.at // 2 : self.at]
        raise httpx.ReadError("the connection was lost")


async def test_stream_goes_on_where_its_connection_was_lost(
    penstock: Penstock, empty: Settings, token: str, work_for: WorkFor
) -> None:
    await work_for("openai")
    prompt = "The river is high. The gate is half open. The turbine runs at full load tonight."
    job = Generate(workspace="acme", prompt=prompt, model="openai/gpt-4o-mini", stream=True)
    async with disturbed(empty, token) as (remote, line):
        handle = await remote.submit(job)
        result = await handle.result(timeout_s=20)
        whole = [delta async for delta in penstock.stream(handle.job_id)]
        cuts = [700, 300, 5]

        def cut(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
            if not cuts:
                return answer
            stream: Any = answer.stream
            return httpx.Response(200, stream=Cut(b"".join(stream._body), cuts.pop()))

        line.disturb = cut
        read = [delta async for delta in remote.stream(handle.job_id)]
    assert read == whole
    assert "".join(delta.text for delta in read) == result.text


async def test_awaiting_outlives_its_gateway(
    penstock: Penstock, empty: Settings, token: str, work_for: WorkFor
) -> None:
    with ExitStack() as first:
        url = first.enter_context(listening(empty))
        async with Penstock.connect(url, token=token) as remote:
            handle = await remote.submit(refund())
            awaited = asyncio.ensure_future(handle.result(timeout_s=30))
            await _until_asked(remote)
            await asyncio.to_thread(first.close)
            assert not awaited.done()
            with listening(empty, port=int(url.rpartition(":")[2])):
                await work_for("fireworks")
                assert (await awaited).output == "refund"


async def _until_asked(remote: RemotePenstock) -> None:
    """Return once a result is waited for at the gateway."""
    async with asyncio.timeout(10):
        while all(each.is_idle() for each in _connections(remote._http._requests)):
            await asyncio.sleep(0.01)


def _connections(client: httpx.AsyncClient) -> list[Any]:
    pool: Any = client._transport
    return pool._pool.connections


async def test_stream_gives_up_on_a_gateway_that_stays_away(empty: Settings, token: str) -> None:
    hasty = empty.model_copy(update={"deadline_s": 0.3})
    async with disturbed(hasty, token) as (remote, line):
        handle = await remote.submit(refund(stream=True))

        def lose(_: httpx.Request, __: httpx.Response) -> httpx.Response:
            raise httpx.ConnectError("away")

        await handle.cancel()
        line.disturb = lose
        with pytest.raises(Unavailable):
            await anext(remote.stream(handle.job_id))


def test_sync_facade_works_over_a_gateway(gateway: str, token: str) -> None:
    with Penstock.connect(gateway, token=token).sync() as remote:
        handle = remote.submit(refund())
        assert handle.cancel().label == "cancelled"
        assert handle.result(timeout_s=10).status.label == "cancelled"
