"""Awaiting results: one subscription per process, a future per job ID, and a safety re-check.

The order that loses nothing: subscribe, register the future, look once, then wait. Looks are
gathered: all that are asked for in one turn of the loop go out as one MGET or one query. Messages
can be lost (a reconnect, a restart), so what is still pending is looked up in Postgres every few
seconds, a slice at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from arq.connections import ArqRedis
from pydantic import BaseModel, ValidationError

from penstock_client.background import end, forever
from penstock_client.connections import REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.errors import PenstockError, UnknownJob
from penstock_schemas.keys import CHANGED, ProviderKeys, done_channel
from penstock_schemas.results import Result
from penstock_schemas.unkept import unkept

logger = logging.getLogger("penstock.client")

_BATCH = 500
_CHANGED = CHANGED.encode()
_RECHECK_S = 3.0
_RECHECK_JOBS = 5000
#: How long a submit waits for Redis to confirm a subscription; the re-check stands in.
_CONFIRM_S = 1.0


class _Awaited:
    """A pending result: who awaits it, mostly one, and whether all they have is its ID."""

    __slots__ = ("by_id", "first", "others")

    def __init__(self, first: asyncio.Future[bytes], *, by_id: bool) -> None:
        self.by_id = by_id
        self.first: asyncio.Future[bytes] | None = first
        self.others: list[asyncio.Future[bytes]] | None = None

    def add(self, future: asyncio.Future[bytes]) -> None:
        self.others = [*(self.others or ()), future]

    def remove(self, future: asyncio.Future[bytes]) -> bool:
        """Whether somebody else still awaits it."""
        if future is self.first:
            self.first = None
        elif self.others is not None:
            self.others.remove(future)
        return self.first is not None or bool(self.others)

    def futures(self) -> list[asyncio.Future[bytes]]:
        first = () if self.first is None else (self.first,)
        return [future for future in (*first, *(self.others or ())) if not future.done()]


class Waiter:
    """Results by job ID, for one process.

    `on_changed` is told of workspaces whose configuration has changed, which comes by the same
    subscription; None: of any.
    """

    def __init__(
        self,
        redis: ArqRedis,
        ledger: Ledger,
        *,
        on_changed: Callable[[str | None], object] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._ledger = ledger
        self._on_changed = on_changed
        self._awaited: dict[str, _Awaited] = {}
        self._looks: defaultdict[str | None, set[str]] = defaultdict(set)
        self._ended: set[str] = set()
        self._channels: dict[str, asyncio.Future[None]] = {}
        self._unsubscribed: set[str] = set()
        self._pubsub: Any = redis.pubsub()  # pyright: ignore[reportUnknownMemberType]
        self._look_now = asyncio.Event()
        self._recheck_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start listening; called once, inside the loop."""
        await self._subscribe(CHANGED)
        for turn in (self._listen, self._look, self._recheck):
            event = f"results.{turn.__name__.strip('_')}_failed"
            loop = forever(turn, event=event, logger=logger, on_failure=self._recheck_now.set)
            self._tasks.append(asyncio.create_task(loop, name=event))

    async def close(self) -> None:
        """Stop listening; whoever still awaits is cancelled."""
        await end(self._tasks)
        for awaited in self._awaited.values():
            for future in awaited.futures():
                future.cancel()
        with contextlib.suppress(*REDIS_AWAY):
            await self._pubsub.aclose()

    async def listen_to(self, workspace: str) -> None:
        """Subscribe to a workspace's results, once; returns when Redis has confirmed it."""
        channel = done_channel(workspace)
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = await self._subscribe(channel)
        if not confirmed.done():
            await asyncio.wait([confirmed], timeout=_CONFIRM_S)

    async def _subscribe(self, channel: str) -> asyncio.Future[None]:
        """Ask for a channel's messages; what it gives is done once Redis has confirmed it."""
        confirmed = self._channels[channel] = asyncio.get_running_loop().create_future()
        try:
            await self._pubsub.subscribe(channel)
        except REDIS_AWAY:
            self._unsubscribed.add(channel)  # `_listen` asks again
        return confirmed

    async def body_of(self, job_id: str, provider: str | None) -> bytes:
        """The encoded result of a job, whenever it comes; raises UnknownJob.

        Looks once in the cache of `provider`, or in Postgres when none is given.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        awaited = self._awaited.get(job_id)
        if awaited is None:
            awaited = self._awaited[job_id] = _Awaited(future, by_id=provider is None)
        else:
            awaited.add(future)
        self._looks[provider].add(job_id)
        self._look_now.set()
        try:
            return await future
        finally:
            if not awaited.remove(future):
                self._awaited.pop(job_id, None)

    def _resolve(self, job_id: str, outcome: bytes | PenstockError) -> None:
        awaited = self._awaited.get(job_id)
        for future in () if awaited is None else awaited.futures():
            if isinstance(outcome, bytes):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    async def _listen(self) -> None:
        """Take one message; the library subscribes again after a lost connection."""
        if self._unsubscribed:
            await self._pubsub.subscribe(*self._unsubscribed)
            self._unsubscribed.clear()
        if not self._pubsub.subscribed:
            await asyncio.sleep(0.02)
            return
        message = await self._pubsub.get_message(timeout=1.0)
        if message is not None:
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if message["channel"] == _CHANGED:
                self._on_changed(None)  # what was told before this is lost
            confirmed = self._channels.get(message["channel"].decode())
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
            else:
                self._recheck_now.set()  # subscribed again: something may have been missed
            return
        if message["channel"] == _CHANGED:
            self._on_changed(message["data"].decode())
            return
        provider, *job_ids = message["data"].decode().split(" ")
        mine = self._awaited.keys() & job_ids
        if mine:
            self._ended |= mine
            self._looks[provider] |= mine
            self._look_now.set()

    async def _look(self) -> None:
        """Fetch results that are said to be there, many in one round trip."""
        await self._look_now.wait()
        self._look_now.clear()
        looks, self._looks = self._looks, defaultdict(set)
        for provider, wanted in looks.items():
            job_ids = list(wanted)
            for first in range(0, len(job_ids), _BATCH):
                await self._look_in(provider, job_ids[first : first + _BATCH])

    async def _look_in(self, provider: str | None, job_ids: list[str]) -> None:
        if provider is None:
            await self._look_in_ledger(job_ids)
            return
        keys = ProviderKeys(provider)
        bodies = await self._redis.mget([keys.result(job_id) for job_id in job_ids])
        missing: set[str] = set()
        for job_id, body in zip(job_ids, bodies, strict=True):
            if body is None:
                missing.add(job_id)
            else:
                self._resolve(job_id, body)
        uncached = self._ended & missing  # too large for the cache, or evicted from it
        self._ended.difference_update(job_ids)
        if uncached:
            await self._look_in_ledger(list(uncached))

    async def _look_in_ledger(self, job_ids: Sequence[str]) -> None:
        """Ask the record; what has not ended is listened for from now on."""
        found = await self._ledger.results([UUID(job_id) for job_id in job_ids])
        for job_id in job_ids:
            known = found.get(UUID(job_id))
            if known is None:
                self._resolve_unknown(job_id)
            elif known[2] is not None:
                self._resolve(job_id, known[2])
            elif known[0].is_terminal:
                self._resolve(job_id, unkept(job_id, known[1], known[0]))
            else:
                await self._catch_up(job_id, known[1])

    def _resolve_unknown(self, job_id: str) -> None:
        """A submitted job that is not there yet is in a transaction that has not committed."""
        awaited = self._awaited.get(job_id)
        if awaited is not None and awaited.by_id:
            self._resolve(job_id, UnknownJob(job_id))

    async def _catch_up(self, job_id: str, workspace: str) -> None:
        """Subscribe to a workspace that is new here; what ended meanwhile is looked up again."""
        if done_channel(workspace) not in self._channels:
            await self.listen_to(workspace)
            self._looks[None].add(job_id)
            self._look_now.set()

    async def _recheck(self) -> None:
        """Ask the record about what is still pending: in turn, a slice at a time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECHECK_S):
                await self._recheck_now.wait()
        self._recheck_now.clear()
        pending = list(islice(self._awaited, _RECHECK_JOBS))
        for job_id in pending:  # to the end of the line
            self._awaited[job_id] = self._awaited.pop(job_id)
        for first in range(0, len(pending), _BATCH):
            await self._look_in_ledger(pending[first : first + _BATCH])


def decode_result(body: bytes, output_type: type[BaseModel] | None) -> Result:
    """A stored result; its output becomes an instance of `output_type` where one is given.

    An output that fits the JSON Schema and yet not the model stays as it is, with a warning.
    """
    result = Result.decode(body)
    if output_type is None or result.output is None:
        return result
    try:
        output: object = output_type.model_validate(result.output)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        warning = f"output: {output_type.__name__} refuses it: {found['msg']}"
        return result.model_copy(update={"warnings": (*result.warnings, warning)})
    return result.model_copy(update={"output": output})
