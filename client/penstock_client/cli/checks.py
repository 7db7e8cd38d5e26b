"""What `penstock doctor` looks at: settings, Redis and Postgres here, providers in their own file.

Each check says what was found and, where it is not well, the remedy. Judgements are pure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from penstock_client.catalogue import (
    ConfigurationFile,
    Edits,
    read_configuration,
    read_edits,
    under_file,
)
from penstock_client.cli.provider_checks import (
    Check,
    judge_gates,
    judge_indexes,
    judge_keys,
    judge_limits,
    judge_pauses,
    judge_steward,
    judge_workers,
    read_providers,
)
from penstock_client.cli.running import load_settings
from penstock_client.cli.webhook_checks import judge_webhooks
from penstock_client.connections import close_redis, redis_pool
from penstock_client.gates import read_gates
from penstock_client.index_state import read_limits
from penstock_client.ledger import Ledger, pending_migrations
from penstock_client.settings import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    DATABASE_VARIABLE,
    REDIS_VARIABLE,
    Settings,
)
from penstock_schemas.catalog import Catalog, catalog
from penstock_schemas.errors import ConfigurationError, PenstockError, Unavailable

_OLDEST_REDIS = (6, 2)
_OLDEST_POSTGRES = 14
_SLOW_MS = 10.0
_PINGS = 5


async def all_checks() -> list[Check]:
    """Every check, in the order in which problems should be solved."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [Check("settings", "fail", str(error))]
    checks = judge_settings(settings)
    file, found = judge_configuration(settings)
    checks.append(found)
    redis = await _redis(settings, checks)
    ledger = await _ledger(settings, checks)
    try:
        known = under_file(catalog(), file)
        if ledger is not None:
            known, found = await _catalogue(ledger, file)
            checks.append(found)
        if ledger is not None:
            checks.append(judge_webhooks((await ledger.fetch("webhook_counts"))[0]))
        if redis is not None and ledger is not None:
            found = await read_providers(redis, ledger, [row.name for row in known.providers])
            checks.append(judge_steward(found))
            checks += judge_indexes(found)
            checks += judge_workers(found)
            names = [state.provider for state in found.providers]
            checks += judge_gates(await read_gates(redis, names))
            checks += judge_pauses(await ledger.steering.pauses())
            checks += judge_limits(await read_limits(redis, names))
            live = {state.provider for state in found.providers if state.live}
            checks += judge_keys(_variables(), known, live=live)
    finally:
        if redis is not None:
            await close_redis(redis)
        if ledger is not None:
            await ledger.close()
    return checks


def judge_settings(settings: Settings) -> list[Check]:
    """Whether both addresses are given and can be addresses."""
    checks: list[Check] = []
    for name, require in (
        (REDIS_VARIABLE, settings.require_redis),
        (DATABASE_VARIABLE, settings.require_database),
    ):
        try:
            require()
        except ConfigurationError as error:
            what, _, remedy = str(error).partition(": ")
            checks.append(Check(name, "fail", what.removeprefix(f"{name} "), remedy or None))
        else:
            checks.append(Check(name, "ok", "is set"))
    return checks


def judge_configuration(settings: Settings) -> tuple[ConfigurationFile | None, Check]:
    """Which file is in force, and every mistake in it."""
    try:
        file = read_configuration(settings)
    except ConfigurationError as error:
        remedy = "correct it: until then nothing starts; docs/configuration.md has every key"
        return None, Check("configuration", "fail", "; ".join(str(error).splitlines()), remedy)
    if file is None:
        told = f"no {CONFIG_FILE} here and {CONFIG_VARIABLE} is not set: as packaged"
        return None, Check("configuration", "ok", told)
    sections = file.configuration
    counts = {
        "providers": len(sections.providers),
        "models": len(sections.models),
        "capabilities": len(sections.capabilities),
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return file, Check("configuration", "ok", f"{file.name}: {told}")


def judge_edits(edits: Edits) -> Check:
    """What an operator's rows in the tables of the catalogue come to."""
    if edits.refused:
        remedy = "correct these rows; until then they are left out"
        return Check("catalogue", "warn", "; ".join(edits.refused), remedy)
    if not edits.changed:
        return Check("catalogue", "ok", "no row of the tables is changed")
    return Check("catalogue", "ok", f"rows of yours: {', '.join(edits.changed)}")


def judge_redis(info: Mapping[str, Any], *, saves: bool) -> list[Check]:
    """Version, eviction and persistence by Redis's own INFO; `saves`: it makes snapshots."""
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2])
    name = f"{info['server_name']} ({version})" if "server_name" in info else version
    checks = [
        Check("Redis version", "ok", name)
        if numbers >= _OLDEST_REDIS
        else Check("Redis version", "fail", name, "use 6.2 or later")
    ]
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        checks.append(Check("Redis eviction", "ok", policy))
    else:
        remedy = "it drops queued work: set maxmemory-policy to noeviction"
        checks.append(Check("Redis eviction", "fail", policy, remedy))
    if int(info.get("aof_enabled", 0)):
        checks.append(Check("Redis persistence", "ok", "append-only file"))
    else:
        found = "snapshots only" if saves else "none"
        remedy = (
            "a restart rebuilds the index from Postgres and loses nothing else unless Postgres is "
            "away too: set appendonly yes"
        )
        checks.append(Check("Redis persistence", "warn", found, remedy))
    return checks


def judge_latency(service: str, median_ms: float) -> Check:
    """A round trip's time."""
    found = f"{median_ms:.2f} ms a round trip"
    if median_ms < _SLOW_MS:
        return Check(f"{service} latency", "ok", found)
    return Check(f"{service} latency", "warn", found, f"run Penstock nearer to {service}")


def judge_postgres(version: str, pending: list[str]) -> list[Check]:
    """Version and migrations."""
    major = int(version.partition(".")[0])
    checks = [
        Check("Postgres version", "ok", version)
        if major >= _OLDEST_POSTGRES
        else Check("Postgres version", "fail", version, f"use {_OLDEST_POSTGRES} or later")
    ]
    if pending:
        found = f"pending: {', '.join(pending)}"
        checks.append(Check("migrations", "fail", found, "run `penstock migrate`"))
    else:
        checks.append(Check("migrations", "ok", "all applied"))
    return checks


async def _catalogue(ledger: Ledger, file: ConfigurationFile | None) -> tuple[Catalog, Check]:
    edits = await read_edits(ledger)
    try:
        return under_file(edits.catalog, file), judge_edits(edits)
    except ConfigurationError as error:
        told = "; ".join(str(error).splitlines())
        remedy = "the file does not go with the rows in the tables: correct either"
        return edits.catalog, Check("catalogue", "fail", told, remedy)


async def _redis(settings: Settings, checks: list[Check]) -> ArqRedis | None:
    if not settings.redis_url:
        return None
    try:
        redis = redis_pool(settings)
    except (ConfigurationError, ValueError) as error:
        if isinstance(error, ValueError):
            checks.append(Check("Redis", "fail", str(error), f"correct {REDIS_VARIABLE}"))
        return None
    try:
        info: dict[str, Any] = await redis.info()  # pyright: ignore[reportUnknownMemberType]
        checks += judge_redis(info, saves=await _saves(redis))
        checks.append(judge_latency("Redis", await _median_ms(lambda: _pong(redis))))
    except (RedisError, OSError) as error:
        remedy = f"start it, or correct {REDIS_VARIABLE}"
        checks.append(Check("Redis", "fail", f"does not answer: {error}", remedy))
        await close_redis(redis)
        return None
    return redis


async def _pong(redis: ArqRedis) -> None:
    client: Any = redis
    await client.ping()


async def _saves(redis: ArqRedis) -> bool:
    """Whether snapshots are made; a managed Redis may refuse to say, and then makes them."""
    client: Any = redis
    try:
        config: dict[str, str] = await client.config_get("save")
    except RedisError:
        return True
    return bool(config.get("save"))


async def _ledger(settings: Settings, checks: list[Check]) -> Ledger | None:
    if not settings.database_url:
        return None
    try:
        ledger = await Ledger.connect(settings, max_size=2)
    except Unavailable as error:
        remedy = f"start it, or correct {DATABASE_VARIABLE}"
        checks.append(Check("Postgres", "fail", str(error), remedy))
        return None
    except PenstockError as error:
        if not any(check.name == DATABASE_VARIABLE and check.status == "fail" for check in checks):
            checks.append(Check("Postgres", "fail", str(error), f"correct {DATABASE_VARIABLE}"))
        return None
    async with ledger.pool.acquire() as connection:
        version = connection.get_server_version()
        pending = await pending_migrations(connection)
    checks += judge_postgres(f"{version.major}.{version.minor}", pending)
    if pending:
        await ledger.close()
        return None
    checks.append(judge_latency("Postgres", await _median_ms(lambda: ledger.fetch("ping"))))
    return ledger


async def _median_ms(call: Any) -> float:
    took: list[float] = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[_PINGS // 2]


def _variables() -> dict[str, str]:
    """The environment over a `.env` file, as workers read it."""
    from pydantic_settings.sources import read_env_file

    file = Path(".env")
    stored: Mapping[str, str | None] = (
        read_env_file(file, case_sensitive=True) if file.is_file() else {}
    )
    return {name: value for name, value in stored.items() if value} | dict(os.environ)
