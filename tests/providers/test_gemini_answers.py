"""Gemini's wire: how answers are read, whole and streamed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.gemini import GeminiContent
from penstock_worker.providers.gemini_names import gemini_name
from tests.providers.gemini_calls import (
    EMBEDDING,
    FLASH,
    THREE,
    WEATHER,
    events,
    followed,
    function_call,
    said,
    streamed,
    text,
)
from tests.providers.wire_calls import call_for, embed, generate, parsed

JOB = generate(prompt="hi", tools=[WEATHER])
PLAIN = generate(prompt="hi")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def failed(body: Any, job: Any = PLAIN) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        parsed(job, body, FLASH)
    return caught.value


def test_text_is_read() -> None:
    answer = parsed(PLAIN, said(text("Hello "), text("there.")), FLASH)
    assert (answer.text, answer.finish_reason) == ("Hello there.", FinishReason.STOP)


def test_thoughts_are_kept_apart_from_text() -> None:
    answer = parsed(PLAIN, said(text("hm", thought=True), text("Yes.")), FLASH)
    assert answer.text == "Yes."
    assert [(part.provider, part.text) for part in answer.reasoning] == [("google", "hm")]


def test_calls_finish_as_tool_calls_though_the_wire_says_stop() -> None:
    answer = parsed(JOB, said(function_call(id="x1", signature="c2ln")), THREE)
    (made,) = answer.tool_calls
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert (made.id, made.name, made.arguments) == ("x1", "weather", {"city": "Rome"})
    assert (made.signature, made.signed_by) == ("c2ln", "google")


def test_calls_without_ids_get_ids_of_their_own() -> None:
    answer = parsed(JOB, said(function_call(), function_call()), FLASH)
    assert len({made.id for made in answer.tool_calls}) == 2
    assert all(made.id for made in answer.tool_calls)


@pytest.mark.parametrize("called", [{"name": "weather"}, {"name": "weather", "args": None}])
def test_a_call_without_arguments_has_none(called: dict[str, Any]) -> None:
    answer = parsed(JOB, said({"functionCall": called}), FLASH)
    assert answer.tool_calls[0].arguments == {}


def test_a_truncated_answer_with_calls_is_length() -> None:
    answer = parsed(JOB, said(function_call(), finish="MAX_TOKENS"), FLASH)
    assert answer.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("name", ["2fast", "get weather", "ü" * 70])
def test_a_tool_comes_back_under_the_name_that_the_caller_gave_it(name: str) -> None:
    job = generate(prompt="hi", tools=[WEATHER | {"name": name}])
    answer = parsed(job, said(function_call(gemini_name(name))), FLASH)
    assert answer.tool_calls[0].name == name


def test_a_structured_answer_comes_through_the_answer_tool() -> None:
    job = generate(prompt="hi", schema=SCHEMA, tools=[WEATHER])
    part = {"functionCall": {"name": "penstock_record_answer", "args": {"a": 1}}}
    answer = parsed(job, said(part), FLASH)
    assert (answer.output, answer.finish_reason) == ({"a": 1}, FinishReason.STOP)
    assert answer.tool_calls == ()


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"thoughtsTokenCount": 30, "cachedContentTokenCount": 6, "totalTokenCount": 44},
            Usage(input_tokens=10, output_tokens=34, cache_read_tokens=6, reasoning_tokens=30),
        ),
        (
            {"toolUsePromptTokenCount": 5, "totalTokenCount": 19},
            Usage(input_tokens=15, output_tokens=4),
        ),
        (
            {"candidatesTokenCount": 34, "thoughtsTokenCount": 30, "totalTokenCount": 44},
            Usage(input_tokens=10, output_tokens=34, reasoning_tokens=30),
        ),
        (
            {"candidatesTokenCount": 0, "thoughtsTokenCount": 30, "totalTokenCount": 40},
            Usage(input_tokens=10, output_tokens=30, reasoning_tokens=30),
        ),
    ],
)
def test_usage_is_inclusive(counts: dict[str, int], usage: Usage) -> None:
    assert parsed(PLAIN, said(text("hi"), **counts), FLASH).usage == usage


def test_usage_is_estimated_where_there_is_none() -> None:
    body = said(text("hi")) | {"usageMetadata": None}
    assert parsed(PLAIN, body, FLASH).usage.estimated


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "SPII", 3])
def test_a_filtered_answer_is_an_error_with_its_usage(reason: Any) -> None:
    error = failed(said(finish=reason))
    assert error.kind is ErrorKind.CONTENT_FILTER
    assert isinstance(error, InvalidAnswer)
    assert error.usage.input_tokens == 10


def test_a_blocked_prompt_is_an_error_that_names_the_reason() -> None:
    error = failed({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    assert (error.kind, error.code) == (ErrorKind.CONTENT_FILTER, "PROHIBITED_CONTENT")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_went_wrong_may_be_tried_again(reason: str) -> None:
    body = said(finish=reason)
    body["candidates"][0]["finishMessage"] = "Malformed function call: weather(city"
    error = failed(body, JOB)
    assert (error.kind, error.code) == (ErrorKind.MALFORMED_ANSWER, reason)
    assert "weather(city" in error.message


@pytest.mark.parametrize("body", [{}, {"candidates": []}, said(finish="OTHER"), said(finish=None)])
def test_an_answer_with_nothing_in_it_is_malformed(body: dict[str, Any]) -> None:
    assert failed(body).kind is ErrorKind.MALFORMED_ANSWER


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'"x"', b"[1]"])
def test_a_body_that_is_no_answer_is_malformed(body: bytes) -> None:
    error = failed(body)
    assert (error.kind, error.possibly_billed) == (ErrorKind.MALFORMED_ANSWER, True)


def test_an_answer_that_says_nothing_carries_a_warning() -> None:
    assert parsed(PLAIN, said(), FLASH).warnings == ("answer: the model said nothing",)


def test_an_unknown_reason_to_stop_keeps_the_text() -> None:
    answer = parsed(PLAIN, said(text("hi"), finish="NOVEL"), FLASH)
    assert (answer.text, answer.finish_reason) == ("hi", FinishReason.UNKNOWN)


def test_parts_of_an_unknown_kind_are_named_in_a_warning() -> None:
    answer = parsed(PLAIN, said(text("hi"), {"inlineData": {"data": "aGk="}}), FLASH)
    assert answer.warnings == ("answer: left out a part of kind inlineData",)


def test_reasons_written_as_numbers_are_read() -> None:
    assert parsed(PLAIN, said(text("hi"), finish=2), FLASH).finish_reason is FinishReason.LENGTH


def test_an_error_inside_a_success_is_an_error() -> None:
    error = failed({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    assert error.kind is ErrorKind.OVERLOADED


SIGNED = {"thoughtSignature": "c2ln"}
STREAM = events(
    said(text("thin", thought=True), finish=None, candidatesTokenCount=0),
    said(text("king…", thought=True), finish=None, candidatesTokenCount=1),
    said(text("Let me "), finish=None, candidatesTokenCount=2),
    said(text("look."), finish=None, candidatesTokenCount=3),
    said(text("", **SIGNED), finish=None),
    said(function_call(id="x1", signature="Y2FsbA=="), finish=None),
    said(function_call(id="x2"), finish=None),
    said(text("")),
)
WHOLE = said(
    text("thinking…", thought=True),
    text("Let me look.", **SIGNED),
    function_call(id="x1", signature="Y2FsbA=="),
    function_call(id="x2"),
)


def test_a_stream_cut_anywhere_gives_the_same_answer_as_none() -> None:
    expected = parsed(JOB, WHOLE, THREE)
    assert expected.tool_calls
    for cut in range(len(STREAM) + 1):
        assert streamed(JOB, STREAM, THREE, cut=cut) == expected


def test_a_stream_byte_by_byte_gives_the_same_answer() -> None:
    decoder = GeminiContent().decoder(call_for(JOB, THREE, stream=True))
    for byte in STREAM:
        decoder.feed(bytes([byte]))
    assert decoder.finish() == parsed(JOB, WHOLE, THREE)


def test_a_stream_tells_its_pieces_as_they_come() -> None:
    deltas = followed(JOB, STREAM, THREE)[1]
    assert "".join(delta.reasoning for delta in deltas) == "thinking…"
    assert "".join(delta.text for delta in deltas) == "Let me look."
    calls = [(d.tool_index, d.tool_id, d.tool_name, d.arguments) for d in deltas if d.tool_id]
    assert calls == [
        (0, "x1", "weather", '{"city":"Rome"}'),
        (1, "x2", "weather", '{"city":"Rome"}'),
    ]


def test_streamed_usage_is_the_largest_and_not_the_sum() -> None:
    body = events(
        said(text("a"), finish=None, promptTokenCount=59, candidatesTokenCount=8),
        said(text("b"), finish=None, promptTokenCount=59, candidatesTokenCount=21),
        said(promptTokenCount=128, candidatesTokenCount=0),
    )
    assert streamed(PLAIN, body).usage == Usage(input_tokens=128, output_tokens=21)


@pytest.mark.parametrize("array", [True, False])
def test_a_stream_that_comes_as_json_is_read(array: bool) -> None:
    bodies = [said(text("Hel"), finish=None), said(text("lo"))]
    body = orjson.dumps(bodies if array else said(text("Hello")))
    for cut in range(len(body)):
        assert streamed(PLAIN, body, cut=cut).text == "Hello"


@pytest.mark.parametrize("kept", [0, 1, 40, len(STREAM) // 2, len(STREAM) - 150])
def test_a_stream_without_its_end_is_interrupted(kept: int) -> None:
    with pytest.raises(ProviderError) as caught:
        streamed(JOB, STREAM[:kept], THREE)
    assert caught.value.kind is ErrorKind.INTERRUPTED
    assert caught.value.possibly_billed


def test_an_interrupted_stream_tells_what_it_cost() -> None:
    body = events(said(text("Hel"), finish=None, candidatesTokenCount=3))
    with pytest.raises(InvalidAnswer) as caught:
        streamed(PLAIN, body)
    assert caught.value.usage == Usage(input_tokens=10, output_tokens=3)


def test_an_event_that_is_no_json_is_malformed() -> None:
    body = events(said(text("Hel"), finish=None)) + b'data: {"cand\n\n' + events(said(text("lo")))
    with pytest.raises(ProviderError) as caught:
        streamed(PLAIN, body)
    assert (caught.value.kind, caught.value.possibly_billed) == (ErrorKind.MALFORMED_ANSWER, True)


def test_an_error_inside_a_stream_is_classified() -> None:
    quota = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}
    body = events(said(text("Hel"), finish=None), quota)
    with pytest.raises(InvalidAnswer) as caught:
        streamed(PLAIN, body)
    assert caught.value.kind is ErrorKind.RATE_LIMITED
    assert caught.value.usage.input_tokens == 10
    assert caught.value.possibly_billed


def test_an_error_in_place_of_a_stream_is_classified() -> None:
    body = b'[{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}]'
    with pytest.raises(ProviderError) as caught:
        streamed(PLAIN, body)
    assert caught.value.kind is ErrorKind.OVERLOADED


def test_a_prompt_blocked_in_a_stream_is_content_filter() -> None:
    body = events({"promptFeedback": {"blockReason": "SAFETY"}})
    with pytest.raises(ProviderError) as caught:
        streamed(PLAIN, body)
    assert caught.value.kind is ErrorKind.CONTENT_FILTER


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(node, dict | list):
        return [path]
    inner: Any = node.items() if isinstance(node, dict) else enumerate(node)
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def changed(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


WHOLE_PLACES = places(WHOLE)


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(WHOLE_PLACES), value=VALUES)
def test_a_mutated_answer_is_read_or_refused_but_never_breaks(
    place: tuple[Any, ...], value: Any
) -> None:
    body = json.dumps(changed(WHOLE, place, value)).encode()
    with suppress(ProviderError):
        assert parsed(JOB, body, THREE).usage.output_tokens >= 0


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(WHOLE_PLACES), value=VALUES)
def test_a_mutated_stream_is_read_or_refused_but_never_breaks(
    place: tuple[Any, ...], value: Any
) -> None:
    body = b"data: " + json.dumps(changed(WHOLE, place, value)).encode() + b"\n\n"
    with suppress(ProviderError):
        assert streamed(JOB, body + events(said(text("x"))), THREE).usage.output_tokens >= 0


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = {"embeddings": [{"values": [1, 0.5]}, {"values": [0.25, 0]}]}
    answer = parsed(embed("a", "b"), body, EMBEDDING)
    assert answer.vectors == ((1.0, 0.5), (0.25, 0.0))
    assert answer.usage.estimated


def test_a_single_vector_is_read_with_its_usage() -> None:
    body = {"embedding": {"values": [1, 2]}, "usageMetadata": {"promptTokenCount": 7}}
    answer = parsed(embed("a"), body, EMBEDDING)
    assert (answer.vectors, answer.usage) == (((1.0, 2.0),), Usage(input_tokens=7))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"embeddings": [{"values": [1]}]},
        {"embeddings": [{"values": [1]}, {"values": []}]},
        {"embeddings": [{"values": [1]}, {"values": ["x"]}]},
        {"embeddings": [{"values": [1]}, None]},
    ],
)
def test_missing_vectors_are_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        parsed(embed("a", "b"), body, EMBEDDING)
    assert caught.value.kind is ErrorKind.MALFORMED_ANSWER
