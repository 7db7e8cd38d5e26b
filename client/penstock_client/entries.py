"""What the index holds of a job: 26 bytes and the name of its flow. Pure packing and unpacking."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

_ENTRY = struct.Struct(">16sIIH")
_LARGEST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Flow:
    """Jobs that share a queue and take turns as one: same workspace, lane and model."""

    workspace: str
    lane: int
    model: str

    @property
    def name(self) -> str:
        """The flow's name in the index."""
        return f"{self.workspace}|{self.lane}|{self.model}"

    @classmethod
    def parse(cls, name: str) -> Flow:
        """Read a flow's name."""
        workspace, lane, model = name.split("|", 2)
        return cls(workspace, int(lane), model)


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in the index; token counts are estimates for fairness and limits."""

    job_id: UUID
    input_tokens: int
    output_tokens: int
    placement_version: int = 0

    def pack(self) -> bytes:
        """The 26 bytes: job ID, input tokens, output tokens, placement version, big-endian."""
        return _ENTRY.pack(
            self.job_id.bytes,
            min(self.input_tokens, _LARGEST),
            min(self.output_tokens, _LARGEST),
            self.placement_version,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Entry:
        """Read an entry's 26 bytes."""
        job_id, input_tokens, output_tokens, placement = _ENTRY.unpack(data)
        return cls(UUID(bytes=job_id), input_tokens, output_tokens, placement)


def pack_fence(fence: int) -> bytes:
    """A fencing token as the 8 bytes that the index holds."""
    return fence.to_bytes(8, "big")


def unpack_fence(data: bytes) -> int:
    """Read a fencing token."""
    return int.from_bytes(data, "big")
