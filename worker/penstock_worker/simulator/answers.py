"""What the simulated model says: computed from the prompt, the same every time.

In this order: a tool that must be called, a schema, the results of tools already called, a tool
that fits, a fixed reply, labels in the prompt, and last the key sentences of the text.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

from .filling import filler
from .leaves import EnumNode
from .passage import Passage, subject_of
from .prompts import keys_in, labels_in, literal_in, schema_in
from .request import (
    CHARACTERS_PER_TOKEN,
    Finish,
    JsonObject,
    SimAnswer,
    SimRequest,
    SimTool,
    SimToolCall,
    SimUsage,
    invalid,
    tokens_of,
)
from .words import name_stems, stems

_LONGEST_QUOTE = 600
_ENOUGH_SHARED_WORDS = 2


def answer(request: SimRequest, usage: SimUsage, *, break_schema: bool = False) -> SimAnswer:
    """The answer to a request whose input usage is known; raises `Refusal` on a bad schema.

    `break_schema` replaces structured output by JSON of the wrong shape.
    """
    calls = tuple(
        _call(request, tool, break_schema=break_schema) for tool in _tools_to_call(request)
    )
    if calls:
        text, finish = "", "tool_calls"
    else:
        schema = _schema_wanted(request)
        if schema is not None:
            text = _broken() if break_schema else _filled(schema, _passage(request))
        else:
            text = _free_text(request)
        finish = "stop"
    return _cut(request, usage, text, calls, finish)


def _call(request: SimRequest, tool: SimTool, *, break_schema: bool) -> SimToolCall:
    arguments = _broken() if break_schema else _filled(tool.schema, _passage(request))
    identity = f"call_sim{crc32((request.prompt + tool.name).encode(errors='replace')):08x}"
    return SimToolCall(identity, tool.name, arguments)


def _passage(request: SimRequest) -> Passage:
    return Passage(subject_of(request.user_text))


def _broken() -> str:
    return '{"simulated_violation":[null,{"value":"not what the schema asked for"}]}'


def _filled(schema: JsonObject, passage: Passage) -> str:
    try:
        value: Any = filler(schema).fill(passage, 0)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise invalid(f"Invalid schema: {type(error).__name__}: {error}") from error
    return orjson.dumps(value).decode()


def _schema_wanted(request: SimRequest) -> JsonObject | None:
    if request.schema is not None or not request.json_mode:
        return request.schema
    for text in (request.system, request.user_text):
        if text and (schema := schema_in(text)):
            return schema
    names = keys_in(request.system) or keys_in(request.user_text) or ("answer",)
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(names)}


def _tools_to_call(request: SimRequest) -> list[SimTool]:
    if not request.tools:
        return []
    if request.forced_tool is not None:
        return [t for t in request.tools if t.name == request.forced_tool][:1]
    best = max(request.tools, key=lambda tool: _fit(request, tool))
    if not request.must_call:
        named, shared = _fit(request, best)
        if request.schema is not None or request.tool_results:
            return []
        if not named or shared < _ENOUGH_SHARED_WORDS:
            return []
    return _and_more(request, best) if request.parallel else [best]


def _and_more(request: SimRequest, best: SimTool) -> list[SimTool]:
    """The best tool, and those that the text names by words of their own, as they were offered."""
    chosen, said = [best], set(stems(request.user_text))
    for tool in sorted(request.tools, key=lambda tool: _fit(request, tool), reverse=True):
        known = {word for other in chosen for word in name_stems(other.name)}
        own = said & (name_stems(tool.name) - known)
        if own and _fit(request, tool)[1] >= _ENOUGH_SHARED_WORDS:
            chosen.append(tool)
    return [tool for tool in request.tools if tool in chosen]


def _fit(request: SimRequest, tool: SimTool) -> tuple[int, int]:
    text = set(stems(request.user_text))
    named = len(text & name_stems(tool.name))
    return named, named + len(text & set(stems(tool.description)))


def _free_text(request: SimRequest) -> str:
    if request.tool_results:
        return "Result: " + "; ".join(request.tool_results)[:_LONGEST_QUOTE]
    literal = literal_in(request.user_text)
    if literal is not None:
        return literal
    for text in (request.system, request.user_text):
        if ":" in text and (labels := labels_in(text)):
            return str(EnumNode(list(labels)).fill(_passage(request), 0))
    return _key_sentences(request)


def _key_sentences(request: SimRequest) -> str:
    passage = _passage(request)
    sentences = [s for s in passage.sentences if s]
    if not sentences:
        return "There is nothing to answer."
    if len(sentences) == 1:
        return f"In short: {sentences[0][:_LONGEST_QUOTE]}"
    question = next((s for s in sentences if s.endswith("?")), None)
    others = [s for s in sentences if s is not question] or sentences
    about = frozenset(stems(question or request.user_text[:200]))
    ranked = sorted(others[:200], key=lambda s: -len(about.intersection(stems(s))))
    kept = [s for s in others if s in ranked[:2]][:2]
    return ("In short: " + " ".join(kept))[:_LONGEST_QUOTE]


def _cut(
    request: SimRequest,
    usage: SimUsage,
    text: str,
    calls: tuple[SimToolCall, ...],
    finish: Finish,
) -> SimAnswer:
    """Stop sequences and `max_tokens` applied, output tokens counted."""
    stopped_by: str | None = None
    for stop in request.stop:
        at = text.find(stop) if stop else -1
        if at >= 0:
            text, finish, stopped_by = text[:at], "stop_sequence", stop
    if request.max_tokens is not None:
        most = request.max_tokens * CHARACTERS_PER_TOKEN
        if len(text) > most:
            text, finish, stopped_by = text[:most], "length", None
        elif sum(len(call.arguments) for call in calls) > most:
            calls, finish = _cut_calls(calls, most), "length"
    written = len(text) + sum(len(c.name) + len(c.arguments) for c in calls)
    spent = SimUsage(
        usage.input_tokens,
        max(1, tokens_of(written)),
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    )
    return SimAnswer(text, finish, spent, calls, stopped_by)


def _cut_calls(calls: tuple[SimToolCall, ...], most: int) -> tuple[SimToolCall, ...]:
    """The calls up to so many characters of arguments; what comes after the cut was never said."""
    kept: list[SimToolCall] = []
    for call in calls:
        if most > 0:
            kept.append(SimToolCall(call.id, call.name, call.arguments[:most]))
        most -= len(call.arguments)
    return tuple(kept)
