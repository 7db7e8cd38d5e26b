"""Names of functions on the Gemini wire, where they must begin with a letter or an underscore.

Source: https://ai.google.dev/api/caching#FunctionDeclaration (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_schemas.messages import Tool
from penstock_worker.providers.tool_wire import wire_name


def gemini_name(name: str) -> str:
    """The name under which a tool travels: its own where this wire takes it, else an alias."""
    taken = wire_name(name)
    return taken if taken[0].isalpha() or taken[0] == "_" else wire_name(f"_{name}")


def own_gemini_name(name: str, tools: Iterable[Tool]) -> str:
    """The caller's name of a tool that was called by its wire name; a stranger's stays as it is."""
    return next((tool.name for tool in tools if gemini_name(tool.name) == name), name)
