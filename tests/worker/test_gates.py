"""Gates in words: what people are told a job waits for."""

from __future__ import annotations

import pytest

from penstock_client.gates import described


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (
            "b:group:platform/gpt-4o|requests/60000|i",
            "the limit of requests a minute of group:platform/gpt-4o",
        ),
        (
            "b:model:m|input_tokens/86400000|b",
            "the limit of input tokens a day of model:m",
        ),
        ("b:provider|concurrency/0|b", "the limit of calls at the same time of the whole provider"),
        ("b:tag:t|tokens/10000|i", "the limit of tokens in 10 s of tag:t"),
        ("b:start:platform/gpt-4o|i", "the slow start of platform/gpt-4o"),
        ("gate:model:gpt-4o", "the breaker of gpt-4o, which is open"),
        ("gate:credential:platform", "credential platform, which is shut"),
        ("gate:access:platform/gpt-4o", "access platform/gpt-4o, which is shut"),
        ("pause:workspace:acme", "a pause of workspace:acme"),
    ],
)
def test_gate_is_described(gate: str, words: str) -> None:
    assert described(gate) == words
