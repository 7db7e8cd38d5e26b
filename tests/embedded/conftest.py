"""What the tests of the embedded stack share: a fresh home each, and short ways to ask a server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from penstock_worker.embedded import EmbeddedStack


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose servers ran once; tests work on copies, which saves making databases."""
    path = tmp_path_factory.mktemp("made") / "home"

    async def make() -> None:
        async with EmbeddedStack(path):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
def new_home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "new"


@pytest.fixture
def home(made_home: Path, tmp_path: Path) -> Path:
    """A home of its own for one test, used before."""
    path = tmp_path / "home"
    subprocess.run(["cp", "-a", str(made_home), str(path)], check=True)
    return path


@asynccontextmanager
async def valkey(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        yield connection
    finally:
        await connection.close(timeout=20)


def runs(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()
    return state not in "ZX"


async def until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, "the condition never came true"
        await asyncio.sleep(0.02)
