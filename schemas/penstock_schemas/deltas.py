"""Pieces of a streamed answer, as they travel from a provider's wire to whoever reads along."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, NamedTuple


class Position(NamedTuple):
    """A place in a job's streamed answer: the number of an attempt, and of a piece of it, from 1.

    Written as `ATTEMPT-PIECE`. Later pieces have greater positions, whichever provider they come
    from: attempts of a job are counted, also across providers and after a requeue.
    """

    attempt: int
    piece: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.piece}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a written position; raises ValueError."""
        if not re.fullmatch(r"[0-9]{1,9}-[0-9]{1,15}", text):
            raise ValueError(f"{text[:40]!r} is not a position in a stream")
        attempt, _, piece = text.partition("-")
        return cls(int(attempt), int(piece))


#: Before the first piece.
BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed answer, in order: text, reasoning, or a piece of one tool call.

    `tool_index` counts tool calls from 0; `tool_id` and `tool_name` come with the first piece of a
    call, `arguments` is a piece of its JSON text. `restarted` says that the attempt which gave the
    pieces before this one failed and another began: they are void. `lost` counts pieces that are
    missing just before this one: nobody has them any more, the job's result does. `position` is
    where this piece stands, for reading on after it; opaque.
    """

    text: str = ""
    reasoning: str = ""
    tool_index: int | None = None
    tool_id: str | None = None
    tool_name: str | None = None
    arguments: str = ""
    restarted: bool = False
    lost: int = 0
    position: str = ""

    def sparse(self) -> dict[str, Any]:
        """Its fields but for those that say nothing; `Delta(**fields)` gives it back."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
