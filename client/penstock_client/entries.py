"""What the index holds of a job: 28 bytes and the name of its flow. Pure packing and unpacking."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from penstock_schemas.keys import KEY_CHECK, PLATFORM

_ENTRY = struct.Struct(">16sIIHH")
_LARGEST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Flow:
    """Jobs that share a queue and take turns as one: these are the same for all of them."""

    workspace: str
    lane: int
    model: str
    tag: str = ""
    configuration: str = "default"

    @property
    def name(self) -> str:
        """The flow's name in the index."""
        parts = (self.workspace, str(self.lane), self.tag, self.configuration, self.model)
        return "|".join(parts)

    @property
    def credential_names(self) -> tuple[str, str]:
        """What `credentials` of an index may hold of its credential; the first one found counts."""
        return f"{self.workspace}/{self.configuration}", self.workspace

    def credential(self, found: Sequence[bytes | None]) -> str:
        """The credential of its jobs, by what was found under its `credential_names`."""
        if self.configuration == KEY_CHECK:
            return KEY_CHECK
        return next((name.decode() for name in found if name is not None), PLATFORM)

    @classmethod
    def parse(cls, name: str) -> Flow:
        """Read a flow's name."""
        workspace, lane, tag, configuration, model = name.split("|", 4)
        return cls(workspace, int(lane), model, tag, configuration)


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in the index.

    `input_tokens` is an estimate, `output_tokens` the most that the job may use; `capability` is
    `capability_code` of its name, under which the index learns what its calls really use.
    """

    job_id: UUID
    input_tokens: int
    output_tokens: int
    placement_version: int = 0
    capability: int = 0

    def pack(self) -> bytes:
        """The 28 bytes: job ID, input and output tokens, placement version, capability."""
        return _ENTRY.pack(
            self.job_id.bytes,
            min(self.input_tokens, _LARGEST),
            min(self.output_tokens, _LARGEST),
            self.placement_version,
            self.capability,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Entry:
        """Read an entry's 28 bytes."""
        job_id, input_tokens, output_tokens, placement, capability = _ENTRY.unpack(data)
        return cls(UUID(bytes=job_id), input_tokens, output_tokens, placement, capability)


@lru_cache(maxsize=1024)
def capability_code(capability: str) -> int:
    """A capability's name as the two bytes that an entry holds of it; names may share them."""
    return zlib.crc32(capability.encode()) & 0xFFFF


def pack_fence(fence: int) -> bytes:
    """A fencing token as the 8 bytes that the index holds."""
    return fence.to_bytes(8, "big")


def unpack_fence(data: bytes) -> int:
    """Read a fencing token."""
    return int.from_bytes(data, "big")
