"""Whether equals get equal shares: in what order an index hands out jobs of several workspaces.

Only admission is measured: jobs are claimed, held for as long as a call takes, and given back with
what it used, which is not what was estimated. Where nothing is limited by time only the order
matters, so the calls take no real time.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle

from benchmarks.figures import Figure
from benchmarks.stand import Stand
from benchmarks.synthetic import Bench, bench, new_job
from penstock_worker.admission.index import Done, Limit, Used, Verdict
from penstock_worker.leases import Lease

#: Calls take a second on average, so these slots give 100 jobs a second.
_SLOTS, _TAKES_S = 100, (0.5, 1.5)
_WARM_UP_S, _SPAN_S, _SPAN_FULL_S = 5.0, 30.0, 120.0
_WINDOW_S, _STEP_S = 10.0, 1.0
_TICK_S = 0.01
_BACKLOG = 200
#: What calls use of their estimates: of the input about all, of the output at most half.
_INPUT, _OUTPUT = (0.8, 1.2), (0.05, 0.5)
_JAIN = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A workspace that always has work: a backlog, or `batch` jobs again once they are gone.

    With `after_results` it comes back when all of them have ended, not when all have started.
    """

    workspace: str
    times: int = 1
    models: int = 1
    batch: int | None = None
    after_results: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Sources beside each other. With `limits` calls take real time, but a tenth of it."""

    name: str
    sources: tuple[Source, ...]
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    limits: tuple[Limit, ...] = ()
    span_s: float | None = None


def _plain(number: int) -> tuple[Source, ...]:
    return tuple(Source(workspace=f"plain-{n}") for n in range(number))


_AGAIN = Run(
    name="4 that drain and re-enter beside a backlog",
    sources=(
        Source(workspace="steady"),
        *(Source(workspace=f"again-{n}", batch=5) for n in range(4)),
    ),
)
_RESULTS = Run(
    name="4 that come back after their results",
    sources=(
        Source(workspace="steady"),
        *(Source(workspace=f"back-{n}", batch=50, after_results=True) for n in range(4)),
    ),
)
_SHARDED = Run(
    name="one sharded over 50 models",
    sources=(Source(workspace="sharded", models=50), *_plain(3)),
)
_HUGE = Run(
    name="prompts of 50 times the tokens", sources=(Source(workspace="huge", times=50), *_plain(3))
)
_LIMITED = Run(
    name="at a limit of 100/s, real time",
    sources=(
        Source(workspace="sharded", models=50),
        Source(workspace="large", times=10),
        Source(workspace="again", batch=5),
        *_plain(2),
    ),
    limits=(Limit("provider", "requests", 60_000, 6_000),),
    span_s=15.0,
)
_WEIGHTED = Run(
    name="weights 1 : 4 : 2",
    sources=_plain(3),
    weights={"plain-0": 1, "plain-1": 4, "plain-2": 2},
)


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """The worst 10 s of each run: Jain's index of token shares, and how far they are off."""
    span_s = _SPAN_FULL_S if full else _SPAN_S
    figures: list[Figure] = []
    for run in (_AGAIN, _SHARDED, _HUGE, _LIMITED):
        shares = await _shares(stand, run, span_s)
        figures.append(_jain(run, shares))
    shares = await _shares(stand, _RESULTS, span_s)
    least = min(window["steady"] for window in shares)
    name = f"of its equal share, a backlog beside {_RESULTS.name}"
    figures.append(_figure(name, 100 * least, "%", goal=98, within="at least"))
    shares = await _shares(stand, _WEIGHTED, span_s)
    off = max(abs(share - 1) for window in shares for share in window.values())
    figures += [
        _jain(_WEIGHTED, shares),
        _figure(f"furthest from its share, {_WEIGHTED.name}", 100 * off, "%", goal=5),
    ]
    return figures


async def _shares(stand: Stand, run: Run, span_s: float) -> list[dict[str, float]]:
    """Each workspace's tokens over what it should have had, in each window of 10 s."""
    async with bench(stand, "bench-fairness") as on:
        await on.index.set_all("weights", run.weights)
        await on.index.set_limits(run.limits)
        service = Service(on, run)
        span_s = run.span_s or span_s
        await service.go(_WARM_UP_S + span_s)
    begins = (_WARM_UP_S + _STEP_S * n for n in range(int((span_s - _WINDOW_S) / _STEP_S) + 1))
    return [service.shares(begin, begin + _WINDOW_S) for begin in begins]


class Service:
    """A worker whose calls only take time, and the sources that keep it busy."""

    def __init__(self, on: Bench, run: Run) -> None:
        self._on, self._run = on, run
        self._real = bool(run.limits)
        self._random = random.Random(run.name)
        self._sources = {source.workspace: source for source in run.sources}
        self._models = {source.workspace: cycle(range(source.models)) for source in run.sources}
        self._queued, self._in_flight = Counter[str](), Counter[str]()
        self._calls: list[tuple[float, int, Done]] = []
        self._numbers = count()
        self._served: list[tuple[float, str, int]] = []

    async def go(self, for_s: float) -> None:
        """Serve for so many seconds, which are real where the run is limited by time."""
        began = time.perf_counter()
        for tick in range(int(for_s / _TICK_S)):
            now_s = tick * _TICK_S
            if self._real:
                await asyncio.sleep(began + now_s - time.perf_counter())
                now_s = time.perf_counter() - began
            await self._give_back(now_s)
            await self._queue()
            free = _SLOTS - len(self._calls)
            for lease in (await self._on.index.claim(free)).leases if free else ():
                self._start(lease, now_s)

    async def _queue(self) -> None:
        wanted = [source for source in self._run.sources if self._has_run_out(source)]
        await self._on.push(
            new_job(
                self._on.index.provider,
                source.workspace,
                model=f"model-{next(self._models[source.workspace])}",
                input_tokens=100 * source.times,
                output_tokens=400 * source.times,
            )
            for source in wanted
            for _ in range(source.batch or _BACKLOG)
        )
        for source in wanted:
            self._queued[source.workspace] += source.batch or _BACKLOG

    def _has_run_out(self, source: Source) -> bool:
        if source.batch is None:
            return self._queued[source.workspace] < _BACKLOG
        busy = source.after_results and self._in_flight[source.workspace] > 0
        return not busy and self._queued[source.workspace] == 0

    def _start(self, lease: Lease, now_s: float) -> None:
        workspace = lease.flow.workspace
        used = Used(
            input_tokens=int(lease.entry.input_tokens * self._random.uniform(*_INPUT)),
            output_tokens=int(lease.entry.output_tokens * self._random.uniform(*_OUTPUT)),
            verdict=Verdict.WORKS,
        )
        self._queued[workspace] -= 1
        self._in_flight[workspace] += 1
        self._served.append((now_s, workspace, (used.input_tokens or 0) + used.output_tokens))
        takes_s = self._random.uniform(*_TAKES_S) / (10 if self._real else 1)
        call = (now_s + takes_s, next(self._numbers), Done(lease, workspace, b"", used))
        heapq.heappush(self._calls, call)

    async def _give_back(self, now_s: float) -> None:
        ended: list[Done] = []
        while self._calls and self._calls[0][0] <= now_s:
            ended.append(heapq.heappop(self._calls)[2])
        for done in ended:
            self._in_flight[done.workspace] -= 1
        await self._on.index.release(ended)

    def shares(self, begin_s: float, end_s: float) -> dict[str, float]:
        """Tokens of calls started in this time, over what each should have had; 1 is fair."""
        weights = {name: self._run.weights.get(name, 1) for name in self._sources}
        tokens = Counter[str]()
        for at_s, workspace, used in self._served:
            if begin_s <= at_s < end_s:
                tokens[workspace] += used
        each = tokens.total() / sum(weights.values())
        return {name: tokens[name] / (each * weight) for name, weight in weights.items()}


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1/n when one has all.

    Source: https://arxiv.org/abs/cs/9809099 (2026-11-21)
    """
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def _jain(run: Run, shares: Sequence[Mapping[str, float]]) -> Figure:
    worst = min(jain(list(window.values())) for window in shares)
    return _figure(
        f"Jain's index, worst 10 s, {run.name}", worst, "", goal=_JAIN, within="at least"
    )


def _figure(name: str, value: float, unit: str, *, goal: float, within: str = "at most") -> Figure:
    side = "at least" if within == "at least" else "at most"
    return Figure(bench="fairness", name=name, value=value, unit=unit, goal=goal, within=side)
