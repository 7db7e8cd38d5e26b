"""The pool `penstock worker --compute MODULE`: plain arq workers that call COMPUTE functions.

arq brings the calls; who makes one is decided in Postgres (`call_ledger`), with a lease that is
renewed here. So a call whose worker was lost comes back within seconds, and none is made by two.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from arq.connections import ArqRedis
from arq.worker import Worker, func

from penstock_client.background import end, forever
from penstock_client.connections import AWAY, REDIS_AWAY
from penstock_client.ledger import Ledger
from penstock_client.pipelines.waits import GONE_AFTER_S, SEEN_EVERY_S
from penstock_client.tracing import WORKSPACE, context_of, mark_failed, tracer, tracing
from penstock_schemas.keys import ComputeKeys
from penstock_worker.pipelines.call_ledger import RENEW_S, Call, CallLedger, Place
from penstock_worker.pipelines.call_queue import FUNCTION, decode, encode
from penstock_worker.pipelines.calling import CallFailed, Function, call_function

logger = logging.getLogger("penstock.worker")

POLL_S = 0.05
_FUNCTION = "penstock.function"
#: A function that a live module lacks may come with a deployment: its calls wait so long for it.
GRACE_S = 8.0
_ASK_AGAIN_S = 1.0
#: arq's own bound on a call is out of the way: each has its `timeout_s`.
_NEVER_S = 2 * 86_400
_TRIES = 1_000_000


class ComputeWorker:
    """Makes calls of one module's functions, `slots` at the same time."""

    def __init__(
        self,
        module: str,
        functions: Mapping[str, Function],
        *,
        name: str,
        ledger: Ledger,
        redis: ArqRedis,
        slots: int,
        grace_s: float = GRACE_S,
    ) -> None:
        self.module, self.functions, self.name = module, functions, name
        self._calls = CallLedger(ledger)
        self._redis, self._slots, self._grace_s = redis, slots, grace_s
        self._keys = ComputeKeys(module)
        self._held: dict[int, tuple[Call, asyncio.Task[Any]]] = {}
        self._worker: Worker | None = None
        self._taken: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; a Redis that is away costs a pause."""
        beside = [
            asyncio.create_task(forever(turn, event=event, logger=logger, every_s=every_s))
            for turn, event, every_s in (
                (self._show, "compute.not_shown", SEEN_EVERY_S),
                (self._renew, "compute.not_renewed", RENEW_S),
            )
        ]
        names = ", ".join(self.functions)
        logger.info("compute.started", extra={"compute": self.module, "functions": names})
        try:
            while not self._stopping:
                await self._work()
        finally:
            if self._taken:
                await asyncio.wait(self._taken, timeout=_ASK_AGAIN_S)
            await end([*beside, *self._taken])  # before their connections are closed
            await self._hide()
            logger.info("compute.stopped", extra={"compute": self.module})

    async def stop(self, *, drain_s: float) -> None:
        """Start nothing more; calls under way get `drain_s` seconds, then they are given back."""
        self._stopping = True
        worker = self._worker
        if worker is None:
            return
        worker.allow_pick_jobs = False
        under_way = [task for _, task in self._held.values()]
        if under_way:
            await asyncio.wait(under_way, timeout=drain_s)
        for task in under_way:
            task.cancel()
        if worker.main_task is not None:
            worker.main_task.cancel()

    async def _work(self) -> None:
        """Run one arq worker to its end, which a lost Redis brings about too."""
        worker = self._worker = Worker(
            [func(cast("Any", self._call), name=FUNCTION, timeout=_NEVER_S, max_tries=_TRIES)],
            queue_name=self._keys.queue,
            redis_pool=self._redis,
            handle_signals=False,
            max_jobs=self._slots,
            keep_result=0,
            poll_delay=POLL_S,
            job_serializer=encode,
            job_deserializer=decode,
            log_results=False,
        )
        try:
            await worker.async_run()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except AWAY as error:
            logger.warning("compute.redis_away", extra={"reason": str(error)})
            await asyncio.sleep(_ASK_AGAIN_S)
        finally:
            self._worker = None
            # arq's own, which take calls out of the queue; those of a lost Redis go on meanwhile.
            for task in worker.tasks.values():
                self._taken.add(task)
                task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._taken.discard(task)
        if not task.cancelled():
            task.exception()  # counts as seen: arq has logged what matters

    async def _call(
        self, _: dict[Any, Any], run: str, position: int, item: int, starts: int
    ) -> None:
        """The arq function: make one call, if it is ours to make."""
        if self._stopping:
            return
        call = await self._calls.claim(Place(UUID(run), position, item, starts))
        if call is None:
            return
        self._held[call.fence] = (call, cast("asyncio.Task[Any]", asyncio.current_task()))
        try:
            await self._make(call)
        except asyncio.CancelledError:
            # Drained; or it is no longer ours, and this changes nothing.
            await _to_its_end(self._calls.back(call))
        finally:
            self._held.pop(call.fence, None)

    async def _make(self, call: Call) -> None:
        function = self.functions.get(call.function.partition(":")[2])
        if function is None:
            await self._lacking(call)
            return
        began = time.monotonic()
        told = {"run_id": str(call.place.run), "workspace": call.workspace, "step": call.step}
        try:
            with _span(call):
                output = await call_function(function, call.input, timeout_s=call.timeout_s)
        except CallFailed as failure:
            ended = await _to_its_end(self._calls.failed(call, str(failure), again=failure.again))
            logger.warning(
                "compute.failed",
                extra={**told, "function": call.function, "again": not ended},
                exc_info=failure.__cause__,
            )
            return
        kept = await _to_its_end(self._calls.done(call, output))
        took_ms = int((time.monotonic() - began) * 1000)
        event = "compute.done" if kept else "compute.unheard"
        logger.info(event, extra={**told, "function": call.function, "duration_ms": took_ms})

    async def _lacking(self, call: Call) -> None:
        """A call of a function that is not there: it waits for a while, then it has failed."""
        missing_s = await self._calls.back(call, after_s=_ASK_AGAIN_S, missing=True)
        if missing_s is None or missing_s < self._grace_s:
            return
        again = await self._calls.claim(
            Place(call.place.run, call.place.position, call.place.item, call.start)
        )
        if again is not None:
            names = ", ".join(sorted(self.functions))
            wanted = call.function.partition(":")[2]
            told = f"the module {self.module} has no function {wanted!r}, only {names}"
            await self._calls.failed(again, told, again=False)

    async def _renew(self) -> None:
        """Keep what runs here ours; what is not any more is left."""
        held = dict(self._held)
        if not held:
            return
        ours = await self._calls.renew([call for call, _ in held.values()])
        for fence, (call, task) in held.items():
            if fence not in ours and fence in self._held:
                logger.warning("compute.left", extra={"run_id": str(call.place.run)})
                task.cancel()

    async def _show(self) -> None:
        """Say that this worker is there, and forget those that have said nothing for long."""
        commands: Any = self._redis
        seconds, _ = await commands.time()
        async with commands.pipeline(transaction=False) as pipeline:
            pipeline.zadd(self._keys.workers, {self.name: seconds * 1000})
            pipeline.zremrangebyscore(self._keys.workers, 0, (seconds - GONE_AFTER_S) * 1000)
            pipeline.expire(self._keys.workers, 86_400)
            await pipeline.execute()

    async def _hide(self) -> None:
        try:
            await cast("Any", self._redis).zrem(self._keys.workers, self.name)
        except REDIS_AWAY as error:
            logger.warning("compute.not_shown", extra={"reason": str(error)})


@contextmanager
def _span(call: Call) -> Generator[None]:
    """A span around a call, in the trace of the run's start."""
    if not tracing():
        yield
        return
    with tracer().start_as_current_span(
        "penstock.compute",
        context=context_of(call.trace),
        attributes={WORKSPACE: call.workspace, _FUNCTION: call.function},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            mark_failed(span, type(error).__name__)
            raise


async def _to_its_end(work: Coroutine[Any, Any, Any]) -> Any:
    """Await work that a cancel must not break off: it says how a call ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task
