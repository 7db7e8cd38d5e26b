"""Recorded real streams decode the same however they are cut, and never surprise.

The recordings are not part of the repository; without them there is nothing to check here.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.protocol import Answer
from penstock_worker.providers.registry import adapter_for
from tests.providers.streams import (
    arguments_of,
    decoded,
    outcome,
    recorded_answers,
    recorded_streams,
    text_of,
    thoughts_of,
)
from tests.providers.wire_calls import CLAUDE, GPT, call_for, generate

WIRES = {"openai-chat": GPT, "anthropic-messages": CLAUDE}
JOB = generate(prompt="hello")
#: Longer bodies are cut into pieces of a few bytes rather than single ones, to save time.
LONGEST_BYTEWISE = 30_000
LONGEST_SPLIT_EVERYWHERE = 1100


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("wire", WIRES)
def test_recorded_streams_read_the_same_however_cut(wire: str) -> None:
    for name, body, ref in recorded_streams(wire, WIRES[wire]):
        whole = outcome(JOB, [body], ref)
        size = 1 if len(body) <= LONGEST_BYTEWISE else 97
        assert outcome(JOB, pieces(body, size), ref) == whole, name


@pytest.mark.parametrize("wire", WIRES)
def test_recorded_streams_read_the_same_split_at_any_byte(wire: str) -> None:
    for name, body, ref in recorded_streams(wire, WIRES[wire]):
        if len(body) > LONGEST_SPLIT_EVERYWHERE:
            continue
        whole = outcome(JOB, [body], ref)
        for at in range(1, len(body)):
            assert outcome(JOB, [body[:at], body[at:]], ref) == whole, (name, at)


@pytest.mark.parametrize("wire", WIRES)
def test_recorded_streams_are_answers_whose_deltas_join_to_them(wire: str) -> None:
    for name, body, ref in recorded_streams(wire, WIRES[wire]):
        if b'"error":' in body:
            continue
        answer, deltas = decoded(JOB, [body], ref)
        assert answer.text or answer.tool_calls or answer.usage.output_tokens, name
        assert answer.usage.output_tokens > 0, name
        assert text_of(deltas) == (answer.text or ""), name
        assert thoughts_of(deltas) == "".join(part.text for part in answer.reasoning), name
        joined = [orjson.loads(said or b"{}") for said in arguments_of(deltas).values()]
        assert joined == [made.arguments for made in answer.tool_calls], name


def test_recorded_errors_inside_streams_are_errors() -> None:
    for name, body, ref in recorded_streams("openai-chat", GPT):
        if b'"error":' not in body:
            continue
        with pytest.raises(ProviderError) as caught:
            decoded(JOB, [body], ref)
        assert caught.value.kind is not ErrorKind.INTERRUPTED, name


@pytest.mark.parametrize("wire", WIRES)
def test_recorded_streams_that_break_off_are_no_short_successes(wire: str) -> None:
    for name, body, ref in recorded_streams(wire, WIRES[wire]):
        whole = outcome(JOB, [body], ref)
        events = body.split(b"\n\n")
        for kept in range(0, len(events), max(1, len(events) // 30)):
            cut = outcome(JOB, [b"\n\n".join(events[:kept])], ref)
            if isinstance(cut, Answer):
                if not isinstance(whole, Answer):  # the error came after the finish reason
                    continue
                assert (cut.text, cut.tool_calls) == (whole.text, whole.tool_calls), (name, kept)
            else:
                assert cut[0] is ErrorKind.INTERRUPTED or cut == whole, (name, kept, cut)


@pytest.mark.parametrize("wire", WIRES)
def test_recorded_streams_unasked_for_are_read_by_parse(wire: str) -> None:
    for name, body, ref in recorded_streams(wire, WIRES[wire]):
        call = call_for(JOB, ref)
        adapter = adapter_for(call.provider)
        whole = outcome(JOB, [body], ref)
        if isinstance(whole, Answer):
            assert adapter.parse(call, httpx.Response(200, content=body)) == whole, name


STRANGE: tuple[Any, ...] = (None, 0, -1, 1e300, "", "x", [], {}, [None], {"a": None}, True, [[]])


def mutated(value: Any, random: Random) -> Any:
    """`value` with one of its parts replaced by something that has no business there."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        return {**value, key: mutated(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], mutated(value[at], random), *value[at + 1 :]]
    return random.choice(STRANGE)


def disturbed(body: bytes, random: Random) -> bytes:
    lines = body.split(b"\n")
    where = [i for i, line in enumerate(lines) if line.startswith(b"data: {")]
    for at in random.sample(where, min(3, len(where))):
        data = orjson.loads(lines[at].removeprefix(b"data: "))
        lines[at] = b"data: " + orjson.dumps(mutated(data, random))
    return b"\n".join(lines)


@pytest.mark.parametrize("wire", WIRES)
def test_disturbed_streams_raise_nothing_but_provider_errors(wire: str) -> None:
    random = Random(36)
    for _, body, ref in recorded_streams(wire, WIRES[wire]):
        if len(body) > LONGEST_BYTEWISE:
            continue
        for _ in range(25):
            changed = disturbed(body, random)
            whole = outcome(JOB, [changed], ref)
            if len(changed) < 2000:
                assert outcome(JOB, pieces(changed, 7), ref) == whole


@pytest.mark.parametrize("wire", WIRES)
def test_disturbed_answers_raise_nothing_but_provider_errors(wire: str) -> None:
    random = Random(37)
    call = call_for(JOB, WIRES[wire])
    adapter = adapter_for(call.provider)
    for body in recorded_answers(wire):
        for _ in range(25):
            response = httpx.Response(200, content=orjson.dumps(mutated(body, random)))
            with suppress(ProviderError):
                assert isinstance(adapter.parse(call, response), Answer)
