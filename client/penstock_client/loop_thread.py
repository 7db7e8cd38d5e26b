"""An event loop in a thread of its own, for callers that have none: what `sync` stands on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Call:
    call: Callable[[], object]


#: Runs something in the caller's thread, in turn with the items that the caller takes.
InCaller = Callable[[Callable[[], object]], None]


class LoopThread:
    """Runs coroutines for other threads until it is closed.

    Every wait in a caller's thread can be interrupted (Ctrl-C); what it waited for is cancelled.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="penstock-sync", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine gives, or raises what it raises."""
        future = self._begin(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def iterate(self, make: Callable[[InCaller], AsyncIterator[T]]) -> Iterator[T]:
        """The items of an async iterator; it runs ahead of who takes them.

        `make` is given a way to have something called in the caller's thread meanwhile.
        """
        out: SimpleQueue[_Item[T] | _Call | None] = SimpleQueue()

        async def pump() -> None:
            async for item in make(lambda call: out.put(_Call(call))):
                out.put(_Item(item))

        future = self._begin(pump())
        future.add_done_callback(lambda _: out.put(None))
        try:
            while (found := out.get()) is not None:
                if isinstance(found, _Call):
                    found.call()
                else:
                    yield found.value
            future.result()
        finally:
            future.cancel()

    def check_caller(self) -> None:
        """Raises RuntimeError in this very thread, where a wait for it would never end."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("this would wait for itself: it was called from Penstock's thread")

    def close(self) -> None:
        """Cancel what still runs and end the thread. Safe to repeat."""
        self.check_caller()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        try:
            self.check_caller()
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


class FedByCaller(Generic[T]):
    """An iterable that is read in the caller's thread, as an async iterator for the loop's.

    So whatever the source does (wait for a database that belongs to its thread, raise, be
    interrupted) it does where it was made. What it raises is raised to who iterates.
    """

    def __init__(self, source: Iterable[T], in_caller: InCaller) -> None:
        self._source = iter(source)
        self._in_caller = in_caller

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        loop = asyncio.get_running_loop()
        given: asyncio.Future[_Item[T] | None] = loop.create_future()
        self._in_caller(lambda: self._read(loop, given))
        item = await given
        if item is None:
            raise StopAsyncIteration
        return item.value

    def _read(
        self, loop: asyncio.AbstractEventLoop, given: asyncio.Future[_Item[T] | None]
    ) -> None:
        found: _Item[T] | Exception | None = None
        try:
            for value in self._source:
                found = _Item(value)
                break
        except Exception as error:  # noqa: BLE001 - raised again where the source is iterated
            found = error
        loop.call_soon_threadsafe(_settle, given, found)


def _settle(given: asyncio.Future[_Item[T] | None], found: _Item[T] | Exception | None) -> None:
    if given.done():
        return
    if isinstance(found, Exception):
        given.set_exception(found)
    else:
        given.set_result(found)
