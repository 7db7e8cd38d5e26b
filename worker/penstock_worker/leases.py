"""A lease: a worker's right to start one job, for a while. Shared with the heartbeat's thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from penstock_client.entries import Entry, Flow, pack_fence
from penstock_schemas.ids import Fence

#: How long a lease lasts, and how often it is renewed, in seconds.
LEASE_S = 15.0
RENEW_S = 5.0
#: A call is only started when its lease lasts at least this much longer, in seconds.
MARGIN_S = 2.0


@dataclass(slots=True)
class Lease:
    """One leased job. `expires_at` is on this process's monotonic clock; `lost` is for ever.

    `stopped` is for ever too: the job has ended, and a call under way for it is of no use.

    `likely` are the tokens, in and out, that such calls mostly use at most, once that is known.
    `lapsed` is the token under which an earlier holder's lease ran out; `epoch` is the index's
    epoch at the claim.
    """

    job_id: UUID
    fence: Fence
    entry: Entry
    flow: Flow
    lapsed: Fence | None
    epoch: str
    expires_at: float
    lost: bool = False
    stopped: bool = False
    likely: tuple[int, int] | None = None

    @property
    def key(self) -> bytes:
        """The job's ID as the index knows it."""
        return self.job_id.bytes

    @property
    def token(self) -> bytes:
        """The fencing token as the index knows it."""
        return pack_fence(self.fence)

    def may_start(self) -> bool:
        """Whether a call may still be started under this lease."""
        return not (self.lost or self.stopped) and time.monotonic() < self.expires_at - MARGIN_S


def nominal_lease(job_id: UUID, fence: int, workspace: str, model: str) -> Lease:
    """A lease to give back in somebody else's name; only its ID and token count."""
    entry = Entry(job_id, 0, 0)
    return Lease(job_id, Fence(fence), entry, Flow(workspace, 0, model), None, "", 0.0)


class Held(dict[bytes, Lease]):
    """The leases of one worker by job ID; read by the heartbeat's thread."""
