"""The stack as its users see it: addresses, deliberate stops, accidents, privacy, one owner."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from arq.connections import RedisSettings

from penstock_worker.embedded import EmbeddedError, EmbeddedStack, Restart

from .conftest import postgres, runs, valkey


async def test_stack_answers_at_both_addresses(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        async with valkey(stack.redis_url) as client:
            assert await client.ping()
        async with postgres(stack.database_url) as connection:
            row = await connection.fetchrow("select current_user, current_database()")
            assert tuple(row) == ("penstock", "penstock")
        settings = RedisSettings.from_dsn(stack.redis_url)
        assert Path(settings.unix_socket_path or "").is_socket()
        endpoints = json.loads((home / "endpoints.json").read_text())
        assert endpoints["database_url"] == stack.database_url
        assert all(log.stat().st_size for log in stack.logs.values())
    assert not (home / "endpoints.json").exists()


async def test_stack_keeps_promises_about_durability(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        async with valkey(stack.redis_url) as client:
            assert (await client.config_get("appendonly"))["appendonly"] == "yes"
            assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
            assert (await client.config_get("port"))["port"] == "0"
        async with postgres(stack.database_url) as connection:
            assert await connection.fetchval("show fsync") == "on"
            assert await connection.fetchval("show synchronous_commit") == "on"
            assert await connection.fetchval("show listen_addresses") == ""


async def test_stack_killed_servers_come_back_with_their_data(home: Path) -> None:
    restarts: list[Restart] = []
    async with EmbeddedStack(home, on_restart=restarts.append) as stack:
        addresses = stack.redis_url, stack.database_url
        async with postgres(stack.database_url) as connection:
            await connection.execute("create table kept as select 7 as value")
            await stack.kill_postgres()
        async with valkey(stack.redis_url) as client:
            await client.set("kept", "7")
        await stack.kill_redis()
        await stack.start_postgres()
        await stack.start_redis()
        async with postgres(stack.database_url) as connection:
            assert await connection.fetchval("select value from kept") == 7
        async with valkey(stack.redis_url) as client:
            assert await client.get("kept") == "7"
        assert addresses == (stack.redis_url, stack.database_url)
    assert sorted((r.server, r.exit_code, r.error) for r in restarts) == [
        ("PostgreSQL", -9, None),
        ("Valkey", -9, None),
    ]


async def test_stack_stopped_server_stays_down_until_started(home: Path) -> None:
    restarts: list[Restart] = []
    async with EmbeddedStack(home, on_restart=restarts.append) as stack:
        await stack.stop_redis()
        await stack.kill_postgres(restart=False)
        assert dict(stack.pids) == {"redis": None, "postgres": None}
        await stack.start_redis()
        await stack.start_postgres()
        async with valkey(stack.redis_url) as client, postgres(stack.database_url):
            assert await client.ping()
    assert restarts == []


async def test_stack_second_owner_is_refused(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        with pytest.raises(EmbeddedError, match=rf"in use by process PID {os.getpid()}: stop "):
            await EmbeddedStack(home).__aenter__()
        assert None not in stack.pids.values()


async def test_stack_leaves_nothing_running_or_locked(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        pids = [pid for pid in stack.pids.values() if pid is not None]
        assert len(pids) == 2 and all(map(runs, pids))
    assert not any(map(runs, pids))
    async with EmbeddedStack(home):
        pass


async def test_stack_is_private_to_its_user(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        sockets = RedisSettings.from_dsn(stack.redis_url).unix_socket_path or ""
        folders = [home, home / "valkey", home / "postgres", home / "logs", Path(sockets).parent]
        folders += [home / "postgres" / "data", Path(sockets).parents[1] / "postgres"]
        for folder in folders:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        for log in stack.logs.values():
            assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_stack_works_below_a_long_path(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30) / ("longer" * 20)
    async with EmbeddedStack(home) as stack:
        socket = RedisSettings.from_dsn(stack.redis_url).unix_socket_path or ""
        assert len(socket) < 100
        async with valkey(stack.redis_url) as client, postgres(stack.database_url):
            assert await client.ping()
    assert not Path(socket).parents[1].exists()


async def test_stack_tcp_wants_the_password(home: Path) -> None:
    async with EmbeddedStack(home, tcp=True) as stack:
        async with valkey(stack.redis_url) as client, postgres(stack.database_url):
            assert await client.ping()
        parts = urlsplit(stack.database_url)
        wrong = parts._replace(netloc=f"penstock:wrong@127.0.0.1:{parts.port}")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(urlunsplit(wrong))
        for pid in stack.pids.values():
            command = Path(f"/proc/{pid}/cmdline")
            assert not command.exists() or (parts.password or "") not in command.read_text()


def test_stack_outside_its_context_says_what_to_do(new_home: Path) -> None:
    with pytest.raises(EmbeddedError, match="enter it with `async with`"):
        _ = EmbeddedStack(new_home).redis_url


async def test_stack_on_an_unusable_home_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="set PENSTOCK_HOME"):
        await EmbeddedStack(tmp_path / "file" / "home").__aenter__()
