"""Awaiting any number of results over a few requests: each asks for up to 1,000 jobs at once.

A request waits at the gateway until the first of its jobs has ended. IDs that come while all
requests wait join one of them, which is asked anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import orjson

from penstock_client.background import end, forever
from penstock_schemas.errors import ConfigurationError, PenstockError, UnknownJob
from penstock_schemas.ids import JobId

logger = logging.getLogger("penstock.client")

#: Requests that wait at a time, and jobs of one.
MOST_POLLS: Final = 8
MOST_JOBS: Final = 1000
#: A request waits so long at most, in seconds.
POLL_S: Final = 30.0
#: IDs are gathered for so long before they are asked for, in seconds.
_GATHER_S = 0.002
#: IDs that find no request free wait so long, until one is asked anew with them.
_HURRY_S = 0.25
_PAUSE_S = 1.0

#: Asks for jobs with so many seconds to wait; gives the answer of `POST /v1/results`.
Fetch = Callable[[Sequence[JobId], float], Awaitable[Mapping[str, Any]]]


class Awaiter:
    """Results by job ID. While the gateway is away it goes on asking, as long as anybody waits."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._futures: defaultdict[JobId, list[asyncio.Future[bytes]]] = defaultdict(list)
        #: Those that no request has, in the order in which they came.
        self._waiting: dict[JobId, None] = {}
        self._polls: dict[asyncio.Task[None], list[JobId]] = {}
        self._arrived = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; called once, inside the loop."""
        turns = forever(self._turn, event="results.poll_failed", logger=logger)
        self._pump = asyncio.create_task(turns, name="penstock-results")

    async def close(self) -> None:
        """Stop asking; whoever still awaits is cancelled."""
        tasks = [task for task in (self._pump, *self._polls) if task is not None]
        await end(tasks)
        for futures in self._futures.values():
            for future in futures:
                future.cancel()

    async def body_of(self, job_id: JobId) -> bytes:
        """The encoded result of a job; raises UnknownJob, or what a refused token raises."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if job_id not in self._futures:
            self._waiting[job_id] = None
            self._arrived.set()
        self._futures[job_id].append(future)
        try:
            return await future
        finally:
            futures = self._futures.get(job_id, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._futures.pop(job_id, None)
                self._waiting.pop(job_id, None)

    async def _turn(self) -> None:
        await self._arrived.wait()
        await asyncio.sleep(_GATHER_S)
        self._arrived.clear()
        while self._waiting:
            if len(self._polls) >= MOST_POLLS:
                await self._free_one()
            taken = list(islice(self._waiting, MOST_JOBS))
            for job_id in taken:
                del self._waiting[job_id]
            poll = asyncio.create_task(self._poll(taken), name="penstock-poll")
            self._polls[poll] = taken
            poll.add_done_callback(self._ended)

    async def _free_one(self) -> None:
        """Wait for a request to end; after a moment the one with the fewest jobs is given up."""
        await asyncio.wait(self._polls, timeout=_HURRY_S, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # let what has ended be noted
        if len(self._polls) >= MOST_POLLS:
            smallest = min(self._polls, key=lambda poll: len(self._polls[poll]))
            smallest.cancel()
            await asyncio.wait([smallest])
            await asyncio.sleep(0)

    def _ended(self, poll: asyncio.Task[None]) -> None:
        """What a request has not answered waits again."""
        left = [job_id for job_id in self._polls.pop(poll) if job_id in self._futures]
        if left:
            self._waiting.update(dict.fromkeys(left))
            self._arrived.set()

    async def _poll(self, job_ids: Sequence[JobId]) -> None:
        try:
            found = await self._fetch(job_ids, POLL_S)
        except ConfigurationError as error:  # nothing that asking again would change
            for job_id in job_ids:
                self._resolve(job_id, error)
        except PenstockError as error:
            extra = {"jobs": len(job_ids), "reason": str(error)}
            logger.warning("results.gateway_away", extra=extra)
            await asyncio.sleep(_PAUSE_S)
        else:
            for result in found["results"]:
                self._resolve(result["job_id"], orjson.dumps(result))
            for job_id in found["unknown"]:
                self._resolve(job_id, UnknownJob(job_id))

    def _resolve(self, job_id: JobId, outcome: bytes | PenstockError) -> None:
        for future in self._futures.pop(job_id, ()):
            if future.done():
                continue
            if isinstance(outcome, bytes):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
