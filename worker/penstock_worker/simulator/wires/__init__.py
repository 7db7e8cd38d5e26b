"""The registry of wires: which one a provider speaks at an address."""

from __future__ import annotations

from .anthropic import ANTHROPIC
from .gemini import GEMINI
from .mistral import MISTRAL
from .openai import OPENAI
from .responses import RESPONSES, speaks
from .wire import Wire

_WIRES: dict[str, Wire] = {"anthropic": ANTHROPIC, "google": GEMINI, "mistral": MISTRAL}


def wire_of(provider: str, path: str = "") -> Wire:
    """The wire of a provider; those without one of their own speak both of OpenAI's, by path."""
    return _WIRES.get(provider) or (RESPONSES if speaks(path) else OPENAI)
