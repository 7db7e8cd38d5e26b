"""What OpenAI's own models refuse on the Chat Completions wire, each by its name.

Read by `openai` for the prefixes `openai` and `azure`. The rules about the Responses wire hold for
`openai` alone: Azure names its deployments freely and words these refusals otherwise.
Source: https://github.com/n8n-io/n8n/issues/18352,
https://github.com/GoogleChromeLabs/webmcp-tools/issues/417 and
https://github.com/pipecat-ai/pipecat/issues/4043 (2026-11-21)
"""

from __future__ import annotations

import re
from typing import Any

from penstock_worker.simulator.request import JsonObject, Refusal, invalid, is_array

_MOST_STOPS = 4
_REASONING = re.compile(r"^(?:o\d|gpt-5)")
#: Models that answer on the Responses wire alone.
_RESPONSES_ONLY = re.compile(r"-pro(?:-20|$)|codex|deep-research")
#: Models that take tools on Chat only while they do not reason: the older ones do not unless asked.
_TOOLS_UNREASONED = re.compile(r"^gpt-(?:5\.[4-9]|[6-9])")
_RESTS_UNASKED = re.compile(r"^gpt-5\.[45]")


def check_own(body: JsonObject, model: str, provider: str) -> None:
    """Raise the refusal of what this model does not take; `provider` is the prefix."""
    if provider == "openai":
        _check_wire(body, model)
    stop: Any = body.get("stop")
    if is_array(stop) and len(stop) > _MOST_STOPS:
        raise invalid(
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}.",
            param="stop",
            code="array_above_max_length",
        )
    if _REASONING.match(model):
        _check_reasoning(body)


def _check_wire(body: JsonObject, model: str) -> None:
    if _RESPONSES_ONLY.search(model):
        raise Refusal(
            404,
            "invalid_request",
            "This model is only supported in v1/responses and not in v1/chat/completions.",
            param="model",
        )
    if not body.get("tools") or not _TOOLS_UNREASONED.match(model):
        return
    rests = _RESTS_UNASKED.match(model)
    effort = body.get("reasoning_effort") or ("none" if rests else "medium")
    if effort != "none":
        way_out = (
            "Please use /v1/responses instead."
            if rests
            else "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )
        raise invalid(
            f"Function tools with reasoning_effort are not supported for {model} in"
            f" /v1/chat/completions. {way_out}",
            param="reasoning_effort",
        )


def _check_reasoning(body: JsonObject) -> None:
    if body.get("max_tokens") is not None:
        raise invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
            " 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature", 1) not in (1, None):
        raise invalid(
            "Unsupported value: 'temperature' does not support this value with this model. Only"
            " the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
