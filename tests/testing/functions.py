"""COMPUTE functions of the runs in these tests."""

from __future__ import annotations

from penstock_client import compute

#: How often `flaky` was called by this name.
calls: dict[str, int] = {}


@compute
def open_tickets(tickets: list[dict[str, object]]) -> list[dict[str, object]]:
    return [ticket for ticket in tickets if not ticket["closed"]]


@compute
async def doubled(number: int) -> int:
    return 2 * number


@compute
def flaky(name: str, failures: int) -> int:
    calls[name] = calls.get(name, 0) + 1
    if calls[name] <= failures:
        raise OSError("not yet")
    return calls[name]


def unmarked() -> int:
    return 1
