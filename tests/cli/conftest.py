"""Running `penstock` inside the test, against the servers of the test process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from penstock_client import Settings
from penstock_client.cli.main import main
from penstock_client.connections import close_redis, redis_pool
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.embedded import EmbeddedStack


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("jobs", "--json")` runs a command and gives its exit code and output."""

    def command(*args: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(args)
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, out, err)

    return command


@pytest.fixture
def servers(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a command points at the stack."""
    monkeypatch.setenv(REDIS_VARIABLE, stack.redis_url)
    monkeypatch.setenv(DATABASE_VARIABLE, stack.database_url)


Do = Callable[[ProviderIndex], Awaitable[object]]
AtOpenai = Callable[[Do], None]


@pytest.fixture
def at_openai(empty: Settings, servers: None) -> AtOpenai:
    """`at_openai(do)` opens OpenAI's index and does something to it."""

    def told(do: Do) -> None:
        async def work() -> None:
            redis = redis_pool(empty)
            index = ProviderIndex(redis, "openai")
            await index.finish_rebuild(await index.begin_rebuild("e1"))
            await do(index)
            await close_redis(redis)

        asyncio.run(work())

    return told


async def shut(index: ProviderIndex) -> None:
    """The platform's key is refused."""
    await index.shut("credential:platform", state="bad_key", reason="invalid_api_key", for_s=300)
