"""Faults to inject on demand: what goes wrong, for whom, and how often.

A fault is matched by provider (`*` for all) and optionally by model and by API key, fires with its
probability, and is used up after `count` times. The first matching one in order of adding fires.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count as counter
from random import Random
from typing import Literal, get_args

from .request import Refusal

FaultKind = Literal[
    "status",
    "insufficient_quota",
    "overloaded",
    "drop_before",
    "drop_after",
    "hang",
    "invalid_json",
    "truncated",
    "schema_violation",
    "slow",
]
_KINDS: tuple[str, ...] = get_args(FaultKind)
_ANY = "*"
_OVERLOADED_STATUS = {"anthropic": 529, "groq": 498}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One injected fault. `count` None means until cleared.

    `status`, `body` and `headers` serve kind `status` (an empty body: the provider's own error
    shape); `delay_s` is how long `hang` sleeps and over how long `slow` spreads its answer.
    `drop_before` closes the connection with the request unread, `drop_after` once it was read.
    `key` is an API key or its end: the fault hits calls with that key alone.
    """

    kind: FaultKind
    provider: str = _ANY
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    status: int = 500
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 1.0
    count: int | None = None
    probability: float = 1.0
    id: int = 0


class Faults:
    """The faults in force. Not thread-safe: one event loop."""

    def __init__(self, *, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._random = Random(seed)  # noqa: S311 - repeatable, not secret
        self._ids = counter(1)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def listed(self) -> list[Fault]:
        """The faults in force, oldest first."""
        return list(self._faults)

    def add(self, fault: Fault) -> int:
        """Put a fault in force and return its ID; ValueError for one that could never fire."""
        if fault.kind not in _KINDS:
            raise ValueError(f"unknown kind of fault: {fault.kind}; use one of {', '.join(_KINDS)}")
        if fault.kind == "drop_before" and fault.model is not None:
            raise ValueError("drop_before happens before the model is known: leave out the model")
        if fault.key == "":
            raise ValueError("key must not be empty: leave it out to hit every key")
        if not 0 < fault.probability <= 1:
            raise ValueError("probability must be above 0 and at most 1")
        if fault.count is not None and fault.count < 1:
            raise ValueError("count must be at least 1")
        if not 200 <= fault.status <= 599:
            raise ValueError("status must be between 200 and 599")
        fault.id = next(self._ids)
        self._faults.append(fault)
        return fault.id

    def clear(self, *, fault_id: int | None = None, provider: str | None = None) -> int:
        """Remove faults (all, one, or those of a provider); how many there were."""
        kept = [
            fault
            for fault in self._faults
            if (fault_id is not None and fault.id != fault_id)
            or (provider is not None and fault.provider != provider)
        ]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def take_unread(self, provider: str, *, key: str = "") -> Fault | None:
        """The fault that hits a request before it is read."""
        return self._take(provider, None, key, unread=True)

    def take(self, provider: str, model: str | None, *, key: str = "") -> Fault | None:
        """The fault that hits a request that was read; `model` None where it could not be."""
        return self._take(provider, model, key, unread=False)

    def _take(self, provider: str, model: str | None, key: str, *, unread: bool) -> Fault | None:
        for fault in self._faults:
            if (
                (fault.kind == "drop_before") is unread
                and fault.provider in (_ANY, provider)
                and fault.model in (None, model)
                and (fault.key is None or key.endswith(fault.key))
                and (fault.probability >= 1 or self._random.random() < fault.probability)
            ):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._faults.remove(fault)
                return fault
        return None


def refusal_of(fault: Fault, provider: str) -> Refusal | None:
    """The provider's error that a fault stands for, None for faults that are not errors."""
    if fault.kind == "overloaded":
        status = _OVERLOADED_STATUS.get(provider, 503)
        return Refusal(status, "overloaded", "Overloaded", code="overloaded")
    if fault.kind == "insufficient_quota":
        return _quota(provider)
    if fault.kind == "status":
        return _by_status(fault.status)
    return None


def _quota(provider: str) -> Refusal:
    if provider == "anthropic":
        return Refusal(
            400,
            "insufficient_quota",
            "You have reached your specified API usage limits. You will regain access on"
            " 2099-01-01 at 00:00 UTC.",
        )
    return Refusal(
        402 if provider == "deepseek" else 429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
    )


def _by_status(status: int) -> Refusal:
    kind, code = {
        401: ("authentication", "invalid_api_key"),
        403: ("permission_error", None),
        404: ("not_found", "model_not_found"),
        429: ("rate_limit_requests", "rate_limit_exceeded"),
        529: ("overloaded", None),
    }.get(status, ("server_error" if status >= 500 else "invalid_request", None))
    return Refusal(status, kind, f"Simulated error {status}.", code=code)
