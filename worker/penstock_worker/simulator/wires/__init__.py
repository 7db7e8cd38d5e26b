"""The registry of wires: which one a provider speaks."""

from __future__ import annotations

from .anthropic import ANTHROPIC
from .openai import OPENAI
from .wire import Wire

_WIRES: dict[str, Wire] = {"anthropic": ANTHROPIC}


def wire_of(provider: str) -> Wire:
    """The wire of a provider; every provider without one of its own speaks OpenAI's."""
    return _WIRES.get(provider, OPENAI)
