"""Producers over both transports, on one stack: directly, and by a gateway on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from penstock_client import Penstock, Producer, RemotePenstock, Settings
from tests.gateway.serving_thread import listening

WorkFor = Callable[..., Awaitable[None]]


@pytest.fixture
def gateway(penstock: Penstock, empty: Settings) -> Iterator[str]:
    """The address of a gateway on an empty stack that has the workspace `acme`."""
    with listening(empty) as url:
        yield url


@pytest.fixture
async def token(penstock: Penstock) -> str:
    """A token of `acme` with all its scopes."""
    return (await penstock.tokens.create("acme's", workspace="acme")).secret


@pytest.fixture
async def remote(gateway: str, token: str) -> AsyncIterator[RemotePenstock]:
    """A client of the gateway, as `acme`."""
    async with Penstock.connect(gateway, token=token) as client:
        yield client


@pytest.fixture(params=["direct", "remote"])
async def producer(
    request: pytest.FixtureRequest, penstock: Penstock, empty: Settings
) -> AsyncIterator[Producer]:
    """Each of the two."""
    if request.param == "direct":
        yield penstock
        return
    secret = (await penstock.tokens.create("acme's", workspace="acme")).secret
    with listening(empty) as url:
        async with Penstock.connect(url, token=secret) as client:
            yield client
