"""Workspaces' own keys from end to end: sealed, tried, used, rotated, and seen by nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from arq.connections import ArqRedis
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from penstock_client import Generate, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.key_trial import SKILL
from penstock_client.sealing import encode_key, fingerprint
from penstock_schemas.errors import ConfigurationError, KeyRefused, KeyUntested, UnknownKey
from penstock_schemas.results import Result
from penstock_worker import resealing
from penstock_worker.compose import run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import (
    FILE_VARIABLE,
    PrivateKey,
    ensure_key_file,
    read_keys,
    write_keys,
)
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background
from tests.gateway.conftest import client_of, serving

MODEL = "openai/gpt-4o-mini"
PLATFORM_KEY = "sk-platform-4f6b2c8d9e"
OWN_KEY = "sk-own-71c0ffee55aa"
OTHER_KEY = "sk-other-90ab12cd34"
BAD_KEY = "sk-bad-1234567890abcdef"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look at their key file and at stored keys all the time."""
    monkeypatch.setattr(resealing, "RESEAL_EVERY", 1)
    monkeypatch.setattr("penstock_worker.compose.LOOK_S", 0.05)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The workers' private keys."""
    file = tmp_path / "private-keys"
    ensure_key_file(file)
    return file


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


Start = Callable[..., Awaitable[asyncio.Task[None]]]


@pytest.fixture
async def start(
    empty: Settings, simulator: Simulator, steward: None, key_file: Path
) -> AsyncIterator[Start]:
    """`await start("openai")` starts a worker that holds private keys."""
    async with AsyncExitStack() as running:

        async def begin(provider: str = "openai", **variables: str) -> asyncio.Task[None]:
            given = {
                base_url_variable(provider): simulator.base_url(provider),
                "OPENAI_API_KEY": PLATFORM_KEY,
                "ANTHROPIC_API_KEY": PLATFORM_KEY,
                FILE_VARIABLE: str(key_file),
                **variables,
            }
            worker = run_worker(
                provider, empty, given, concurrency=20, drain_s=5, handle_signals=False
            )
            return await running.enter_async_context(in_background(worker))

        yield begin


async def published(penstock: Penstock) -> None:
    """Wait until a worker has published its public key."""
    async with asyncio.timeout(10):
        while not await penstock.keys.status():
            await asyncio.sleep(0.02)


async def reaches_index(redis: ArqRedis, workspace: str, credential: str | None) -> None:
    """Wait until the index knows whose credential a workspace uses."""
    hget: Any = redis.hget
    wanted = credential and credential.encode()
    async with asyncio.timeout(10):
        while await hget("ps3:{openai}:credentials", workspace) != wanted:
            await asyncio.sleep(0.02)


def text(number: int = 0, **fields: Any) -> Generate:
    return Generate(**{"workspace": "acme", "model": MODEL, "prompt": f"hello {number}", **fields})


async def answered(penstock: Penstock, **fields: Any) -> Result:
    return await (await penstock.submit(text(**fields))).result(timeout_s=20)


async def credentials_used(penstock: Penstock, job_id: str) -> list[str]:
    rows = await penstock.ledger.pool.fetch(
        "select credential from penstock.attempts where job_id = $1 order by number", job_id
    )
    return [row["credential"] for row in rows]


# Whose key a call uses.


async def test_calls_of_a_workspace_use_its_own_key_and_others_the_platforms(
    penstock: Penstock, simulator: Simulator, start: Start
) -> None:
    await start()
    await published(penstock)
    await penstock.workspaces.create("other", monthly_tokens=None)
    info = await penstock.keys.set("acme", "openai", f" {OWN_KEY}\n")
    simulator.faults.add(Fault(kind="status", status=500, key=PLATFORM_KEY))
    own = await answered(penstock)
    simulator.faults.clear()
    other = await answered(penstock, workspace="other")
    assert (info.works, info.fingerprint) == (True, fingerprint(OWN_KEY))
    assert own.ok and await credentials_used(penstock, own.job_id) == [fingerprint(OWN_KEY)]
    assert other.ok and await credentials_used(penstock, other.job_id) == ["platform"]


async def test_a_removed_key_leaves_the_platforms(penstock: Penstock, start: Start) -> None:
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    removed = [await penstock.keys.remove("acme", "openai") for _ in range(2)]
    result = await answered(penstock)
    assert removed == [True, False]
    assert await credentials_used(penstock, result.job_id) == ["platform"]


async def test_a_configuration_without_own_keys_uses_the_platforms(
    penstock: Penstock, start: Start, redis: ArqRedis
) -> None:
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await penstock.ledger.pool.execute("update penstock.llm_configurations set own_keys = false")
    await reaches_index(redis, "acme/default", "platform")
    result = await answered(penstock)
    assert await credentials_used(penstock, result.job_id) == ["platform"]


async def test_an_own_key_shuts_its_own_gate_alone(
    penstock: Penstock, simulator: Simulator, start: Start, redis: ArqRedis
) -> None:
    await start()
    await published(penstock)
    await penstock.workspaces.create("other", monthly_tokens=None)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await reaches_index(redis, "acme", fingerprint(OWN_KEY))
    simulator.faults.add(Fault(kind="status", status=401, key=OWN_KEY))
    own = await answered(penstock)
    other = await answered(penstock, workspace="other")
    hkeys: Any = redis.hkeys
    shut = await hkeys("ps3:{openai}:shut")
    assert (own.ok, other.ok) == (False, True)
    assert shut == [f"credential:{fingerprint(OWN_KEY)}".encode()]


async def test_a_key_that_is_set_frees_jobs_that_wait_for_the_platforms(
    penstock: Penstock, simulator: Simulator, start: Start
) -> None:
    simulator.faults.add(Fault(kind="insufficient_quota", key=PLATFORM_KEY))
    await start()
    await published(penstock)
    handles = await penstock.submit_many([text(number) for number in range(5)])
    async with asyncio.timeout(10):
        while not (await penstock.operations.provider("openai")).gates:
            await asyncio.sleep(0.02)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    results = await asyncio.gather(*(handle.result(timeout_s=10) for handle in handles))
    assert all(result.ok for result in results)


async def test_a_worker_without_the_platforms_key_serves_who_have_their_own(
    penstock: Penstock, start: Start, redis: ArqRedis
) -> None:
    without = await start(OPENAI_API_KEY="")
    await published(penstock)
    await penstock.workspaces.create("other", monthly_tokens=None)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    waits = await penstock.submit(text(workspace="other"))
    own = await answered(penstock)
    why = (await penstock.explain(waits.job_id)).why
    without.cancel()
    await start()  # with the platform's key
    assert own.ok and "OPENAI_API_KEY" in why
    assert (await waits.result(timeout_s=30)).ok


# What is stored, and what is not.


async def test_a_refused_key_is_not_stored_and_not_quoted(
    penstock: Penstock, start: Start, redis: ArqRedis
) -> None:
    await start()
    await published(penstock)
    with pytest.raises(KeyRefused) as refused:
        await penstock.keys.set("acme", "openai", BAD_KEY)
    hlen: Any = redis.hlen
    assert await penstock.keys.list("acme") == []
    assert BAD_KEY not in str(refused.value) and "openai refused the key" in str(refused.value)
    assert await hlen("ps3:{openai}:shut") == 0


async def test_a_refused_key_is_stored_when_told_to(penstock: Penstock, start: Start) -> None:
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", BAD_KEY, anyway=True)
    (info,) = await penstock.keys.list("acme")
    assert info.works is False and info.problem and info.tested_at


async def test_a_key_nobody_could_test_is_not_stored(
    penstock: Penstock, simulator: Simulator, start: Start
) -> None:
    await start()
    await published(penstock)
    simulator.faults.add(Fault(kind="status", status=503, key=OWN_KEY))
    with pytest.raises(KeyUntested):
        await penstock.keys.set("acme", "openai", OWN_KEY)
    assert await penstock.keys.list("acme") == []


async def test_a_test_that_no_worker_runs_says_so(penstock: Penstock, start: Start) -> None:
    await start()
    await published(penstock)
    with pytest.raises(KeyUntested, match="no worker"):
        await penstock.keys.set("acme", "anthropic", OWN_KEY, timeout_s=1)


async def test_a_spent_quota_ends_the_test_after_one_call(
    penstock: Penstock, simulator: Simulator, start: Start
) -> None:
    await start()
    await published(penstock)
    simulator.faults.add(Fault(kind="insufficient_quota", key=OWN_KEY))
    with pytest.raises(KeyUntested, match="quota"):
        await penstock.keys.set("acme", "openai", OWN_KEY)
    assert simulator.stats()["calls"] == 1


async def test_a_shut_gate_does_not_keep_a_new_key_from_its_test(
    penstock: Penstock, simulator: Simulator, start: Start, redis: ArqRedis
) -> None:
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", BAD_KEY, validate=False)
    await reaches_index(redis, "acme", fingerprint(BAD_KEY))
    assert not (await answered(penstock)).ok
    info = await penstock.keys.set("acme", "openai", OWN_KEY, timeout_s=10)
    assert info.works and (await answered(penstock)).ok


async def test_a_stored_key_can_be_tested_again(
    penstock: Penstock, simulator: Simulator, start: Start
) -> None:
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", OWN_KEY, validate=False)
    (before,) = await penstock.keys.list("acme")
    simulator.faults.add(Fault(kind="status", status=401, key=OWN_KEY))
    refused = await penstock.keys.test("acme", "openai")
    simulator.faults.clear()
    works = await penstock.keys.test("acme", "openai")
    assert (before.works, refused.works, works.works) == (None, False, True)


async def test_there_is_no_test_without_a_key(penstock: Penstock) -> None:
    with pytest.raises(UnknownKey, match="penstock keys set acme openai"):
        await penstock.keys.test("acme", "openai")


async def test_a_test_spends_no_budget_and_shows_in_usage(penstock: Penstock, start: Start) -> None:
    await start()
    await published(penstock)
    await penstock.ledger.pool.execute("update penstock.llm_configs set default_token_budget = 0")
    assert (await penstock.keys.set("acme", "openai", OWN_KEY)).works
    rows = await penstock.ledger.pool.fetch(
        "select configuration, credential from penstock.usage where skill = $1", SKILL
    )
    assert [tuple(row) for row in rows] == [("key-check", "key-check")]


async def test_nothing_can_be_set_before_a_worker_has_published_its_key(
    penstock: Penstock,
) -> None:
    with pytest.raises(ConfigurationError, match="penstock keys generate"):
        await penstock.keys.set("acme", "openai", OWN_KEY)


async def test_a_pinned_public_key_is_the_only_one_that_is_sealed_to(
    penstock: Penstock, empty: Settings, start: Start
) -> None:
    await start()
    await published(penstock)
    other = PrivateKey.new()
    pinned = empty.model_copy(update={"public_key": encode_key(other.public)})
    async with Penstock.connect(settings=pinned) as careful:
        with pytest.raises(ConfigurationError, match="PENSTOCK_PUBLIC_KEY"):
            await careful.keys.set("acme", "openai", OWN_KEY)


# Copies, rotation.


async def test_a_sealed_key_does_not_open_for_another_workspace(
    penstock: Penstock, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    await start()
    await published(penstock)
    await penstock.workspaces.create("thief", monthly_tokens=None)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await penstock.ledger.pool.execute(
        "insert into penstock.provider_keys "
        "(workspace_id, provider, sealed, sealed_to, fingerprint) "
        "select 'thief', provider, sealed, sealed_to, 'key-stolen' from penstock.provider_keys"
    )
    handle = await penstock.submit(text(workspace="thief"))
    async with asyncio.timeout(10):
        while "attempt.key_not_opened" not in caplog.text:
            await asyncio.sleep(0.02)
    (job,) = await penstock.jobs("thief")
    assert job.state.label in {"deferred", "queued", "running"}
    await penstock.ledger.pool.execute(
        "delete from penstock.provider_keys where workspace_id = 'thief'"
    )
    assert (await handle.result(timeout_s=20)).ok  # given back, not failed


async def test_rotation_with_calls_under_way_loses_nothing(
    penstock: Penstock, start: Start, key_file: Path
) -> None:
    await start()
    await start()
    await published(penstock)
    await penstock.keys.set("acme", "openai", OWN_KEY)
    handles = []
    for _ in range(3):
        handles += await penstock.submit_many([text(n) for n in range(40)])
        newest = PrivateKey.new()
        write_keys(key_file, [newest, *read_keys(key_file)])
        async with asyncio.timeout(10):
            while True:
                first, *older = await penstock.keys.status()
                if (first.id, first.sealed, sum(key.sealed for key in older)) == (newest.id, 1, 0):
                    break
                await asyncio.sleep(0.02)
        write_keys(key_file, [newest])  # the old one is not needed any more
        handles += await penstock.submit_many([text(n) for n in range(40)])
    results = await asyncio.gather(*(handle.result(timeout_s=30) for handle in handles))
    assert [result.error for result in results if not result.ok] == []
    used = await penstock.ledger.pool.fetch("select distinct credential from penstock.usage")
    assert {row["credential"] for row in used} == {fingerprint(OWN_KEY), "key-check"}


# Who sees a key: nobody.


async def test_no_key_is_seen_anywhere_after_all_of_this(
    penstock: Penstock,
    simulator: Simulator,
    start: Start,
    redis: ArqRedis,
    key_file: Path,
    empty: Settings,
    caplog: pytest.LogCaptureFixture,
    spans: InMemorySpanExporter,
) -> None:
    caplog.set_level(logging.DEBUG)
    await start()
    await published(penstock)
    said = []
    await penstock.keys.set("acme", "openai", OWN_KEY)
    echo = f'{{"error": {{"message": "key {OTHER_KEY} is wrong", "code": "{OTHER_KEY}"}}}}'
    simulator.faults.add(Fault(kind="status", status=401, body=echo, key=OTHER_KEY))
    said.append(repr(await penstock.keys.set("acme", "openai", OTHER_KEY, anyway=True)))
    said.append(repr(await answered(penstock)))
    for key in (OTHER_KEY, BAD_KEY):
        with pytest.raises(KeyRefused) as refused:
            await penstock.keys.set("acme", "openai", key)
        said.append(repr(refused.value))
    said += [repr(await penstock.keys.list("acme")), repr(await penstock.operations.providers())]
    tokens = [(await penstock.tokens.create("t", workspace=of)).secret for of in ("acme", None)]
    said += await _answers_of_the_gateway(empty, *tokens)
    said += [f"{span.name} {span.to_json()}" for span in spans.get_finished_spans()]
    assert "penstock.settle" in " ".join(said)
    assert "penstock_calls" in " ".join(said)
    private = [key.text for key in read_keys(key_file)]
    secrets = [PLATFORM_KEY, OWN_KEY, OTHER_KEY, BAD_KEY, *private, *tokens]
    everything = [*said, caplog.text, *await _dump_redis(redis), *await _dump_postgres(empty)]
    assert len(everything) > 60
    assert [secret for secret in secrets for place in everything if secret in place] == []


async def _answers_of_the_gateway(settings: Settings, token: str, admin: str) -> list[str]:
    """What the API says of keys that it takes, refuses and cannot read, and of everything else."""
    keys: list[Any] = [{"api_key": OWN_KEY}, {"api_key": BAD_KEY}, {"api_key": [OWN_KEY]}, OWN_KEY]
    async with (
        serving(settings) as app,
        client_of(app, token) as mine,
        client_of(app, admin) as everyones,
    ):
        said = [await mine.post("/api/v1/llm/providers/openai/key", json=key) for key in keys]
        config: dict[str, Any] = {"providers": {"openai": OWN_KEY, "anthropic": {"key": OTHER_KEY}}}
        said.append(await mine.post("/api/workspaces/acme/llm/config", json=config))
        job = {"type": "generate", "workspace": "acme", "prompt": "hi", "api_key": OWN_KEY}
        said.append(await mine.post("/v1/jobs", json=job))
        job.pop("api_key")
        said.append(await mine.post("/v1/jobs?wait_s=10", json=job | {"model": MODEL}))
        done: str = said[-1].json()["job_id"]
        for path, methods in (await mine.get("/openapi.json")).json()["paths"].items():
            if "get" in methods and not path.endswith("/events"):
                filled = path.replace("{workspace}", "acme").replace("{job_id}", done)
                filled = filled.replace("{name}", "openai" if "operations" in path else "default")
                said += [await mine.get(filled), await everyones.get(filled)]
    assert len([answer for answer in said if answer.status_code == 200]) > 20
    return [f"{answer.headers} {answer.text}" for answer in said]


async def _dump_redis(redis: ArqRedis) -> list[str]:
    commands: Any = redis
    found = []
    readers = {
        b"string": commands.get,
        b"hash": commands.hgetall,
        b"zset": lambda key: commands.zrange(key, 0, -1),
        b"stream": commands.xrange,
        b"list": lambda key: commands.lrange(key, 0, -1),
        b"set": commands.smembers,
    }
    for key in await commands.keys("*"):
        kind = await commands.type(key)
        found.append(f"{key!r} {await readers[kind](key)!r}")
    return found


async def _dump_postgres(settings: Settings) -> list[str]:
    connection = await asyncpg.connect(settings.require_database())
    tables = await connection.fetch(
        "select table_name from information_schema.tables where table_schema = 'penstock' "
        "and table_type = 'BASE TABLE'"
    )
    found = []
    for (table,) in tables:
        rows = await connection.fetch(f"select * from penstock.{table}")
        found += [repr(tuple(row)) for row in rows]
    await connection.close()
    return found
