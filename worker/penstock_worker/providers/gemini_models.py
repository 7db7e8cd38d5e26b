"""What differs between the models and servers of the Gemini wire, as data.

Read by the other `gemini` modules: which fields a model takes, in which words it wants its effort,
and what Vertex AI refuses that the Gemini API takes.
Source: https://ai.google.dev/gemini-api/docs/thinking (2026-11-21)
Source: https://ai.google.dev/gemini-api/docs/thought-signatures (2026-11-21)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import httpx

from penstock_schemas.jobs import Effort
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.requests import lacks

#: The tag on reasoning and signatures of this wire; others strip what carries it.
SIGNER = "google"
#: Stands for the signature of a call that another provider's model made.
SKIP_SIGNATURE = "skip_thought_signature_validator"

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_ALIAS = re.compile(r"gemini-(?:pro|flash|flash-lite)-latest$")
#: What the aliases without a version stand for.
_LATEST = (3, 0)
_VERTEX = "aiplatform.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a model takes.

    `thinks_by` is how it is told its effort, None for a model that does not think; `efforts` are
    its own values by Penstock's words, a missing one is not to be had and `least` goes instead.
    `signs_calls` marks models that refuse unsigned calls, take the results of calls apart from
    other parts only, and show images inside them. `penalties` is false where they are refused.
    """

    json_schema: bool = True
    schema_beside_tools: bool = False
    signs_calls: bool = False
    penalties: bool = False
    thinks_by: Literal["budget", "level"] | None = None
    efforts: dict[Effort, int | str]
    least: int | str = 0


_BUDGETS: dict[Effort, int | str] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
}
_LEVELS: dict[Effort, int | str] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


@lru_cache(maxsize=256)
def profile_of(wire_id: str) -> Profile:
    """The profile of a model by its ID on the wire; a `-latest` name counts as new."""
    name = wire_id.rpartition("/")[2].lower()
    version = _version(name)
    pro = "-pro" in name
    if version >= (3, 0):
        levels = _without("minimal", _LEVELS) if pro else _LEVELS
        return Profile(
            schema_beside_tools=True,
            signs_calls=True,
            thinks_by="level",
            efforts=levels,
            least="low" if pro else "minimal",
        )
    if version >= (2, 5):
        budgets = _without("none", _BUDGETS) if pro else _BUDGETS
        return Profile(thinks_by="budget", efforts=budgets, least=128 if pro else 0)
    return Profile(json_schema=False, penalties=True, efforts={})


def is_vertex(call: Call) -> bool:
    """Whether a call goes to Vertex AI instead of the Gemini API."""
    return _is_vertex(call.base_url)


@lru_cache(maxsize=64)
def _is_vertex(base_url: str) -> bool:
    host = httpx.URL(base_url).host
    return host == _VERTEX or host.endswith((f"-{_VERTEX}", f".{_VERTEX}"))


def takes_call_ids(call: Call) -> bool:
    """Whether calls and their results may carry an ID: the Gemini API takes it, Vertex does not."""
    return not (lacks(call, "tool_call_ids") or is_vertex(call))


def _without(missing: Effort, efforts: dict[Effort, int | str]) -> dict[Effort, int | str]:
    return {effort: value for effort, value in efforts.items() if effort != missing}


def _version(name: str) -> tuple[int, int]:
    if _ALIAS.fullmatch(name):
        return _LATEST
    found = _VERSION.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (2, 0)
