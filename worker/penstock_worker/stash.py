"""Settlements as JSON, for the Redis stream in which they wait while Postgres is away."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from penstock_worker.attempts import Settlement

_SETTLEMENTS = TypeAdapter(list[Settlement])


def encode_settlements(settlements: Sequence[Settlement]) -> bytes:
    """A group of settlements as JSON bytes."""
    return _SETTLEMENTS.dump_json(list(settlements))


def decode_settlements(data: bytes) -> list[Settlement]:
    """Read a group; raises ValueError when it is not one."""
    return _SETTLEMENTS.validate_json(data)
