"""What a wire is: a provider's shapes as pure functions, one module per wire.

`server` finds the wire of a provider in `wires.wire_of`, asks `route` what a path means, and then
parses and renders through these functions only. A new wire is one more `Wire` value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock_worker.simulator.caching import PromptCache
from penstock_worker.simulator.request import (
    JsonObject,
    Refusal,
    SimAnswer,
    SimEmbedding,
    SimRequest,
    SimUsage,
    invalid,
)

Operation = Literal["chat", "embed", "models"]
KEYLESS_PROVIDERS = frozenset(("lmstudio", "ollama", "vllm", "local"))
_REPAIR = re.compile(
    r"\b(?:schema|valid|invalid|json|previous (?:answer|reply|output))\b", re.IGNORECASE
)
_MODEL_IN_PATH = re.compile(r"/models/([^/:]+)(?::|%3[Aa])")


@dataclass(frozen=True, slots=True)
class WireCall:
    """One request as it came: the provider by prefix, path below the prefix, headers, JSON body."""

    provider: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """The pure functions of one wire. `parse_*` and `authorise` raise `Refusal`.

    `stream_chat` gives the events of a streamed answer, the last one terminal. `limit_charge`
        says how many tokens a request takes from a token limit before it is answered.
    """

    name: str
    route: Callable[[str, str], Operation | None]
    authorise: Callable[[str, Mapping[str, str]], None]
    parse_chat: Callable[[WireCall], SimRequest]
    input_usage: Callable[[PromptCache, str, SimRequest], SimUsage]
    limit_charge: Callable[[SimRequest], int]
    render_chat: Callable[[SimRequest, SimAnswer], bytes]
    stream_chat: Callable[[SimRequest, SimAnswer], list[bytes]]
    parse_embed: Callable[[WireCall], SimEmbedding] | None
    render_embed: Callable[[SimEmbedding, Sequence[list[float]], int], bytes] | None
    render_models: Callable[[str], bytes]
    render_error: Callable[[Refusal], bytes]
    canned: Mapping[Operation, bytes]
    request_id_header: str


def refuse_key(key: str | None, *, keyless: bool, missing: str, wrong: str) -> None:
    """Raise a 401 for a missing key (unless none is needed) or one named `bad-…`, `sk-bad…`."""
    if not key:
        if keyless:
            return
        raise Refusal(401, "authentication", missing)
    if key.startswith(("bad-", "sk-bad")):
        raise Refusal(401, "authentication", wrong, code="invalid_api_key")


def model_of(body: JsonObject) -> str:
    """The request's model; 400 when it is missing, 404 when it is named `no-such-…`."""
    model: Any = body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter", param="model")
    if model.rsplit("/", 1)[-1].startswith("no-such-"):
        raise Refusal(
            404,
            "not_found",
            f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
        )
    return model


def model_in(path: str) -> str | None:
    """The model that an address names (`…/models/NAME:method`), for wires that put it there."""
    found = _MODEL_IN_PATH.search(path)
    return found[1] if found else None


def positive(body: JsonObject, name: str) -> int | None:
    """An optional whole number of at least 1; 400 for anything else."""
    value: Any = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"{name}: must be an integer of at least 1", param=name)
    return value


def check_range(body: JsonObject, name: str, low: float, high: float) -> None:
    """400 unless the optional number lies within the bounds."""
    value: Any = body.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(f"{name}: must be a number between {low:g} and {high:g}", param=name)


def last_subject(user_texts: Sequence[str]) -> str:
    """The user turn to answer: the last one, or the one before a request to repair the format."""
    if not user_texts:
        return ""
    if len(user_texts) > 1 and _REPAIR.search(user_texts[-1]):
        return user_texts[-2]
    return user_texts[-1]
