"""COMPUTE functions of the tests; `CALLS` has what was called, in order."""

from __future__ import annotations

import asyncio
import threading

from pydantic import BaseModel

from penstock_client.pipelines.steps import compute

CALLS: list[object] = []
#: Lets `held` go on.
GATE = threading.Event()


class Deal(BaseModel):
    """What `names` takes."""

    name: str
    value: int


@compute
def numbers(count: int) -> list[int]:
    """A list to fan out over."""
    CALLS.append(("numbers", count))
    return list(range(count))


@compute
async def names(deals: list[Deal]) -> list[dict[str, object]]:
    """Async, with arguments that are converted."""
    await asyncio.sleep(0)
    return [{"name": deal.name.upper(), "value": deal.value} for deal in deals]


@compute
def double(number: int) -> int:
    """Twice the number; refuses 13."""
    CALLS.append(("double", number))
    if number == 13:
        raise ValueError("13 is unlucky")
    return 2 * number


@compute
def total(of: list[int | None]) -> int:
    """A fan-in."""
    return sum(number or 0 for number in of)


@compute
def flaky(of: str) -> str:
    """Fails at its first two calls for each argument."""
    CALLS.append(("flaky", of))
    if CALLS.count(("flaky", of)) < 3:
        raise RuntimeError("not yet")
    return of


@compute
def held(of: str) -> str:
    """Waits for `GATE`."""
    CALLS.append(("held", of))
    GATE.wait(20)
    return of


@compute
def nothing_json() -> object:
    """What JSON cannot hold."""
    return object()


def unmarked() -> None:
    """No COMPUTE function."""
    CALLS.append("unmarked")
