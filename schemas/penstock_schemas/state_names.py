"""How models write states: by their public names."""

from __future__ import annotations

from pydantic import PlainSerializer

from penstock_schemas.status import State


def _label(value: State) -> str:
    return value.label


BY_NAME = PlainSerializer(_label, return_type=str, when_used="json")
