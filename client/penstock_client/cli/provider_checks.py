"""The part of `penstock doctor` about providers: steward, indexes, workers, queues and keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.gates import GateState, recheck
from penstock_client.index_state import LimitState
from penstock_client.ledger import Ledger, Pause
from penstock_schemas.catalog import Catalog
from penstock_schemas.keys import STEWARD, ProviderKeys

#: A worker that has not shown itself for so long is gone.
SEEN_MS = 15_000
#: A limit of which less than this share is used is worth a warning.
SLOWED = 0.5
#: Queued jobs are counted so far; beyond that it is "more than".
COUNTED_JOBS = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `remedy` says what to do where the status is not `ok`."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """One provider. `live` counts jobs that have not ended, to `COUNTED_JOBS` + 1 at most."""

    provider: str
    index: str
    workers: int
    live: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the servers say: the steward, and providers that have an index or live jobs."""

    steward: str | None
    providers: Sequence[ProviderState]


async def read_providers(redis: ArqRedis, ledger: Ledger, known: Collection[str]) -> Found:
    """Ask Redis in one round trip, and Postgres about the providers with live jobs."""
    live = [row["provider"] for row in await ledger.fetch_safely("live_providers")]
    names = sorted({*known, *live})
    client: Any = redis
    seconds, micros = await client.time()
    oldest = seconds * 1000 + micros // 1000 - SEEN_MS
    async with client.pipeline(transaction=False) as pipe:
        pipe.get(STEWARD)
        for name in names:
            pipe.hget(ProviderKeys(name).epoch, "state")
            pipe.zcount(ProviderKeys(name).workers, oldest, "+inf")
        steward, *answers = await pipe.execute()
    states: list[ProviderState] = []
    for at, name in enumerate(names):
        index, workers = (answers[2 * at] or b"").decode(), answers[2 * at + 1]
        jobs = await _live_jobs(ledger, name) if name in live else 0
        if index or jobs:
            states.append(ProviderState(provider=name, index=index, workers=workers, live=jobs))
    return Found(steward.decode() if steward else None, states)


async def _live_jobs(ledger: Ledger, provider: str) -> int:
    page = await ledger.standing("live_jobs", provider, UUID(int=0), COUNTED_JOBS + 1)
    return len(page)


def judge_steward(found: Found) -> Check:
    """Whether a steward keeps the indexes true."""
    if found.steward:
        return Check("steward", "ok", found.steward)
    remedy = "run `penstock steward`: it opens indexes and repairs them"
    return Check("steward", "warn", "none seen", remedy)


def judge_indexes(found: Found) -> list[Check]:
    """One line for all that are open, one for each that is not."""
    shut = [state for state in found.providers if state.index != "open"]
    opened = len(found.providers) - len(shut)
    checks = [Check("indexes", "ok", f"{opened} open")] if opened else []
    for state in shut:
        remedy = (
            "the steward is rebuilding it; look again in 20 s"
            if state.index and found.steward
            else "run `penstock steward`"
        )
        what = state.index or "missing"
        checks.append(Check(f"index {state.provider}", "warn", what, remedy))
    return checks


def judge_workers(found: Found) -> list[Check]:
    """One line for each provider that has workers, or jobs that nobody works on."""
    checks: list[Check] = []
    for state in found.providers:
        jobs = f"{COUNTED_JOBS}+" if state.live > COUNTED_JOBS else str(state.live)
        name = f"workers {state.provider}"
        if state.workers:
            checks.append(
                Check(name, "ok", f"{state.workers} seen, {jobs} jobs waiting or running")
            )
        elif state.live:
            remedy = f"run `penstock worker --provider {state.provider}`"
            checks.append(Check(name, "warn", f"none, but {jobs} jobs wait", remedy))
    if not any(state.workers for state in found.providers) and not checks:
        remedy = "run `penstock worker --provider PROVIDER` for each provider that you use"
        checks.append(Check("workers", "warn", "none seen", remedy))
    return checks


def judge_gates(gates: Sequence[GateState]) -> list[Check]:
    """One line for each breaker or credential that lets no work through."""
    if not gates:
        return [Check("breakers and credentials", "ok", "all let work through")]
    checks: list[Check] = []
    for gate in gates:
        what = f"{gate.name} is {gate.state.replace('_', ' ')}: {gate.reason or 'no reason kept'}"
        told = f"{what}; {gate.waiting} queues wait" if gate.waiting else what
        remedy = f"solve it, then `{recheck(gate.provider, gate.name)}`"
        checks.append(Check(f"gate {gate.provider}", "warn", told, remedy))
    return checks


def judge_pauses(pauses: Sequence[Pause]) -> list[Check]:
    """One line for each pause: who forgets one wonders later why nothing starts."""
    return [
        Check(
            "pause",
            "warn",
            f"{pause.target.shown} since {pause.since:%Y-%m-%d %H:%M:%S}: "
            f"{pause.reason or 'no reason given'}",
            "once it is over, `penstock resume` with the options of `penstock pause`",
        )
        for pause in pauses
    ]


def judge_limits(limits: Sequence[LimitState]) -> list[Check]:
    """One line for each limit of which far less is used than there is."""
    return [
        Check(
            f"limit {limit.provider}",
            "warn",
            f"{limit.share:.0%} of {limit.amount:,} {limit.unit} of {limit.scope} is used",
            "somebody else draws on it, or the provider refuses; see `penstock limits list`",
        )
        for limit in limits
        if limit.share < SLOWED and limit.waiting
    ]


def judge_keys(variables: Mapping[str, str], models: Catalog, *, live: set[str]) -> list[Check]:
    """The names of the key variables that are set here, never their values."""
    checks: list[Check] = []
    for provider in models.providers:
        if not provider.needs_key:
            continue
        name = f"key {provider.name}"
        present = next((var for var in provider.key_variables if variables.get(var)), None)
        if present:
            checks.append(Check(name, "ok", f"{present} is set"))
        elif provider.name in live:
            wanted = " or ".join(provider.key_variables)
            remedy = f"its workers need {wanted}; workers elsewhere may have it"
            checks.append(Check(name, "warn", "not set here", remedy))
    if not checks:
        remedy = "workers need their provider's key; `penstock simulator` stands in without keys"
        checks.append(Check("keys", "warn", "no provider's key is set here", remedy))
    return checks
