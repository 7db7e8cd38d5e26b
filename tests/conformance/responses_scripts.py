"""Simulated Responses answers for the cases that the simulator does not give by itself."""

from __future__ import annotations

from typing import Any

from tests.conformance.scripted import Script
from tests.providers.responses_wire import (
    called,
    events_of,
    refused,
    response,
    said,
    stream_of,
    thought,
)

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 130,
}


def _script(*items: dict[str, Any], **fields: Any) -> Script:
    body = response(*items, usage=USAGE, **fields)
    return Script(body, stream_of(*events_of(body)))


SCRIPTS = {
    "refusal": _script(refused("I will not.")),
    "filtered": _script(
        said("half", status="incomplete"),
        status="incomplete",
        incomplete_details={"reason": "content_filter"},
    ),
    "thought": _script(thought("2 and 2", encrypted_content="sealed"), said("4")),
    "two_calls": _script(
        thought(encrypted_content="sealed"),
        called("c1", '{"city":"Oslo"}'),
        called("c2", '{"city":"Rome"}'),
    ),
}
