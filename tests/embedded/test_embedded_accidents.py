"""What killed owners, halves and strangers leave behind must not break the next start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from penstock_worker.embedded import EmbeddedError, EmbeddedStack
from penstock_worker.embedded.leftovers import Traces, find_leftovers, stop_leftovers

from .conftest import postgres, runs, until, valkey

_OWNER = Path(__file__).with_name("owner.py")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """An unrelated living process, of the user PostgreSQL runs as: it could signal that one."""
    user = "nobody" if os.geteuid() == 0 else None
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=user)
    yield process
    process.kill()
    process.communicate()


def _own_in_another_process(home: Path) -> tuple[subprocess.Popen[str], list[int]]:
    owner = subprocess.Popen(
        [sys.executable, str(_OWNER), str(home)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pids: dict[str, int] = json.loads(owner.stdout.readline())
    return owner, list(pids.values())


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's death signal")
async def test_owner_killed_stops_both_servers(home: Path) -> None:
    owner, pids = _own_in_another_process(home)
    assert all(map(runs, pids))
    owner.kill()
    owner.communicate()
    await until(lambda: not any(map(runs, pids)))
    async with EmbeddedStack(home):
        pass  # the next owner also clears away the runtime directory


async def test_owner_killed_next_start_is_immediate_and_has_the_data(home: Path) -> None:
    owner, _ = _own_in_another_process(home)
    owner.kill()
    owner.communicate()
    async with EmbeddedStack(home) as stack:
        async with postgres(stack.database_url) as connection:
            assert await connection.fetchval("select value from kept") == 7
        async with valkey(stack.redis_url) as client:
            assert await client.get("kept") == "7"


async def test_everything_killed_at_once_next_start_has_the_data(home: Path) -> None:
    owner, pids = _own_in_another_process(home)
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    owner.kill()
    owner.communicate()
    async with EmbeddedStack(home) as stack:
        async with postgres(stack.database_url) as connection:
            assert await connection.fetchval("select value from kept") == 7
        async with valkey(stack.redis_url) as client:
            assert await client.get("kept") == "7"


async def test_stale_pid_files_naming_a_stranger_do_no_harm(
    home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    async with EmbeddedStack(home) as stack:
        await stack.kill_postgres(restart=False)
        await stack.kill_redis(restart=False)
    (home / "valkey" / "valkey.pid").write_text(f"{stranger.pid}\n")
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n" + pid_file.read_text().partition("\n")[2])
    async with EmbeddedStack(home) as stack:
        assert None not in stack.pids.values()
        assert stranger.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_orphaned_busy_backend_does_not_block_the_restart(home: Path) -> None:
    async with EmbeddedStack(home) as stack, postgres(stack.database_url) as busy:
        backend = await busy.fetchval("select pg_backend_pid()")
        endless = "select sum(i) from generate_series(1, 10000000000) as i"
        query = asyncio.create_task(busy.execute(endless))
        async with postgres(stack.database_url) as watcher:
            state = "select state = 'active' from pg_stat_activity where pid = $1"
            async with asyncio.timeout(10):
                while not await watcher.fetchval(state, backend):
                    await asyncio.sleep(0.02)
        await stack.kill_postgres()
        await stack.start_postgres()
        assert not runs(backend)
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await query


async def test_broken_pid_file_does_no_harm(home: Path) -> None:
    async with EmbeddedStack(home):
        pass
    (home / "postgres" / "data" / "postmaster.pid").touch()
    async with EmbeddedStack(home) as stack:
        assert stack.pids["postgres"] is not None


async def test_half_made_database_is_cleared_away(new_home: Path) -> None:
    half = new_home / "postgres" / "initdb-0000"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedStack(new_home) as stack, postgres(stack.database_url):
        assert not half.exists()


async def test_database_of_another_version_is_refused(new_home: Path) -> None:
    data = new_home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, not 18: move it away"):
        await EmbeddedStack(new_home).__aenter__()


async def test_failed_start_names_the_log_and_frees_the_home(new_home: Path) -> None:
    broken = new_home / "valkey" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match=r"Valkey stopped while starting .*read .*valkey\.log"):
        await EmbeddedStack(new_home).__aenter__()
    (broken / "appendonly.aof.manifest").unlink()
    async with EmbeddedStack(new_home) as stack:
        assert None not in stack.pids.values()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_leftover_is_known_by_program_and_folder(tmp_path: Path) -> None:
    started = subprocess.Popen(["/bin/sleep", "600"], cwd=tmp_path)
    try:
        name = Path("/bin/sleep").resolve().name
        await until(lambda: Path(f"/proc/{started.pid}/exe").readlink().name == name)
        ours = Traces(programs=(name,), data=tmp_path, pid_file=tmp_path / "pid")
        elsewhere = Traces(programs=(name,), data=tmp_path.parent, pid_file=tmp_path / "pid")
        other = Traces(programs=("valkey-server",), data=tmp_path, pid_file=tmp_path / "pid")
        assert find_leftovers(elsewhere) == find_leftovers(other) == []
        assert find_leftovers(ours) == [started.pid]
        (tmp_path / "pid").write_text(f"{started.pid}\n")
        await stop_leftovers(ours, name="sleep", ask_with=signal.SIGTERM, deadline_s=5)
        assert started.wait(timeout=5) == -signal.SIGTERM
    finally:
        started.kill()
        started.wait()
