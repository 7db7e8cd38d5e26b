"""Reasoning on the Chat Completions wire: its many fields read, replayed, and asked for.

The wire itself has none; every provider has added its own. What differs is data in the tables
here. Read by `openai_answers` and `openai_stream`, written by `openai_messages`.
Source: https://api-docs.deepseek.com/guides/thinking_mode (2026-11-21)
Source: https://openrouter.ai/docs/use-cases/reasoning-tokens (2026-11-21)
"""

from __future__ import annotations

from typing import Literal

import orjson

from penstock_schemas.jobs import Effort, TextJob
from penstock_schemas.messages import AssistantMessage, ReasoningPart
from penstock_worker.providers.openai_responses_effort import nearest_effort
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import (
    Object,
    as_list,
    as_object,
    as_text,
    content_text,
    dump,
    is_list,
    is_object,
)
from penstock_worker.providers.requests import lacks

ReasoningField = Literal["reasoning_content", "reasoning"]

#: Provider -> the field in which it wants earlier reasoning back. The rest gets none.
_REPLAYED_IN: dict[str, ReasoningField] = {
    "deepseek": "reasoning_content",
    "moonshot": "reasoning_content",
    "zai": "reasoning_content",
    "fireworks": "reasoning_content",
    "vllm": "reasoning",
    "ollama": "reasoning",
    "lmstudio": "reasoning",
    "groq": "reasoning",
    "cerebras": "reasoning",
    "openrouter": "reasoning",
    "nvidia": "reasoning_content",
    "openai_compatible": "reasoning_content",
}

#: Providers whose models refuse a turn that called tools without its reasoning, even an empty one.
#: They ignore or refuse the reasoning of other turns.
_NEEDED_ON_TOOL_TURNS = frozenset({"deepseek", "moonshot"})

#: Providers that turn reasoning on and off by an object `thinking`; whether they know degrees too.
#: Source: https://docs.z.ai/api-reference/llm/chat-completion (2026-11-21)
_SWITCHED = {"deepseek": True, "zai": True, "moonshot": False}
#: Providers that know the efforts of OpenAI's own models.
_OWN = frozenset({"openai", "azure"})
_TEXT_KEYS = ("text", "summary")
_MARK_KEYS = ("signature", "data", "format", "id")


def reasoning_text(message: Object) -> str:
    """The readable reasoning of a message or of a piece of one."""
    stated = as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))
    if stated:
        return stated
    if details := as_list(message.get("reasoning_details")):
        rows = map(as_object, details)
        told = "".join(as_text(row.get("text")) or as_text(row.get("summary")) for row in rows)
        if told:
            return told
    content = message.get("content")
    return "".join(map(_thought_in, content)) if is_list(content) else ""


def reasoning_parts(call: Call, message: Object) -> tuple[ReasoningPart, ...]:
    """The reasoning of a message as Penstock keeps it.

    A provider's `reasoning_details` are kept one by one, each as it came in `data`.
    """
    provider = call.provider.name
    details = [detail for detail in as_list(message.get("reasoning_details")) if is_object(detail)]
    if details:
        return tuple(
            ReasoningPart(
                provider=provider,
                text=as_text(detail.get("text")) or as_text(detail.get("summary")),
                data=dump(detail).decode(),
            )
            for detail in details
        )
    text = reasoning_text(message)
    return (ReasoningPart(provider=provider, text=text),) if text else ()


def replayed(call: Call, message: AssistantMessage, warnings: list[str]) -> Object:
    """The fields that give a provider its own earlier reasoning back, word for word."""
    provider = call.provider.name
    own = [part for part in message.reasoning if part.provider == provider]
    field = _REPLAYED_IN.get(provider)
    if len(own) < len(message.reasoning) or (own and field is None):
        warnings.append("messages: left out earlier reasoning that this provider cannot read")
    if field is None:
        return {}
    if provider in _NEEDED_ON_TOOL_TURNS:
        thinks = "reasoning" in call.model.capabilities
        needed = bool(message.tool_calls) and (thinks or bool(own))
        return {field: "".join(part.text for part in own)} if needed else {}
    details = [detail for part in own if (detail := _detail_of(part))]
    if details:
        return {"reasoning_details": details}
    text = "".join(part.text for part in own)
    return {field: text} if text else {}


def effort_fields(call: Call, job: TextJob, warnings: list[str]) -> Object:
    """The fields that ask for so much reasoning; none where the model does not reason."""
    effort, provider = job.effort, call.provider.name
    if effort is None:
        return {}
    if "reasoning" not in call.model.capabilities or lacks(call, "effort"):
        if effort != "none":
            warnings.append(f"effort: not sent, {call.model.ref} does not take it")
        return {}
    if provider in _SWITCHED:
        return _switch(call, effort, warnings)
    if provider in _OWN:
        nearest = nearest_effort(call.model.name, effort)
        if nearest != effort:
            warnings.append(f"effort: sent as {nearest} instead of {effort}, the nearest it takes")
        return {"reasoning_effort": nearest}
    return {"reasoning_effort": "low" if effort == "minimal" else effort}


def _switch(call: Call, effort: Effort, warnings: list[str]) -> Object:
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if _SWITCHED[call.provider.name]:
        degree = "low" if effort == "minimal" else effort
        return {"thinking": {"type": "enabled"}, "reasoning_effort": degree}
    warnings.append(f"effort: {call.model.ref} thinks or does not, it knows no degrees")
    return {"thinking": {"type": "enabled"}}


class DetailPieces:
    """Joins the pieces of streamed `reasoning_details` by their type and index."""

    def __init__(self) -> None:
        self._details: dict[tuple[object, object], Object] = {}

    def add(self, rows: object) -> None:
        """Take the rows of one chunk."""
        for row in map(as_object, as_list(rows)):
            if not row:
                continue
            key = (as_text(row.get("type")), dump(row.get("index")))
            if key not in self._details:
                self._details[key] = dict(row)
                continue
            known = self._details[key]
            for name in _TEXT_KEYS:
                if piece := as_text(row.get(name)):
                    known[name] = as_text(known.get(name)) + piece
            known.update({name: row[name] for name in _MARK_KEYS if row.get(name)})

    def joined(self) -> list[Object]:
        """The whole details, in the order in which they began."""
        return list(self._details.values())


def _thought_in(part: object) -> str:
    """The reasoning in one part of a list content (Mistral `thinking`, Databricks `reasoning`)."""
    fields = as_object(part)
    if fields.get("type") == "thinking":
        return content_text(fields.get("thinking"))
    if fields.get("type") != "reasoning":
        return ""
    return "".join(as_text(as_object(row).get("text")) for row in as_list(fields.get("summary")))


def _detail_of(part: ReasoningPart) -> Object:
    try:
        return as_object(orjson.loads(part.data or "null"))
    except orjson.JSONDecodeError:
        return {}
