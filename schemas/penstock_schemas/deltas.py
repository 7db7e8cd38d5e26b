"""Pieces of a streamed answer, as they travel from a provider's wire to whoever reads along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed answer, in order: text, reasoning, or a piece of one tool call.

    `tool_index` counts tool calls from 0; `tool_id` and `tool_name` come with the first piece of a
    call, `arguments` is a piece of its JSON text. `restarted` says that an attempt failed and
    another begins: what came before is void.
    """

    text: str = ""
    reasoning: str = ""
    tool_index: int | None = None
    tool_id: str | None = None
    tool_name: str | None = None
    arguments: str = ""
    restarted: bool = False
