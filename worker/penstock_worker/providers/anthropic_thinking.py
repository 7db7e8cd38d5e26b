"""Thinking on the Messages wire: how a job's effort is asked for, and when it cannot be.

Read by `anthropic` when it builds a request. Older models take a budget of tokens, newer ones an
effort, and the newest cannot stop thinking, or only before they answer; which model takes what is
data here.
Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (2026-11-21)
Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking (2026-11-21)
Source: https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5 (2026-11-21)
Source: https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5 (2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from penstock_schemas.jobs import Effort, TextJob
from penstock_schemas.messages import AssistantMessage, Message, ReasoningPart
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import lacks

Mode = Literal["always", "between_tools", "adaptive", "budget"]

#: Pattern of a model's name -> how it thinks; the first that fits counts.
_MODES: tuple[tuple[re.Pattern[str], Mode], ...] = (
    (re.compile(r"claude-sonnet-5-5"), "between_tools"),
    (re.compile(r"claude-(fable-|[a-z]+-5-[5-9])"), "always"),
    (re.compile(r"claude-[a-z]+-(4-[6-9]\b|[5-9])"), "adaptive"),
    (re.compile(r""), "budget"),
)
_BUDGETS_TOKENS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 4096,
    "medium": 10_240,
    "high": 20_480,
}
_LEAST_BUDGET_TOKENS = 1024
_EFFORTS: dict[Effort, str] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


@dataclass(frozen=True, slots=True)
class Thinking:
    """What to send so that the model thinks as hard as asked.

    `is_on` says that the rules for requests with thinking hold: no forced tool, no sampling.
    `budget_tokens` counts towards `max_tokens`.
    """

    fields: Object = field(default_factory=dict[str, object])
    effort: str | None = None
    is_on: bool = False
    budget_tokens: int = 0


_NOT_ASKED = Thinking()


def thinking_of(
    call: Call, job: TextJob, messages: Sequence[Message], warnings: list[str]
) -> Thinking:
    """How to ask for the job's effort; what cannot be had is left out with a warning."""
    effort = job.effort
    if effort is None:
        return _NOT_ASKED
    if "reasoning" not in call.model.capabilities or lacks(call, "effort"):
        if effort != "none":
            warnings.append(f"effort: not sent, {call.model.ref} does not take it")
        return _NOT_ASKED
    mode = _mode_of(call.model.name)
    if mode == "between_tools" and effort == "none":
        return Thinking({"thinking": {"type": "between_tools"}}, is_on=True)
    if mode in ("always", "between_tools"):
        if effort == "none":
            warnings.append("effort: sent as low, this model always thinks")
        return Thinking({"thinking": {"type": "adaptive"}}, _EFFORTS[effort], is_on=True)
    if effort == "none":
        return Thinking({"thinking": {"type": "disabled"}}) if mode == "adaptive" else _NOT_ASKED
    if reason := _hindrance(call, messages, mode):
        warnings.append(f"effort: not sent, {reason}")
        return _NOT_ASKED
    if mode == "adaptive":
        return Thinking({"thinking": {"type": "adaptive"}}, _EFFORTS[effort], is_on=True)
    return _with_budget(call, job, effort, warnings)


def own_reasoning(call: Call, message: AssistantMessage) -> list[ReasoningPart]:
    """The reasoning that this provider signed: only that may be sent back to it."""
    return [
        part
        for part in message.reasoning
        if part.provider == call.provider.name and (part.signature or part.data)
    ]


def _with_budget(call: Call, job: TextJob, effort: Effort, warnings: list[str]) -> Thinking:
    budget = _BUDGETS_TOKENS[effort]
    asked = call.max_tokens or job.max_tokens or call.model.max_output_tokens
    if asked is not None:
        budget = min(budget, asked * 3 // 4)
    if budget < _LEAST_BUDGET_TOKENS:
        warnings.append("effort: not sent, max_tokens leaves no room for thinking")
        return _NOT_ASKED
    wanted: Object = {"type": "enabled", "budget_tokens": budget}
    return Thinking({"thinking": wanted}, is_on=True, budget_tokens=budget)


def _hindrance(call: Call, messages: Sequence[Message], mode: Mode) -> str:
    """Why this conversation cannot go on with thinking; empty where it can."""
    if messages and isinstance(messages[-1], AssistantMessage):
        return "an answer that was begun cannot be continued with thinking"
    said = [message for message in messages if isinstance(message, AssistantMessage)]
    if mode == "budget" and said and said[-1].tool_calls and not own_reasoning(call, said[-1]):
        return "the tool calls before were made without this provider's thinking"
    return ""


@lru_cache(maxsize=256)
def _mode_of(name: str) -> Mode:
    return next(mode for pattern, mode in _MODES if pattern.match(name))
