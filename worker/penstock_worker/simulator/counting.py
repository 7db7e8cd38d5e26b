"""What came in: the counts that tests compare with what the sender believes it sent.

A call counts at the moment its request was read, before any answer, so that a call whose answer
was lost is counted too. A connection dropped with its request unread is no call: see `unread`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

_MOST_LISTED = 1000


class ProviderSnapshot(TypedDict):
    """Counts of one provider; `by_status` has `dropped` for calls that got no answer."""

    calls: int
    ok: int
    by_status: dict[str, int]
    in_flight: int
    max_in_flight: int
    input_tokens: int
    output_tokens: int
    unread: int


class StrangerSnapshot(TypedDict):
    """Calls of somebody else on the same limits: let through and refused."""

    taken: int
    refused: int


class Snapshot(TypedDict):
    """All counts. `repeated_calls` are the calls beyond the first of each job; `repeated` names
    at most 1,000 of those jobs with all their calls. Calls of strangers count nowhere else."""

    calls: int
    by_provider: dict[str, ProviderSnapshot]
    jobs: int
    repeated: dict[str, int]
    repeated_calls: int
    strangers: dict[str, StrangerSnapshot]


@dataclass(slots=True)
class ProviderCounts:
    """Running counts of one provider."""

    calls: int = 0
    ok: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    max_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unread: int = 0

    def end(self, status: int | None) -> None:
        """A call was answered with a status, or dropped (None)."""
        self.in_flight -= 1
        name = "dropped" if status is None else str(status)
        self.by_status[name] = self.by_status.get(name, 0) + 1
        if status == 200:
            self.ok += 1

    def snapshot(self) -> ProviderSnapshot:
        """The counts as plain data."""
        return {
            "calls": self.calls,
            "ok": self.ok,
            "by_status": dict(self.by_status),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "unread": self.unread,
        }


class Counts:
    """Counts of all providers and of the jobs that the calls named."""

    def __init__(self) -> None:
        self._providers: dict[str, ProviderCounts] = {}
        self._jobs: set[str] = set()
        self._repeated: dict[str, int] = {}

    def of(self, provider: str) -> ProviderCounts:
        """The running counts of one provider."""
        counts = self._providers.get(provider)
        if counts is None:
            counts = self._providers[provider] = ProviderCounts()
        return counts

    def begin(self, provider: str, client_request_id: str | None) -> ProviderCounts:
        """A request was read; `client_request_id` is `<job_id>:<attempt>`, if it had one."""
        counts = self.of(provider)
        counts.calls += 1
        counts.in_flight += 1
        counts.max_in_flight = max(counts.max_in_flight, counts.in_flight)
        if client_request_id:
            job_id = client_request_id.partition(":")[0]
            if job_id in self._jobs:
                self._repeated[job_id] = self._repeated.get(job_id, 1) + 1
            else:
                self._jobs.add(job_id)
        return counts

    def reset(self) -> None:
        """Start again from nothing; calls under way stay in flight."""
        for counts in self._providers.values():
            running = counts.in_flight
            counts.calls = counts.ok = counts.input_tokens = counts.output_tokens = (
                counts.unread
            ) = 0
            counts.by_status.clear()
            counts.max_in_flight = running
        self._jobs.clear()
        self._repeated.clear()

    def snapshot(self, strangers: dict[str, StrangerSnapshot]) -> Snapshot:
        """All counts as plain data, with those of strangers."""
        listed = list(self._repeated.items())[:_MOST_LISTED]
        return {
            "calls": sum(counts.calls for counts in self._providers.values()),
            "by_provider": {name: c.snapshot() for name, c in self._providers.items()},
            "jobs": len(self._jobs),
            "repeated": dict(listed),
            "repeated_calls": sum(self._repeated.values()) - len(self._repeated),
            "strangers": strangers,
        }
