"""Every Redis key and channel, in one place.

All keys of one provider share the hash tag `{provider}`, so that each script runs in one slot of
a Redis Cluster. Nothing here is the record: any key may be lost and is rebuilt from Postgres.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Bumped when the meaning of a key changes, so that two versions never share an index.
PREFIX = "ps3"

#: The configuration under which a workspace's new key is tried: no budget and no gate of another
#: key counts. It is the name of its credential too.
KEY_CHECK = "key-check"
#: The credential of whoever has no key of their own.
PLATFORM = "platform"

#: String: the name of the steward on duty, for as long as it says so.
STEWARD = f"{PREFIX}:steward"
#: Channel: the name of a workspace whose configuration has changed.
CHANGED = f"{PREFIX}:changed"
#: Sorted set: the totals of usage that metrics have told, so that none is ever seen to fall.
TOTALS = f"{PREFIX}:totals"


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """The keys of one provider's index."""

    provider: str

    @property
    def base(self) -> str:
        """The prefix of all of them; scripts derive the rest from it."""
        return f"{PREFIX}:{{{self.provider}}}:"

    @property
    def epoch(self) -> str:
        """Hash: the index's epoch `id`, its `state` (`open`, `rebuilding`) and the server's run."""
        return self.base + "epoch"

    @property
    def leases(self) -> str:
        """Sorted set: job ID (16 bytes) by the lease's expiry, in ms of Redis time."""
        return self.base + "leases"

    @property
    def stopping(self) -> str:
        """Hash: job ID to fencing token, of leases whose jobs have ended."""
        return self.base + "stopping"

    @property
    def unsettled(self) -> str:
        """Stream: settlements that wait for Postgres to come back."""
        return self.base + "unsettled"

    @property
    def workers(self) -> str:
        """Sorted set: worker name by the time it was last seen, in ms of Redis time."""
        return self.base + "workers"

    @property
    def wake(self) -> str:
        """Channel: told when there may be something to claim."""
        return self.base + "wake"

    def result(self, job_id: str) -> str:
        """String: a finished job's result as JSON, for a while."""
        return f"{self.base}result:{job_id}"


@dataclass(frozen=True, slots=True)
class ComputeKeys:
    """The keys of the workers of one module of COMPUTE functions."""

    module: str

    @property
    def queue(self) -> str:
        """Sorted set: the arq queue of calls of its functions."""
        return f"{PREFIX}:compute:{self.module}"

    @property
    def workers(self) -> str:
        """Sorted set: worker name by the time it was last seen, in ms of Redis time."""
        return self.queue + ":workers"


def deltas_key(job_id: str) -> str:
    """Stream: the pieces of a job's answer as they come, whichever provider it is at; for a while.

    Entry IDs are positions: the attempt, and the number of the entry's last piece.
    """
    return f"{PREFIX}:deltas:{job_id}"


def done_channel(workspace: str) -> str:
    """Channel: the provider that holds the results, then the IDs of jobs that have ended."""
    return f"{PREFIX}:done:{workspace}"
