"""Reading the simulator's raw answers by an SDK's own types, without the leniency of the SDK.

The SDKs build their objects from whatever comes; here the bytes that came are validated: every
required field, no coercion, no null where the type has none, and no field that the type lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter

Kind = TypeVar("Kind")


#: Sent by the real OpenAI with every response, though its SDK's type does not list it.
_UNLISTED = frozenset({"$.store", "$.response.store"})


def strictly(kind: type[Kind] | Any, raw: bytes) -> Kind:
    """The JSON text as `kind`; fails the test where the type would not have it."""
    value = TypeAdapter(kind).validate_json(raw, strict=True)
    unknown = [path for path in _unknown(value, orjson.loads(raw), "$") if path not in _UNLISTED]
    assert unknown == [], f"fields that {kind} does not have: {unknown}"
    return value


def _unknown(value: Any, raw: Any, where: str) -> Iterator[str]:
    if isinstance(value, BaseModel) and isinstance(raw, dict):
        names = {
            name: key
            for key, info in type(value).model_fields.items()
            for name in (info.alias or key, key)
        }
        # Mistral's types say so where more fields than the listed ones are part of the contract.
        is_open = hasattr(type(value), "additional_properties")
        for name, child in raw.items():
            if name in names:
                yield from _unknown(getattr(value, names[name]), child, f"{where}.{name}")
            elif not is_open:
                yield f"{where}.{name}"
    elif isinstance(value, list) and isinstance(raw, list):
        for index, (item, child) in enumerate(zip(value, raw, strict=True)):
            yield from _unknown(item, child, f"{where}[{index}]")
