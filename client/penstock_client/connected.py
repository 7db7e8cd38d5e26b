"""What stands behind a `Penstock`: its connections, from opening to closing, and its services.

Services are what is reached through a connection beside jobs: workspaces, tokens, keys, usage.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Self

from arq.connections import ArqRedis

from penstock_client.background import end, forever
from penstock_client.broker import Broker
from penstock_client.catalogue import REFRESH_S, ConfigurationFile, catalog_in_force, under_file
from penstock_client.connections import check_redis, close_redis, redis_pool
from penstock_client.key_trial import KeyTrial
from penstock_client.ledger import Ledger
from penstock_client.metering import Metering
from penstock_client.operations import Operations
from penstock_client.presence import Presence
from penstock_client.provider_keys import WorkspaceKeys
from penstock_client.settings import Settings
from penstock_client.submits import Submits
from penstock_client.tokens import Tokens
from penstock_client.usage import UsageReports
from penstock_client.waiting import Waiter
from penstock_client.webhooks.service import Webhooks
from penstock_client.workspaces import Workspaces, announcer
from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ResultTimeout
from penstock_schemas.ids import JobId

logger = logging.getLogger("penstock.client")

_NOT_ENTERED = "use Penstock as `async with Penstock.connect() as penstock`"
#: Connections for reading streamed answers, apart from others': each waits for the next piece.
READERS = 128


class Connected:
    """Connections to Redis and Postgres with the services on them; entered with `async with`."""

    def __init__(self, settings: Settings, *, file: ConfigurationFile | None = None) -> None:
        self.settings = settings
        self.catalog = under_file(catalog(), file)
        self._file = file
        self._ledger: Ledger | None = None
        self._workspaces: Workspaces | None = None

    async def __aenter__(self) -> Self:
        self.settings.require_database()
        self._redis = redis_pool(self.settings)
        self._reading = redis_pool(self.settings, max_connections=READERS)
        try:
            await check_redis(self._redis)
            self._ledger = await Ledger.connect(self.settings)
            await self.refresh_catalog()
        except BaseException:
            if self._ledger is not None:
                await self._ledger.close()
            await close_redis(self._redis)
            raise
        self._broker = Broker(self._redis)
        announce = announcer(self._redis, lambda: self.catalog)
        self._workspaces = Workspaces(self.ledger, lambda: self.catalog, on_changed=announce)
        self._presence = Presence(
            self._redis, lambda: [provider.name for provider in self.catalog.providers]
        )
        self._waiter = Waiter(self._redis, self.ledger, on_changed=self._workspaces.forget)
        await self._waiter.start()
        self._submits = Submits(self.ledger, self._broker, listen_to=self._waiter.listen_to)
        refreshing = forever(self._refresh_later, event="catalogue.refresh_failed", logger=logger)
        self._refresher = asyncio.create_task(refreshing, name="penstock-catalogue")
        return self

    async def __aexit__(self, *_: object) -> None:
        await end([self._refresher])
        await self._presence.close()
        await self._waiter.close()
        await self._submits.close()
        await self.ledger.close()
        await close_redis(self._reading)
        await close_redis(self._redis)

    @property
    def ledger(self) -> Ledger:
        """The record behind this connection."""
        if self._ledger is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._ledger

    @property
    def redis(self) -> ArqRedis:
        """The pool of Redis connections behind this connection."""
        return self._redis

    @property
    def workspaces(self) -> Workspaces:
        """Look up, list, create and change workspaces and their configurations."""
        if self._workspaces is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._workspaces

    @property
    def tokens(self) -> Tokens:
        """Who may use the HTTP API: make, list, revoke and check tokens."""
        return Tokens(self.ledger)

    @property
    def usage(self) -> UsageReports:
        """What was called, used and spent."""
        return UsageReports(self.ledger)

    @property
    def operations(self) -> Operations:
        """What operators see and steer: providers, breakers, credentials."""
        return Operations(self.ledger, self._redis, self.catalog)

    @property
    def keys(self) -> WorkspaceKeys:
        """Workspaces' own keys for providers: set, test, list and remove them."""
        trial = KeyTrial(
            self.catalog,
            record=self._submits.record,
            await_body=self.await_body,
            explain=self.operations.explain,
        )
        return WorkspaceKeys(
            self.ledger,
            self.operations,
            self.catalog,
            check_workspace=self.workspaces.get,
            changed=self.workspaces.changed,
            test=trial,
            pinned=self.settings.public_key,
        )

    @property
    def webhooks(self) -> Webhooks:
        """Signing secrets of webhooks, and what became of their deliveries."""
        return Webhooks(
            self.ledger,
            private=self.settings.webhook_private,
            check_workspace=self.workspaces.get,
            public_key=self.keys.public_key,
        )

    def metering(self) -> Metering:
        """Readings of queues, limits, breakers and totals of usage, for metrics."""
        return Metering(self.ledger, self._redis, lambda: self.catalog)

    async def refresh_catalog(self) -> None:
        """Take up now what has changed in the catalogue's tables; else within five minutes.

        Raises Unavailable, or ConfigurationError where they lack or do not go with the file; the
        catalogue then stays as it was.
        """
        found = await catalog_in_force(self.ledger, self._file)
        if found != self.catalog:  # what is remembered of the very object stays good
            self.catalog = found

    async def await_body(
        self, job_id: JobId, provider: str | None, timeout_s: float | None
    ) -> bytes:
        """The encoded result of a job; raises UnknownJob, ResultTimeout."""
        if timeout_s is None:
            return await self._waiter.body_of(job_id, provider)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._waiter.body_of(job_id, provider)
        except TimeoutError:
            raise ResultTimeout(job_id, timeout_s) from None

    async def _refresh_later(self) -> None:
        await asyncio.sleep(REFRESH_S)
        await self.refresh_catalog()
