"""Simulated answers written out: as a body, and as the body of the same answer streamed."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from penstock_worker.simulator.faults import Fault


class Script(NamedTuple):
    """One answer, in both forms."""

    whole: dict[str, Any]
    streamed: bytes

    def as_fault(self, *, stream: bool) -> Fault:
        """The fault that makes the simulator give this answer to the next call."""
        body = self.streamed.decode() if stream else orjson.dumps(self.whole).decode()
        headers = {"content-type": "text/event-stream"} if stream else {}
        return Fault(kind="status", status=200, body=body, headers=headers, count=1)
