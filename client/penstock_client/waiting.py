"""Awaiting results: one subscription per process, a future per job ID, and a safety re-check.

The order that loses nothing: subscribe, register the future, look once, then wait. Looks are
gathered: all that are asked for in one turn of the loop go out as one MGET. Messages can be lost
(a reconnect, a restart), so what is still pending is looked up in Postgres every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from itertools import islice
from typing import Any
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.errors import PenstockError
from penstock_schemas.keys import ProviderKeys, done_channel
from penstock_schemas.results import Result

logger = logging.getLogger("penstock.client")

_BATCH = 500
_RECHECK_S = 3.0
_RECHECK_JOBS = 5000


class Waiter:
    """Futures of results by job ID, for one process."""

    def __init__(self, redis: ArqRedis, ledger: Ledger) -> None:
        self._redis = redis
        self._ledger = ledger
        self._futures: dict[str, asyncio.Future[bytes]] = {}
        self._wanted: defaultdict[str, set[str]] = defaultdict(set)
        self._ended: set[str] = set()
        self._channels: dict[str, asyncio.Future[None]] = {}
        self._pubsub: Any = redis.pubsub()  # pyright: ignore[reportUnknownMemberType]
        self._look_now = asyncio.Event()
        self._recheck_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start listening; called once, inside the loop."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="penstock-listen"),
            asyncio.create_task(self._look(), name="penstock-look"),
            asyncio.create_task(self._recheck(), name="penstock-recheck"),
        ]

    async def close(self) -> None:
        """Stop listening; pending futures are cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for future in self._futures.values():
            future.cancel()
        with contextlib.suppress(*REDIS_AWAY):
            await self._pubsub.aclose()

    async def listen_to(self, workspace: str) -> None:
        """Subscribe to a workspace's results, once; returns when Redis has confirmed it.

        While Redis is away it returns at once: the re-check stands in.
        """
        channel = done_channel(workspace)
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = self._channels[channel] = asyncio.get_running_loop().create_future()
            with contextlib.suppress(*REDIS_AWAY):
                await self._pubsub.subscribe(channel)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(confirmed), timeout=1.0)

    def future_of(self, job_id: str, provider: str | None) -> asyncio.Future[bytes]:
        """The future of a job's encoded result; looks for it once in the cache of `provider`."""
        future = self._futures.get(job_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._futures[job_id] = future
            future.add_done_callback(lambda _: self._futures.pop(job_id, None))
        if provider is not None:
            self._want(provider, job_id)
        return future

    def _want(self, provider: str, job_id: str) -> None:
        self._wanted[provider].add(job_id)
        self._look_now.set()

    def _resolve(self, job_id: str, body: bytes) -> None:
        future = self._futures.get(job_id)
        if future is not None and not future.done():
            future.set_result(body)

    async def _listen(self) -> None:
        """Read messages for ever; a lost connection is opened again by the library."""
        while True:
            try:
                if not self._pubsub.subscribed:
                    await asyncio.sleep(0.02)
                    await self._resubscribe()
                    continue
                message = await self._pubsub.get_message(timeout=1.0)
                if message is not None:
                    self._take(message)
            except REDIS_AWAY as error:
                logger.warning("results.subscription_lost", extra={"reason": str(error)})
                self._recheck_now.set()
                await asyncio.sleep(0.2)

    async def _resubscribe(self) -> None:
        waiting = [name for name, confirmed in self._channels.items() if not confirmed.done()]
        if waiting:
            await self._pubsub.subscribe(*waiting)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            confirmed = self._channels.get(message["channel"].decode())
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
            else:
                self._recheck_now.set()  # subscribed again: something may have been missed
            return
        provider, *job_ids = message["data"].decode().split(" ")
        mine = self._futures.keys() & job_ids
        if mine:
            self._ended |= mine
            self._wanted[provider] |= mine
            self._look_now.set()

    async def _look(self) -> None:
        """Fetch results that are said to be there, many in one round trip."""
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            wanted, self._wanted = self._wanted, defaultdict(set)
            for provider, job_ids in wanted.items():
                try:
                    await self._look_in(provider, list(job_ids))
                except (*REDIS_AWAY, PenstockError):
                    self._recheck_now.set()

    async def _look_in(self, provider: str, job_ids: list[str]) -> None:
        keys = ProviderKeys(provider)
        for first in range(0, len(job_ids), _BATCH):
            batch = job_ids[first : first + _BATCH]
            bodies = await self._redis.mget([keys.result(job_id) for job_id in batch])
            for job_id, body in zip(batch, bodies, strict=True):
                if body is not None:
                    self._resolve(job_id, body)
            uncached = self._ended.intersection(
                job_id for job_id, body in zip(batch, bodies, strict=True) if body is None
            )
            self._ended.difference_update(batch)
            if uncached:
                await self.check_ledger(list(uncached))

    async def _recheck(self) -> None:
        """Ask Postgres, the record, about what is still pending: in turn, a slice at a time."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._recheck_now.wait(), timeout=_RECHECK_S)
            self._recheck_now.clear()
            pending = list(islice(self._futures, _RECHECK_JOBS))
            for first in range(0, len(pending), _BATCH):
                try:
                    await self.check_ledger(pending[first : first + _BATCH])
                except PenstockError as error:
                    logger.warning("results.recheck_failed", extra={"reason": str(error)})
                    break
            for job_id in pending:  # those still pending go to the end of the line
                future = self._futures.pop(job_id, None)
                if future is not None:
                    self._futures[job_id] = future

    async def check_ledger(self, job_ids: list[str]) -> set[str]:
        """Resolve what has ended by Postgres; returns the IDs that exist."""
        found = await self._ledger.results([UUID(job_id) for job_id in job_ids])
        for job_id, (_, workspace, body) in found.items():
            if body is not None:
                self._resolve(str(job_id), body)
            else:
                await self.listen_to(workspace)
        return {str(job_id) for job_id in found}


def decode_result(body: bytes, output_type: Any | None) -> Result:
    """A stored result; its output becomes an instance of `output_type` where one is given."""
    result = Result.decode(body)
    if output_type is None or result.output is None:
        return result
    return result.model_copy(update={"output": output_type.model_validate(result.output)})
