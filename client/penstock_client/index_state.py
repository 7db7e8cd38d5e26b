"""What a provider's index holds of limits, read for people. Parsing is pure; nothing is written.

The scripts of workers keep this state (`penstock_worker/admission/lua/limits.lua`); the index may
lose it at any time, and then says nothing until it is rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis

from penstock_schemas.keys import ProviderKeys
from penstock_schemas.limits import EACH

_Hash = Mapping[bytes, bytes]
#: Paced limits admit so much ahead of their rate, in ms; as in the script of limits.
BURST_MS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """A limit that an index holds, and how it fares.

    `source` is `configured`, `learned` (from headers) or `found` (from refusals). `share` is how
    much of the amount is used: it falls with refusals and rises again. `used` are the calls that
    occupy a concurrency limit, or the units spent of a day; None where a limit is paced.
    `refused` counts the refusals met, the last of them at `refused_at`. `waiting` flows are kept by
    this limit. `in_use` is the share, 0 to 1, that is taken just now: of the amount, or, where a
    limit is paced, of what may go out at this moment; None where each name has its own.
    """

    provider: str
    scope: str
    unit: str
    window_s: int
    amount: int
    source: str
    share: float
    used: int | None
    refused: int
    refused_at: datetime | None
    waiting: int
    in_use: float | None = None

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What it is a limit of, as `LimitSetting.place`."""
        return (self.provider, self.scope, self.unit, self.window_s)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket of one limit at a provider; `window_ms` is 0 for concurrency."""

    provider: str
    scope: str
    unit: str
    window_ms: int

    @property
    def key(self) -> str:
        """Its key in the provider's index, without the index's prefix."""
        word = f"{self.unit}/{self.window_ms}"
        return f"b:{self.scope}|{word}"

    @property
    def general(self) -> Bucket:
        """The bucket that has its amount where its own name has no limit: that of `*`."""
        kind, named, _ = self.scope.partition(":")
        return replace(self, scope=f"{kind}:{EACH}") if named else self

    @classmethod
    def parse(cls, provider: str, key: str) -> Bucket | None:
        """Read a key as `key` writes it; None where it is of no limit, as of a slow start."""
        name, _, word = key.removeprefix("b:").rpartition("|")
        unit, _, window_ms = word.partition("/")
        return cls(provider, name, unit, int(window_ms)) if name and window_ms.isdigit() else None


async def read_limits(redis: ArqRedis, providers: Sequence[str]) -> list[LimitState]:
    """The limits that these providers' indexes hold, in two round trips; raises redis errors."""
    commands: Any = redis
    async with commands.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for provider in providers:
            pipeline.hgetall(ProviderKeys(provider).base + "rules")
        (seconds, micros), *rules = await pipeline.execute()
    now_ms = seconds * 1000 + micros // 1000
    buckets = [
        bucket
        for provider, ruled in zip(providers, rules, strict=True)
        for bucket in buckets_of(provider, ruled)
    ]
    if not buckets:
        return []
    async with commands.pipeline(transaction=False) as pipeline:
        for bucket in buckets:
            base = ProviderKeys(bucket.provider).base
            pipeline.hgetall(base + bucket.key)
            for kind in "ib":
                pipeline.zcard(f"{base}w:{bucket.key}|{kind}")
        found: list[Any] = await pipeline.execute()
    states = (
        state_of(bucket, found[at], waiting=found[at + 1] + found[at + 2], now_ms=now_ms)
        for bucket, at in zip(buckets, range(0, len(found), 3), strict=True)
    )
    return [state for state in states if state is not None]


def buckets_of(provider: str, rules: _Hash) -> list[Bucket]:
    """The buckets that a provider's rules name: scope -> words `unit/window in ms`."""
    return [
        Bucket(provider, scope.decode(), unit, int(window_ms))
        for scope, words in sorted(rules.items())
        for unit, _, window_ms in (word.partition("/") for word in words.decode().split())
    ]


def state_of(bucket: Bucket, fields: _Hash, *, waiting: int, now_ms: int) -> LimitState | None:
    """A limit from the hash of its bucket; None where that has no amount."""
    amount = _number(fields, b"amount")
    if amount <= 0:
        return None
    refused_at_ms = _number(fields, b"refused_at")
    used = _used(bucket, fields, now_ms)
    return LimitState(
        provider=bucket.provider,
        scope=bucket.scope,
        unit=bucket.unit,
        window_s=bucket.window_ms // 1000,
        amount=amount,
        source=fields.get(b"source", b"").decode(),
        share=float(fields.get(b"factor", b"1")),
        used=used,
        refused=_number(fields, b"refused"),
        refused_at=datetime.fromtimestamp(refused_at_ms / 1000, UTC) if refused_at_ms else None,
        waiting=waiting,
        in_use=_in_use(bucket, fields, used=used, now_ms=now_ms),
    )


def _in_use(bucket: Bucket, fields: _Hash, *, used: int | None, now_ms: int) -> float | None:
    if bucket.scope.endswith(f":{EACH}"):
        return None
    if used is not None:
        return min(1.0, used / _number(fields, b"amount"))
    if b"tat" not in fields:
        return None
    return min(1.0, max(0.0, 1 + (float(fields[b"tat"]) - now_ms) / BURST_MS))


def _used(bucket: Bucket, fields: _Hash, now_ms: int) -> int | None:
    if bucket.window_ms == 0:
        return _number(fields, b"used")
    if b"span" not in fields:
        return None
    in_this_window = now_ms // bucket.window_ms == _number(fields, b"span")
    return _number(fields, b"spent") if in_this_window else 0


def _number(fields: _Hash, name: bytes) -> int:
    return int(float(fields.get(name, b"0")))
