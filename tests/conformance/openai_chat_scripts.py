"""Simulated Chat Completions answers for the cases that the simulator does not give by itself."""

from __future__ import annotations

from typing import Any

from tests.conformance.scripted import Script
from tests.providers.streams import chunk, sse

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 30,
    "total_tokens": 130,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


def _script(message: dict[str, Any], deltas: list[dict[str, Any]], finish: str) -> Script:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    ending = [chunk(finish=finish), {"choices": [], "usage": USAGE}]
    return Script({"choices": [choice], "usage": USAGE}, sse(*map(chunk, deltas), *ending))


def _call(index: int, arguments: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": f"call_{index}", "type": "function", "function": function}


def _start(index: int) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **_call(index, "")}]}


def _more(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


SCRIPTS = {
    "refusal": _script(
        {"content": None, "refusal": "I will not."},
        [{"refusal": "I will "}, {"refusal": "not."}],
        "stop",
    ),
    "filtered": _script({"content": "half"}, [{"content": "half"}], "content_filter"),
    "thought": _script(
        {"content": "4", "reasoning_content": "2 and 2"},
        [{"reasoning_content": "2 and"}, {"reasoning_content": " 2"}, {"content": "4"}],
        "stop",
    ),
    "two_calls": _script(
        {"content": None, "tool_calls": [_call(0, '{"city":"Oslo"}'), _call(1, '{"city":"Rome"}')]},
        [
            _start(0),
            _more(0, '{"city":'),
            _start(1),
            _more(0, '"Oslo"}'),
            _more(1, '{"city":"Rome"}'),
        ],
        "tool_calls",
    ),
}
