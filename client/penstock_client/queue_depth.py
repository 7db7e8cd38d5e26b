"""How much waits in the providers' indexes, by lane, and for how long. Read for metrics.

Costs by the number of queues (flows), not of jobs: their lengths are known to the index. Pages of
them are counted by a script, so that no single command keeps the server from claims for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from arq.connections import ArqRedis

from penstock_client.presence import ALIVE_S
from penstock_client.scripts import client_script
from penstock_schemas.keys import STEWARD, ProviderKeys
from penstock_schemas.status import Lane

#: Workspaces, or flows at a gate, in one call of the script.
PAGE = 200
#: Pages of one tree, or at one gate, at most; and gates looked at.
PAGES = 100
GATES = 500

#: What keeps jobs that wait; `turn`: nothing but that it is not their turn yet.
Where = Literal["turn", "limit", "breaker", "credential", "pause", "budget", "other"]
_TREES = "ibz"
_GATES: Final[dict[str, Where]] = {"b": "limit", "pause": "pause", "room": "budget"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of a lane that wait in one place. `oldest_ms`: when the first of any queue was submitted
    (ms since 1970), None where none waits.
    """

    where: Where
    lane: Lane
    jobs: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDepth:
    """What a provider's index holds now. `retrying` jobs wait for a time, `running` are leased.

    `complete` is False where there are more queues than were counted. `unsettled` answers wait for
    Postgres. `index` is `open`, `rebuilding`, `stale` or empty where there is none.
    """

    provider: str
    index: str
    workers: int
    running: int
    retrying: int
    unsettled: int
    pauses: int
    waiting: tuple[Waiting, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Depths:
    """All providers at one moment of Redis' clock, `now_ms`; and whether a steward is on duty."""

    now_ms: int
    steward: bool
    providers: tuple[ProviderDepth, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    provider: str
    where: Where
    kind: str
    name: str
    first: int


async def read_depths(redis: ArqRedis, providers: Sequence[str]) -> Depths:
    """Read these providers' indexes in four round trips; raises redis errors."""
    script, commands = client_script("depth"), _commands(redis)
    seconds, micros = await commands.time()
    alive_ms = (seconds - ALIVE_S) * 1000
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.get(STEWARD)
        pipeline.execute_command("SCRIPT LOAD", script.text)
        for provider in providers:
            _ask(pipeline, ProviderKeys(provider), alive_ms)
        (steward, _, *found) = await pipeline.execute()
    each = len(found) // len(providers) if providers else 0
    found = [found[at * each : (at + 1) * each] for at in range(len(providers))]
    gates = [
        (provider, gate.decode())
        for provider, row in zip(providers, found, strict=True)
        for gate in row[-1]
    ]
    lengths = await _lengths(commands, gates)
    pages = [
        *_pages_of_turns(zip(providers, found, strict=True)),
        *_pages_of_gates(zip(gates, lengths, strict=True)),
    ]
    counted = await _count(commands, script.sha, pages)
    return Depths(
        seconds * 1000 + micros // 1000,
        steward is not None,
        tuple(
            _depth(provider, row, [part for part in counted if part[0].provider == provider])
            for provider, row in zip(providers, found, strict=True)
        ),
    )


def _commands(redis: ArqRedis) -> Any:
    return redis


def _ask(pipeline: Any, keys: ProviderKeys, alive_ms: float) -> None:
    """What `_depth` and the pages need; the gates come last."""
    pipeline.hget(keys.epoch, "state")
    pipeline.zcount(keys.workers, alive_ms, "+inf")
    pipeline.zcard(keys.leases)
    pipeline.zcard(f"{keys.base}due")
    pipeline.xlen(keys.unsettled)
    pipeline.hlen(f"{keys.base}paused")
    for tree in _TREES:
        pipeline.zcard(f"{keys.base}{tree}turns")
    pipeline.zrange(f"{keys.base}parked", 0, GATES)


async def _lengths(commands: Any, gates: Sequence[tuple[str, str]]) -> list[int]:
    if not gates:
        return []
    async with commands.pipeline(transaction=False) as pipeline:
        for provider, gate in gates:
            pipeline.zcard(f"{ProviderKeys(provider).base}w:{gate}")
        return await pipeline.execute()


def _pages_of_turns(rows: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[_Page]:
    for provider, row in rows:
        for tree, length in zip(_TREES, row[6:9], strict=True):
            for first in _firsts(length):
                yield _Page(provider, "turn", "turns", tree, first)


def _pages_of_gates(gates: Iterable[tuple[tuple[str, str], int]]) -> Iterator[_Page]:
    for (provider, gate), length in gates:
        for first in _firsts(length):
            yield _Page(provider, _kept_by(gate), "gate", gate, first)


def _kept_by(gate: str) -> Where:
    kind, _, name = gate.partition(":")
    if kind == "gate":
        return "breaker" if name.startswith("model:") else "credential"
    return _GATES.get(kind, "other")


def _firsts(length: int) -> range:
    return range(0, min(length, PAGE * PAGES), PAGE)


async def _count(
    commands: Any, sha: str, pages: Sequence[_Page]
) -> list[tuple[_Page, Sequence[int]]]:
    if not pages:
        return []
    async with commands.pipeline(transaction=False) as pipeline:
        for page in pages:
            epoch = ProviderKeys(page.provider).epoch
            args = (page.kind, page.name, page.first, page.first + PAGE - 1)
            pipeline.execute_command("EVALSHA", sha, 1, epoch, *args)
        return list(zip(pages, await pipeline.execute(), strict=True))


def _depth(
    provider: str, row: Sequence[Any], counted: Sequence[tuple[_Page, Sequence[int]]]
) -> ProviderDepth:
    index, workers, running, retrying, unsettled, pauses, *turns, gates = row
    jobs: dict[tuple[Where, Lane], int] = {}
    oldest: dict[tuple[Where, Lane], int] = {}
    for page, (*numbers, _) in counted:
        for lane in Lane:
            place: tuple[Where, Lane] = (page.where, lane)
            since_ms = numbers[3 + lane]
            jobs[place] = jobs.get(place, 0) + numbers[lane]
            if since_ms:
                oldest[place] = min(oldest.get(place, since_ms), since_ms)
    full = any(length > PAGE * PAGES for length in turns) or len(gates) > GATES
    return ProviderDepth(
        provider=provider,
        index=(index or b"").decode(),
        workers=workers,
        running=running,
        retrying=retrying,
        unsettled=unsettled,
        pauses=pauses,
        waiting=tuple(
            Waiting(where, lane, count, oldest.get((where, lane)))
            for (where, lane), count in sorted(jobs.items())
        ),
        complete=not full and not any(numbers[-1] for _, numbers in counted),
    )
