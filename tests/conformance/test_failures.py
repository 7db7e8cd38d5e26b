"""What every wire must make of failures, whole and streamed, over real HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.http import Timeout, possibly_sent
from penstock_worker.simulator.faults import Fault
from tests.conformance.conftest import Line

PROMPT = "The pump failed at noon. It was replaced by a new one in the evening."

STATUSES = {
    401: ErrorKind.AUTHENTICATION,
    404: ErrorKind.MODEL_NOT_FOUND,
    429: ErrorKind.RATE_LIMITED,
    500: ErrorKind.SERVER_ERROR,
    529: ErrorKind.OVERLOADED,
}


async def failure_of(line: Line, **fault: Any) -> ProviderError:
    line.sim.faults.add(Fault(**fault))
    with pytest.raises(ProviderError) as caught:
        await line.ask(prompt=PROMPT)
    return caught.value


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_is_classified(line: Line, status: int) -> None:
    error = await failure_of(line, kind="status", status=status)
    assert error.kind is STATUSES[status]
    assert error.status == status
    assert error.message


async def test_a_hint_when_to_return_is_kept(line: Line) -> None:
    error = await failure_of(line, kind="status", status=429, headers={"retry-after": "7"})
    assert error.retry_after_s == 7


async def test_a_provider_without_room_is_overloaded(line: Line) -> None:
    assert (await failure_of(line, kind="overloaded")).kind is ErrorKind.OVERLOADED


async def test_an_empty_account_is_told_from_a_rate_limit(line: Line) -> None:
    error = await failure_of(line, kind="insufficient_quota")
    assert error.kind is ErrorKind.QUOTA_EXHAUSTED


async def test_a_page_instead_of_an_answer_is_a_server_error(line: Line) -> None:
    page = "<html><body>Bad gateway</body></html>"
    error = await failure_of(line, kind="status", status=502, body=page)
    assert error.kind is ErrorKind.SERVER_ERROR
    assert "<" not in error.message


async def test_a_broken_body_is_malformed_and_may_be_billed(line: Line) -> None:
    error = await failure_of(line, kind="invalid_json")
    assert error.kind is ErrorKind.MALFORMED_ANSWER
    assert error.possibly_billed


async def test_an_answer_that_breaks_off_is_no_answer(line: Line) -> None:
    line.sim.faults.add(Fault(kind="truncated"))
    if line.stream:
        with pytest.raises(ProviderError) as caught:
            await line.ask(prompt=PROMPT)
        assert caught.value.kind is ErrorKind.INTERRUPTED
        assert caught.value.possibly_billed
    else:
        with pytest.raises(httpx.HTTPError) as broken:
            await line.ask(prompt=PROMPT)
        assert possibly_sent(broken.value)


async def test_a_lost_connection_is_an_http_error(line: Line) -> None:
    line.sim.faults.add(Fault(kind="drop_after"))
    with pytest.raises(httpx.HTTPError):
        await line.ask(prompt=PROMPT)


async def test_silence_is_a_timeout(line: Line) -> None:
    line.sim.faults.add(Fault(kind="hang", delay_s=5))
    with pytest.raises(httpx.TimeoutException):
        await line.ask(prompt=PROMPT, timeout=Timeout(connect_s=1, read_s=0.2, total_s=0.2))


async def test_a_slow_answer_is_an_answer(line: Line) -> None:
    line.sim.faults.add(Fault(kind="slow", delay_s=0.1))
    assert (await line.ask(prompt=PROMPT)).text


async def test_the_next_call_after_a_failure_succeeds(line: Line) -> None:
    await failure_of(line, kind="status", status=500, count=1)
    assert (await line.ask(prompt=PROMPT)).text


async def test_a_key_never_stands_in_an_error(line: Line) -> None:
    body = '{"error":{"message":"bad key sk-simulated-0123456789abcdef","type":"x"}}'
    error = await failure_of(line, kind="status", status=401, body=body)
    assert "0123456789" not in str(error)
