"""The composition root of worker and steward processes: settings in, a running object out."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from arq.connections import ArqRedis

from penstock_client import Penstock
from penstock_client.background import end, forever
from penstock_client.catalogue import REFRESH_S, load_catalog, read_configuration
from penstock_client.connections import check_redis, close_redis, redis_pool
from penstock_client.ledger import Ledger, pending_migrations
from penstock_client.settings import DATABASE_VARIABLE, Settings
from penstock_schemas.catalog import Provider
from penstock_schemas.errors import ConfigurationError
from penstock_schemas.limit_policy import limit_policy
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.backfills.feeding import FEED_S, Feeder
from penstock_worker.credentials import Accesses, access_to, address_of
from penstock_worker.deltas import DeltaSink
from penstock_worker.execute import Executor
from penstock_worker.first_use import (
    TELL_EVERY_S,
    no_key_reason,
    tell_of_platform,
    try_credential,
)
from penstock_worker.heartbeat import Heartbeat
from penstock_worker.keyring import Keyring
from penstock_worker.leases import Held
from penstock_worker.metrics import served_process
from penstock_worker.observing import Observer
from penstock_worker.pipelines.advancing import ADVANCE_S, Advancer
from penstock_worker.pool import ProviderWorker
from penstock_worker.providers.http import AiohttpTransport, Sender
from penstock_worker.providers.registry import adapter_for
from penstock_worker.resealing import LOOK_S, KeyCare
from penstock_worker.steward import Steward
from penstock_worker.telemetry import Telemetry
from penstock_worker.wake import Wake
from penstock_worker.webhooks.courier import SEND_S, Courier

logger = logging.getLogger("penstock.worker")


def process_name() -> str:
    """A name for this process that no other has: host, process ID, and something random."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def run_worker(
    provider_name: str,
    settings: Settings,
    variables: Mapping[str, str],
    *,
    concurrency: int | None,
    drain_s: float,
    handle_signals: bool = True,
) -> None:
    """Run one worker of a provider until SIGTERM or SIGINT, then drain it.

    Raises ConfigurationError, MissingKey, UnknownProvider or Unavailable before it starts. Without
    the platform's key it starts where it has private keys, for workspaces with keys of their own.
    """
    models = await load_catalog(settings)
    provider = models.provider(provider_name)
    adapter_for(provider)  # refuses a wire that is not spoken
    keyring = Keyring.load(variables, home=settings.home)
    find = address_of if keyring else access_to
    accesses = Accesses(provider, find(provider, variables), keyring)
    slots = concurrency or provider.max_concurrency
    async with (
        worker_servers(settings) as (redis, ledger),
        Sender(AiohttpTransport(max_connections=slots)) as sender,
    ):
        name, held = process_name(), Held()
        telemetry = Telemetry.of(settings, provider, models, slots=slots, held=held)
        index = telemetry.index(redis, provider.name)
        policy = limit_policy(provider.name)
        observer = Observer(index, policy)
        worker: ProviderWorker | None = None
        executor = Executor(
            provider=provider,
            accesses=accesses,
            sender=sender,
            models=models,
            draining=lambda: worker is not None and not worker.allow_pick_jobs,
            pass_on=telemetry.pass_on(DeltaSink(redis).pass_on),
            observer=observer,
            jitter=random.random,
        )
        worker = ProviderWorker(
            name=name,
            index=index,
            ledger=telemetry.ledger(ledger),
            executor=executor,
            around=telemetry.around,
            heartbeat=Heartbeat(
                settings.require_redis(),
                provider=provider.name,
                worker=name,
                held=held,
                deadline_s=settings.deadline_s,
            ),
            held=held,
            wake=Wake(redis, index.keys.wake),
            max_jobs=slots,
            drain_s=drain_s,
            cache_reads_count=policy.cache_reads_count,
            redis_pool=redis,
            handle_signals=handle_signals,
        )
        beside: list[Coroutine[Any, Any, object]] = [
            _follow_catalog(settings, executor),
            _care_for_keys(ledger, keyring),
            _tell_of_platform(redis, index, provider, has_key=accesses.platform is not None),
        ]
        if accesses.platform is None:
            logger.warning("worker.no_platform_key", extra={"hint": no_key_reason(provider)})
        elif settings.smoke_test:
            beside.append(
                try_credential(
                    redis,
                    index,
                    observer,
                    sender,
                    models,
                    provider=provider,
                    access=accesses.platform,
                )
            )
        async with telemetry.served(settings), _closed_after(worker), observer, _beside(beside):
            await _until_stopped(worker)


async def _follow_catalog(settings: Settings, executor: Executor) -> None:
    """Take up changes of the catalogue in force, every few minutes."""

    async def once() -> None:
        executor.follow(await load_catalog(settings))

    await asyncio.sleep(REFRESH_S)
    await forever(once, event="catalogue.refresh_failed", logger=logger, every_s=REFRESH_S)


async def _care_for_keys(ledger: Ledger, keyring: Keyring) -> None:
    """Publish the newest public key, and seal anew what is sealed to older ones."""
    care = KeyCare(ledger, keyring)
    await forever(care.look, event="keyring.look_failed", logger=logger, every_s=LOOK_S)


async def _tell_of_platform(
    redis: ArqRedis, index: ProviderIndex, provider: Provider, *, has_key: bool
) -> None:
    async def once() -> None:
        await tell_of_platform(redis, index, provider, has_key=has_key)

    await forever(once, event="platform.not_told", logger=logger, every_s=TELL_EVERY_S)


@asynccontextmanager
async def _beside(works: Iterable[Coroutine[Any, Any, object]]) -> AsyncGenerator[None]:
    """Run these beside the body, and end them with it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        await end(tasks)


async def run_steward(
    settings: Settings,
    variables: Mapping[str, str] | None = None,
    *,
    handle_signals: bool = True,
) -> None:
    """Run one steward until SIGTERM or SIGINT. Raises before it starts as `run_worker` does.

    The private keys that `variables` name open what webhooks are signed with.
    """
    file, models = read_configuration(settings), await load_catalog(settings)
    async with (
        worker_servers(settings) as (redis, ledger),
        Penstock.connect(settings=settings) as penstock,
    ):
        steward = Steward(
            name=process_name(),
            redis=redis,
            ledger=ledger,
            providers=[provider.name for provider in models.providers],
            file_limits=file.configuration.limits if file else (),
            models=models,
            keep_weeks=settings.keep_weeks,
            handle_signals=handle_signals,
        )
        courier = Courier(penstock, settings, Keyring.load(variables or {}, home=settings.home))
        try:
            async with (
                served_process(settings, "penstock_steward"),
                _closed_after(steward),
                _beside([*_owners(penstock), _deliver(courier)]),
            ):
                await _until_stopped(steward)
        finally:
            await courier.close()


async def _deliver(courier: Courier) -> None:
    """Send webhooks."""
    await forever(courier.turn, event="webhooks.not_sent", logger=logger, every_s=SEND_S)


def _owners(penstock: Penstock) -> list[Coroutine[Any, Any, object]]:
    """What carries on those that own jobs."""
    advancing, feeding = Advancer(penstock), Feeder(penstock)
    return [
        forever(feeding.turn, event="backfills.not_fed", logger=logger, every_s=FEED_S),
        forever(advancing.turn, event="runs.not_advanced", logger=logger, every_s=ADVANCE_S),
    ]


@asynccontextmanager
async def worker_servers(settings: Settings) -> AsyncGenerator[tuple[ArqRedis, Ledger]]:
    """Redis and a migrated Postgres, checked; closed at the end."""
    ledger = await Ledger.connect(settings, max_size=8)
    try:
        async with ledger.pool.acquire() as connection:
            missing = await pending_migrations(connection)
        if missing:
            raise ConfigurationError(
                f"{DATABASE_VARIABLE}: this database lacks {', '.join(missing)}; "
                "run `penstock migrate`"
            )
        redis = redis_pool(settings)
        try:
            await check_redis(redis)
            yield redis, ledger
        finally:
            await close_redis(redis)
    finally:
        await ledger.close()


async def _until_stopped(worker: ProviderWorker | Steward) -> None:
    with suppress(asyncio.CancelledError):  # how arq ends a worker
        await worker.async_run()


@asynccontextmanager
async def _closed_after(worker: ProviderWorker | Steward) -> AsyncGenerator[None]:
    """Close a worker and its Redis pool once nothing beside it is left to use that."""
    try:
        yield
    finally:
        await worker.close()
