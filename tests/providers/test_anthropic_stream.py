"""How streamed Messages answers are decoded."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.protocol import Answer, Delta
from penstock_worker.providers.registry import adapter_for
from penstock_worker.providers.tool_wire import OUTPUT_TOOL
from tests.providers.streams import arguments_of, decoded, named, text_of, thoughts_of
from tests.providers.wire_calls import (
    CLAUDE,
    CLAUDE_BY_TOOL,
    body_of,
    call_for,
    claude,
    generate,
    parsed,
    text_block,
)

JOB = generate(prompt="hello")


def start(**usage: int) -> dict[str, Any]:
    given = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": {"role": "assistant", "usage": given}}


def block(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind, **fields},
    }


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    return [block(index, "text", text=""), *(delta(index, "text_delta", text=p) for p in pieces)]


def tool(index: int, name: str, *pieces: str) -> list[dict[str, Any]]:
    opening = block(index, "tool_use", id=f"toolu_{index}", name=name, input={})
    return [opening, *(delta(index, "input_json_delta", partial_json=p) for p in pieces)]


def ending(stop: str = "end_turn", **usage: int) -> list[dict[str, Any]]:
    said = {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}
    return [said, {"type": "message_stop"}]


def read(*events: dict[str, Any], job: Any = JOB, ref: str = CLAUDE) -> tuple[Answer, list[Delta]]:
    return decoded(job, [named(*events)], ref)


def test_a_streamed_request_says_so() -> None:
    assert body_of(JOB, CLAUDE, stream=True)["stream"] is True
    assert "stream" not in body_of(JOB, CLAUDE)


def test_text_comes_in_pieces_and_equals_the_unstreamed_answer() -> None:
    answer, deltas = read(start(), *text(0, "hel", "lo"), *ending(output_tokens=4))
    assert [piece.text for piece in deltas] == ["hel", "lo"]
    assert answer == parsed(JOB, claude(text_block("hello")), CLAUDE)


def test_thinking_keeps_its_signature_and_redacted_blocks_their_data() -> None:
    answer, deltas = read(
        start(),
        block(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="h"),
        delta(0, "thinking_delta", thinking="m"),
        delta(0, "signature_delta", signature="sig"),
        block(1, "redacted_thinking", data="opaque"),
        *text(2, "4"),
        *ending(),
    )
    assert (thoughts_of(deltas), answer.text) == ("hm", "4")
    kept = [(part.text, part.signature, part.data) for part in answer.reasoning]
    assert kept == [("hm", "sig", None), ("", None, "opaque")]


def test_a_block_index_is_no_tool_index() -> None:
    answer, deltas = read(
        start(),
        *text(0, "I look."),
        *tool(1, "a", '{"x":', "1}"),
        *tool(2, "b", "{}"),
        *ending("tool_use"),
    )
    assert arguments_of(deltas) == {0: '{"x":1}', 1: "{}"}
    assert [(made.name, made.arguments) for made in answer.tool_calls] == [
        ("a", {"x": 1}),
        ("b", {}),
    ]
    assert answer.text == "I look."


@pytest.mark.parametrize("pieces", [(), ("",)])
def test_a_call_without_argument_pieces_has_an_empty_object(pieces: tuple[str, ...]) -> None:
    answer, _ = read(start(), *tool(0, "a", *pieces), *ending("tool_use"))
    assert answer.tool_calls[0].arguments == {}


def test_arguments_that_come_whole_with_the_start_are_kept() -> None:
    opening = block(0, "tool_use", id="t", name="a", input={"x": 1})
    closing = {"type": "content_block_stop", "index": 0}
    answer, deltas = read(start(), opening, closing, *ending("tool_use"))
    assert answer.tool_calls[0].arguments == {"x": 1}
    assert arguments_of(deltas) == {0: '{"x":1}'}


def test_a_start_that_comes_twice_is_one_block() -> None:
    opening, *rest = tool(0, "a", '{"x":1}')
    answer, deltas = read(start(), opening, opening, *rest, opening, *ending("tool_use"))
    assert [made.arguments for made in answer.tool_calls] == [{"x": 1}]
    assert sum(piece.tool_name is not None for piece in deltas) == 1


def test_a_forced_answer_is_streamed_as_text() -> None:
    job = generate(prompt="x", schema={"type": "object", "properties": {"n": {"type": "integer"}}})
    events = (start(), *tool(0, OUTPUT_TOOL, '{"n":', "1}"), *ending("tool_use"))
    answer, deltas = read(*events, job=job, ref=CLAUDE_BY_TOOL)
    assert (text_of(deltas), arguments_of(deltas)) == ('{"n":1}', {})
    assert (answer.output, answer.finish_reason) == ({"n": 1}, FinishReason.STOP)


def test_usage_is_set_and_never_added() -> None:
    first = start(cache_read_input_tokens=7, cache_creation_input_tokens=3)
    usage = read(first, *text(0, "a"), *ending(input_tokens=10, output_tokens=5))[0].usage
    assert (usage.input_tokens, usage.output_tokens) == (20, 5)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (7, 3)


def test_the_name_of_an_event_stands_in_for_its_type() -> None:
    events = [start(), *text(0, "a"), *ending()]
    lines = [
        b"event: %b\ndata: %b\n\n"
        % (e["type"].encode(), orjson.dumps({k: v for k, v in e.items() if k != "type"}))
        for e in events
    ]
    assert decoded(JOB, lines, CLAUDE)[0].text == "a"


def test_pings_and_unknown_events_are_nothing() -> None:
    ping, strange = {"type": "ping"}, {"type": "something_new", "index": 0}
    assert read(ping, start(), strange, *text(0, "a"), ping, *ending())[0].text == "a"


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
def test_a_stream_without_its_last_event_is_interrupted(kept: int) -> None:
    events = [start(), *text(0, "a" * 400), *ending(output_tokens=100)][:kept]
    with pytest.raises(ProviderError) as caught:
        read(*events)
    assert caught.value.kind is ErrorKind.INTERRUPTED
    assert caught.value.possibly_billed
    if kept >= 3:
        assert isinstance(caught.value, InvalidAnswer)
        assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (10, 100)


@pytest.mark.parametrize("before", [[], [start(), *text(0, "words")]])
def test_an_error_inside_the_stream_is_that_error(before: list[dict[str, Any]]) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(InvalidAnswer) as caught:
        read(*before, error)
    assert caught.value.kind is ErrorKind.OVERLOADED
    assert bool(caught.value.usage.input_tokens) is bool(before)


def test_a_refusal_is_paid() -> None:
    with pytest.raises(InvalidAnswer) as caught:
        read(start(), *text(0, "no"), *ending("refusal", output_tokens=4))
    assert (caught.value.kind, caught.value.usage.output_tokens) == (ErrorKind.REFUSAL, 4)


def test_a_paused_turn_is_not_an_end() -> None:
    answer, _ = read(start(), *text(0, "so far"), *ending("pause_turn"))
    assert answer.finish_reason is FinishReason.PAUSE


def test_answers_come_through_whichever_way_they_were_sent() -> None:
    body = orjson.dumps(claude(text_block("hello")))
    whole = parsed(JOB, body, CLAUDE)
    assert decoded(JOB, [body[:3], body[3:]], CLAUDE)[0] == whole
    call = call_for(JOB, CLAUDE)
    events = named(start(), *text(0, "hello"), *ending(output_tokens=4))
    assert adapter_for(call.provider).parse(call, httpx.Response(200, content=events)) == whole
