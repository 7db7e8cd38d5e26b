"""The code in docs/client.md and the client's examples run as they stand."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import penstock_client
from penstock_client import Penstock, Settings
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "client.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
PUBLIC = {name: getattr(penstock_client, name) for name in penstock_client.__all__}


@pytest.fixture
async def demo(
    penstock: Penstock, work_for, empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> Penstock:
    """The workspace `demo`, workers of its default routing, and variables that lead there."""
    await penstock.workspaces.create("demo", monthly_tokens=None)
    for provider in ("fireworks", "anthropic"):
        await work_for(provider)
    monkeypatch.setenv(REDIS_VARIABLE, empty.require_redis())
    monkeypatch.setenv(DATABASE_VARIABLE, empty.require_database())
    return penstock


@pytest.fixture
async def connection(empty: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The producer's own connection, with a table of its own."""
    opened = await asyncpg.connect(empty.require_database())
    await opened.execute("create temporary table orders (id serial, message text)")
    yield opened
    await opened.close()


async def run(code: str, names: dict[str, Any]) -> None:
    """A snippet with the names it goes on with: in this loop, or where it makes do without one."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, str(PAGE), "exec", flags=flags)
    if ".sync()" in code:
        await asyncio.to_thread(eval, compiled, names)
        return
    waits = eval(compiled, names)
    if inspect.isawaitable(waits):
        await waits


async def test_snippets_of_the_page_run_one_after_the_other(
    demo: Penstock, connection: asyncpg.Connection
) -> None:
    names: dict[str, Any] = {**PUBLIC, "connection": connection}
    assert len(SNIPPETS) > 8
    for code in SNIPPETS:
        names["penstock"] = demo
        await asyncio.wait_for(run(code, names), timeout=30)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickstart.py", "delivery"),
        ("map.py", "4 answers, 0 failures, $0.0"),
        ("streaming.py", "after 1-"),
        ("script.py", "I want my money back. refund"),
    ],
)
async def test_example_runs(demo: Penstock, name: str, said: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "examples" / name)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, said in out.decode()) == (0, True), (out, err)
