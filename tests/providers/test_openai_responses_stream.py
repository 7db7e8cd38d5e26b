"""How streamed Responses answers are decoded, however their bytes are cut."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.protocol import Answer, Delta
from tests.providers.responses_wire import (
    USAGE,
    begun,
    called,
    decoded,
    ended,
    events_of,
    item_events,
    refused,
    response,
    said,
    sol_call,
    stream_of,
    thought,
)

TOOLS = [{"name": "weather"}, {"name": "röntgen"}]
WHOLE = response(
    thought("one", "two", encrypted_content="sealed"),
    said("Grüße 👋"),
    called("c1"),
    called("c2", arguments=""),
)
STREAM = stream_of(*events_of(WHOLE))


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def streamed(*events: dict[str, Any], **fields: Any) -> tuple[list[Delta], Answer]:
    return decoded(sol_call(**{"tools": TOOLS, **fields}), stream_of(*events))


def broken(data: bytes, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        decoded(sol_call(**fields), data)
    return caught.value


def test_stream_gives_the_same_answer_as_without_streaming() -> None:
    call = sol_call(tools=TOOLS)
    plain = OpenAIResponses().parse(call, httpx.Response(200, content=orjson.dumps(WHOLE)))
    assert decoded(call, STREAM)[1] == plain


def test_stream_cut_anywhere_gives_the_same_deltas_and_answer() -> None:
    call = sol_call(tools=TOOLS)
    whole = decoded(call, STREAM)
    assert decoded(call, *(STREAM[at : at + 1] for at in range(len(STREAM)))) == whole
    for at in range(0, len(STREAM), 7):
        assert decoded(call, STREAM[:at], STREAM[at:]) == whole


def test_stream_that_ends_anywhere_before_its_last_event_is_interrupted() -> None:
    last = len(stream_of(*events_of(WHOLE)[:-1]))
    for at in range(0, last, 5):
        error = broken(STREAM[:at])
        assert (error.kind, error.possibly_billed) == (ErrorKind.INTERRUPTED, True)


def test_stream_without_its_last_line_end_is_whole() -> None:
    assert decoded(sol_call(tools=TOOLS), STREAM.rstrip(b"\n"))[1].text == "Grüße 👋"


def test_interrupted_stream_keeps_the_usage_that_it_stated() -> None:
    progress = {"type": "response.in_progress", "response": {"usage": USAGE}}
    error = broken(stream_of(begun(), progress))
    assert isinstance(error, InvalidAnswer)
    assert error.possibly_billed
    assert error.usage.input_tokens == 10


def test_deltas_add_up_to_the_answer() -> None:
    deltas, answer = streamed(*events_of(WHOLE))
    assert text_of(deltas) == answer.text
    assert "".join(delta.reasoning for delta in deltas) == "one\n\ntwo"
    first = "".join(delta.arguments for delta in deltas if delta.tool_index == 0)
    assert orjson.loads(first) == answer.tool_calls[0].arguments
    starts = [(d.tool_index, d.tool_id, d.tool_name) for d in deltas if d.tool_name]
    assert starts == [(0, "c1", "weather"), (1, "c2", "weather")]


def test_tool_index_counts_calls_not_items() -> None:
    deltas, _ = streamed(*events_of(response(said("a"), thought("b"), called())))
    assert {delta.tool_index for delta in deltas if delta.tool_index is not None} == {0}


def test_start_that_comes_twice_counts_once() -> None:
    start, *rest = item_events(0, called())
    body = response(called())
    deltas, answer = streamed(begun(), start, start, *rest, ended(body))
    assert len([delta for delta in deltas if delta.tool_name]) == 1
    assert len(answer.tool_calls) == 1


def test_item_ids_may_change_on_the_way() -> None:
    events = [{**event, "item_id": f"x{at}"} for at, event in enumerate(item_events(0, called()))]
    deltas, _ = streamed(begun(), *events, ended(response(called())))
    assert "".join(delta.arguments for delta in deltas) == '{"city":"Oslo"}'


def test_item_that_comes_whole_is_a_delta_of_its_own() -> None:
    done = item_events(0, said("hello"))[-1]
    also = item_events(1, called())[-1]
    deltas, answer = streamed(begun(), done, also, ended(response(said("hello"), called())))
    assert text_of(deltas) == answer.text == "hello"
    assert "".join(delta.arguments for delta in deltas) == '{"city":"Oslo"}'


def test_arguments_that_come_before_their_call_are_not_lost() -> None:
    _, *late = item_events(0, called())
    deltas, _ = streamed(begun(), *late, ended(response(called())))
    assert deltas[0].tool_name == "weather"
    assert "".join(delta.arguments for delta in deltas) == '{"city":"Oslo"}'


def test_names_of_tools_are_the_callers_own() -> None:
    alias = OpenAIResponses().build(sol_call(tools=TOOLS)).request
    name = orjson.loads(alias.content)["tools"][1]["name"]
    deltas, _ = streamed(*events_of(response(called(name=name))))
    assert deltas[0].tool_name == "röntgen"


def test_last_event_without_output_is_filled_from_the_pieces() -> None:
    whole = streamed(*events_of(WHOLE))[1]
    bare = {**WHOLE, "output": []}
    assert streamed(*events_of(WHOLE)[:-1], ended(bare))[1] == whole


def test_last_event_without_output_is_filled_from_items_without_an_end() -> None:
    events = [
        event
        for event in events_of(response(said("hello"), called()))
        if event["type"] != "response.output_item.done"
    ]
    answer = streamed(*events[:-1], {"type": "response.completed"})[1]
    assert (answer.text, answer.tool_calls[0].arguments) == ("hello", {"city": "Oslo"})
    assert answer.usage.estimated


def test_incomplete_stream_is_cut_off_by_length() -> None:
    body = response(
        said("a"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    assert streamed(*events_of(body))[1].finish_reason is FinishReason.LENGTH


def test_refusal_in_a_stream_is_an_error_at_its_end() -> None:
    error = broken(stream_of(*events_of(response(refused("I cannot")))))
    assert error.kind is ErrorKind.REFUSAL


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"code": "insufficient_quota", "message": "no"}},
        {"type": "error", "code": "insufficient_quota", "message": "no", "param": None},
        {"error": {"code": "insufficient_quota", "message": "no"}, "type": ""},
        ended(response(status="failed", error={"code": "insufficient_quota", "message": "no"})),
    ],
    ids=["nested", "flat", "untyped", "failed"],
)
def test_errors_in_a_stream_are_classified(event: dict[str, Any]) -> None:
    error = broken(stream_of(begun(), event))
    assert (error.kind, error.code) == (ErrorKind.QUOTA_EXHAUSTED, "insufficient_quota")


def test_error_before_any_text_costs_nothing() -> None:
    error = broken(stream_of(begun(), {"type": "error", "message": "no"}))
    assert isinstance(error, InvalidAnswer)
    assert (error.kind, error.usage) == (ErrorKind.SERVER_ERROR, Usage())


def test_error_after_text_counts_what_was_said() -> None:
    *events, _ = events_of(response(said("four score")))
    error = broken(stream_of(*events, {"type": "error", "message": "no"}))
    assert isinstance(error, InvalidAnswer)
    assert error.usage.estimated
    assert error.usage.output_tokens == 3


def test_event_that_is_not_json_is_a_malformed_answer() -> None:
    error = broken(stream_of(begun()) + b'data: {"a": tru\n\n' + STREAM)
    assert (error.kind, error.possibly_billed) == (ErrorKind.MALFORMED_ANSWER, True)


def test_body_that_is_no_stream_is_read_as_it_is() -> None:
    body = b" \n" + orjson.dumps(response(said("hello")), option=orjson.OPT_INDENT_2)
    assert decoded(sol_call(), *(body[at : at + 1] for at in range(len(body))))[1].text == "hello"
    refused_body = orjson.dumps({"error": {"code": "invalid_api_key", "message": "no"}})
    assert broken(refused_body).kind is ErrorKind.AUTHENTICATION


def test_comments_marks_and_unknown_events_are_passed_over() -> None:
    noise = b": wait\n\ndata: [DONE]\n\n" + stream_of({"type": "response.new_thing.delta"})
    data = noise.join(stream_of(event) for event in events_of(WHOLE)) + noise
    assert decoded(sol_call(tools=TOOLS), data)[1] == decoded(sol_call(tools=TOOLS), STREAM)[1]


def test_remarks_before_a_structured_answer_are_not_streamed_as_its_text() -> None:
    body = response(said("Let me see.", phase="commentary"), said('{"a":1}'))
    deltas, answer = streamed(*events_of(body), json=True)
    assert text_of(deltas) == answer.text == '{"a":1}'


@pytest.mark.parametrize("value", [None, [], {}, 7, "x", [[]], {"type": []}])
def test_any_field_of_any_type_gives_an_answer_or_a_provider_error(value: Any) -> None:
    for at, event in enumerate(events_of(WHOLE)):
        for key in event:
            events = events_of(WHOLE)
            events[at] = {**event, key: value}
            data = b"".join(b"data: " + orjson.dumps(e) + b"\n\n" for e in events)
            try:
                answer = decoded(sol_call(tools=TOOLS), data)[1]
            except ProviderError:
                continue
            assert isinstance(answer, Answer)


def test_item_that_ends_twice_counts_once() -> None:
    done = item_events(0, said("hello"))[-1]
    deltas, _ = streamed(begun(), done, done, ended(response(said("hello"))))
    assert text_of(deltas) == "hello"


def test_what_comes_after_the_last_event_counts_for_nothing() -> None:
    late = {"type": "error", "message": "too late"}
    assert streamed(*events_of(WHOLE), late)[1].text == "Grüße 👋"
