"""The wires under test: one row each. A new wire joins the suite by a row here.

`scripts` are simulated answers that the simulator does not give by itself, as its body and as the
body of its stream. A row scripts every case, or says in `never` that its provider cannot give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest

from penstock_schemas.catalog import Wire, catalog
from tests.conformance import (
    anthropic_scripts,
    gemini_scripts,
    openai_chat_scripts,
    responses_scripts,
)
from tests.conformance.scripted import Script

#: The cases that are scripted.
CASES = frozenset({"two_calls", "refusal", "filtered", "paused", "thought"})


@dataclass(frozen=True, slots=True)
class WireRow:
    """A wire, a model that is spoken to through it, and what its provider has no place for."""

    name: Wire
    model: str
    thinker: str
    scripts: Mapping[str, Script] = field(default_factory=dict[str, Script])
    never: frozenset[str] = frozenset()
    refuses_stop: bool = False
    effort_is_in: tuple[str, ...] = ()


ROWS: tuple[WireRow, ...] = (
    WireRow(
        "openai_chat",
        "openai/gpt-4o-mini",
        "openai/gpt-5-mini",
        openai_chat_scripts.SCRIPTS,
        never=frozenset({"paused"}),
        effort_is_in=("reasoning_effort",),
    ),
    WireRow(
        "openai_responses",
        "openai/gpt-6-sol",
        "openai/gpt-6-sol",
        responses_scripts.SCRIPTS,
        never=frozenset({"paused"}),
        refuses_stop=True,
        effort_is_in=("reasoning", "effort"),
    ),
    WireRow(
        "anthropic",
        "anthropic/claude-haiku-4-5-20251001",
        "anthropic/claude-haiku-4-5-20251001",
        anthropic_scripts.SCRIPTS,
        never=frozenset({"filtered"}),  # its stop reasons know a refusal only
        effort_is_in=("thinking", "budget_tokens"),
    ),
    WireRow(
        "gemini",
        "google/gemini-2.5-flash",
        "google/gemini-2.5-flash",
        gemini_scripts.SCRIPTS,
        never=frozenset({"paused", "refusal"}),  # a refusal is plain text here
        effort_is_in=("generationConfig", "thinkingConfig"),
    ),
)


def scripted(*names: str) -> pytest.MarkDecorator:
    """Gives a test each of these cases as `name`, on the wires where it can come up at all."""
    pairs = [(row, name) for name in names for row in ROWS if name not in row.never]
    ids = [f"{row.name}-{name}" for row, name in pairs]
    return pytest.mark.parametrize(("row", "name"), pairs, ids=ids, indirect=["row"])


def spoken(row: WireRow) -> bool:
    """Whether a model of the row goes through the wire that the row is for."""
    model = catalog().resolve(row.model)
    return (model.wire or catalog().provider(model.provider).wire) == row.name


def missing() -> set[str]:
    """Wires of the catalogue that no row covers."""
    return {str(wire) for wire in get_args(Wire)} - {row.name for row in ROWS}


def at(body: Any, path: tuple[str, ...]) -> Any:
    """What stands in a request's body at a path, or None."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body
