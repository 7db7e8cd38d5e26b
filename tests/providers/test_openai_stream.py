"""How streamed Chat Completions answers are decoded, bent formats included."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.registry import adapter_for
from penstock_worker.providers.tool_wire import OUTPUT_TOOL
from tests.providers.streams import arguments_of, chunk, decoded, sse, text_of, thoughts_of
from tests.providers.wire_calls import body_of, call_for, chat, embed, generate, parsed

JOB = generate(prompt="hello")
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def calls(*rows: dict[str, Any]) -> dict[str, Any]:
    return chunk({"tool_calls": list(rows)})


def piece(arguments: Any = None, *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {k: v for k, v in function.items() if v is not None}, **fields}


END = chunk(finish="tool_calls")


def test_a_streamed_request_asks_for_usage() -> None:
    body = body_of(JOB, stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_a_provider_without_stream_options_gets_none() -> None:
    body = body_of(JOB, "mistral/mistral-large-latest", stream=True)
    assert body["stream"] is True
    assert "stream_options" not in body


def test_an_unstreamed_request_says_nothing_of_streams() -> None:
    assert not body_of(JOB).keys() & {"stream", "stream_options"}


def test_embeddings_are_not_streamed() -> None:
    call = call_for(embed("a"))
    with pytest.raises(ProviderError) as caught:
        adapter_for(call.provider).decoder(call)
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_text_comes_in_pieces_and_equals_the_unstreamed_answer() -> None:
    body = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "hel"}),
        chunk({"content": "lo"}),
        chunk(finish="stop"),
        {"choices": [], "usage": USAGE},
    )
    answer, deltas = decoded(JOB, [body])
    assert [delta.text for delta in deltas] == ["hel", "lo"]
    assert answer == parsed(JOB, chat("hello"))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_text(field: str) -> None:
    body = sse(chunk({field: "h"}), chunk({field: "m"}), chunk({"content": "4"}, finish="stop"))
    answer, deltas = decoded(JOB, [body])
    assert (thoughts_of(deltas), text_of(deltas)) == ("hm", "4")
    assert [part.text for part in answer.reasoning] == ["hm"]


def test_pieces_of_two_calls_are_told_apart_by_index() -> None:
    body = sse(
        calls(piece("", name="a", index=0, id="c0", type="function")),
        calls(piece('{"x"', index=0)),
        calls(piece("", name="b", index=1, id="c1"), piece(":1}", index=0)),
        calls(piece("{}", index=1)),
        END,
    )
    answer, deltas = decoded(JOB, [body])
    assert arguments_of(deltas) == {0: '{"x":1}', 1: "{}"}
    assert [(made.id, made.name, made.arguments) for made in answer.tool_calls] == [
        ("c0", "a", {"x": 1}),
        ("c1", "b", {}),
    ]


def test_a_start_that_comes_twice_is_one_call() -> None:
    start = piece("", name="a", index=0, id="c0")
    answer, deltas = decoded(
        JOB, [sse(calls(start), calls(start), calls(piece("{}", index=0)), END)]
    )
    assert len(answer.tool_calls) == 1
    assert sum(delta.tool_name is not None for delta in deltas) == 1


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    rows = [piece("{}", name=name, index=0, id=f"c_{name}") for name in ("a", "b")]
    answer, _ = decoded(JOB, [sse(calls(*rows), END)])
    assert [made.name for made in answer.tool_calls] == ["a", "b"]


def test_calls_without_index_type_or_later_ids_are_put_together() -> None:
    rows = [calls(piece('{"x"', name="a", id="abcdefghi")), calls(piece(":1}"))]
    answer, _ = decoded(JOB, [sse(*rows, calls(piece("{}", name="b", id="123456789")), END)])
    assert [(made.name, made.arguments) for made in answer.tool_calls] == [
        ("a", {"x": 1}),
        ("b", {}),
    ]


@pytest.mark.parametrize("arguments", [None, "", "{}", {}])
def test_absent_arguments_are_an_empty_object(arguments: Any) -> None:
    row = {"index": 0, "id": "c", "function": {"name": "a", "arguments": arguments}}
    answer, _ = decoded(JOB, [sse(calls(row), END)])
    assert answer.tool_calls[0].arguments == {}


def test_arguments_that_are_no_json_are_kept_as_they_came() -> None:
    answer, _ = decoded(JOB, [sse(calls(piece('{"x":', name="a", index=0, id="c")), END)])
    assert answer.tool_calls[0].raw_arguments == '{"x":'


def test_a_forced_answer_is_streamed_as_text() -> None:
    job = generate(prompt="x", schema={"type": "object", "properties": {"n": {"type": "integer"}}})
    row = piece('{"n":', name=OUTPUT_TOOL, index=0, id="c")
    answer, deltas = decoded(job, [sse(calls(row), calls(piece("1}", index=0)), END)])
    assert (text_of(deltas), arguments_of(deltas)) == ('{"n":1}', {})
    assert (answer.output, answer.tool_calls) == ({"n": 1}, ())


def test_usage_is_cumulative_and_may_leave_fields_out_later() -> None:
    first = {**USAGE, "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens": 2}
    body = sse(
        chunk({"content": "a"}, usage=first),
        chunk({"content": "b"}, finish="stop", usage=USAGE),
        {"choices": [], "usage": {"completion_tokens": 4}},
    )
    usage = decoded(JOB, [body])[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (10, 4, 8)


def test_usage_is_found_where_groq_and_moonshot_put_it() -> None:
    groq = chunk({"content": "a"}, finish="stop", x_groq={"usage": USAGE})
    moonshot = chunk({"content": "a"}, finish="stop")
    moonshot["choices"][0]["usage"] = USAGE
    for last in (groq, moonshot):
        assert decoded(JOB, [sse(last)])[0].usage.output_tokens == 4


def test_a_stream_without_usage_is_estimated_and_says_so() -> None:
    usage = decoded(JOB, [sse(chunk({"content": "a" * 40}, finish="stop"))])[0].usage
    assert (usage.output_tokens, usage.estimated) == (10, True)


def test_comments_and_blank_lines_are_nothing() -> None:
    body = b": queued\n\n\n\n" + sse(chunk({"content": "a"}, finish="stop"))
    assert decoded(JOB, [body])[0].text == "a"


def test_a_finish_reason_ends_a_stream_without_done() -> None:
    body = sse(chunk({"content": "a"}, finish="stop"), done=False)
    assert decoded(JOB, [body])[0].finish_reason is FinishReason.STOP


def test_a_finish_reason_ends_nothing_where_one_follows_each_call() -> None:
    body = sse(chunk({"content": "a"}, finish="tool_calls"), done=False)
    with pytest.raises(ProviderError) as caught:
        decoded(JOB, [body], "together/some-model")
    assert caught.value.kind is ErrorKind.INTERRUPTED


def test_done_ends_a_stream_without_a_finish_reason() -> None:
    answer, _ = decoded(JOB, [sse(chunk({"content": "a"}))])
    assert (answer.text, answer.finish_reason) == ("a", FinishReason.UNKNOWN)


def test_nothing_counts_after_done() -> None:
    body = sse(chunk({"content": "a"}, finish="stop")) + sse(chunk({"content": "b"}))
    assert decoded(JOB, [body])[0].text == "a"


@pytest.mark.parametrize("body", [b"", b": queued\n\n", sse(chunk({"content": "a"}), done=False)])
def test_a_stream_that_breaks_off_is_interrupted_and_may_be_billed(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        decoded(JOB, [body])
    assert caught.value.kind is ErrorKind.INTERRUPTED
    assert caught.value.possibly_billed


def test_a_broken_off_stream_keeps_the_usage_that_it_stated() -> None:
    body = sse(chunk({"content": "a" * 400}, usage=USAGE), done=False)
    with pytest.raises(InvalidAnswer) as caught:
        decoded(JOB, [body])
    usage = caught.value.usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (10, 100, True)


@pytest.mark.parametrize("before", [[], [chunk({"content": "some words"})]])
def test_an_error_inside_the_stream_is_that_error(before: list[Any]) -> None:
    error = {"error": {"message": "Rate limit reached", "type": "x", "code": "rate_limit_exceeded"}}
    with pytest.raises(InvalidAnswer) as caught:
        decoded(JOB, [sse(*before, error)])
    assert caught.value.kind is ErrorKind.RATE_LIMITED
    assert bool(caught.value.usage.output_tokens) is bool(before)


def test_an_error_event_is_an_error_whatever_it_holds() -> None:
    with pytest.raises(ProviderError) as caught:
        decoded(JOB, [b'event: error\ndata: {"message":"overloaded"}\n\n'])
    assert caught.value.kind is not ErrorKind.INTERRUPTED


def test_an_event_that_is_no_json_is_malformed() -> None:
    with pytest.raises(ProviderError) as caught:
        decoded(JOB, [b"data: <html>\n\n"])
    assert caught.value.kind is ErrorKind.MALFORMED_ANSWER
    assert caught.value.possibly_billed


def test_a_refusal_in_pieces_is_a_refusal() -> None:
    body = sse(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk(finish="stop"))
    with pytest.raises(InvalidAnswer) as caught:
        decoded(JOB, [body])
    assert (caught.value.kind, caught.value.text) == (ErrorKind.REFUSAL, "I won't")


def test_an_answer_that_was_not_streamed_after_all_is_read() -> None:
    body = orjson.dumps(chat("hello"))
    assert decoded(JOB, [body[:5], body[5:]])[0] == parsed(JOB, chat("hello"))


def test_a_stream_that_was_not_asked_for_is_read() -> None:
    call = call_for(JOB)
    body = sse(chunk({"content": "a"}, finish="stop"))
    response = httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})
    assert adapter_for(call.provider).parse(call, response).text == "a"


def test_other_choices_than_the_first_are_left_alone() -> None:
    other = chunk({"content": "other"})
    other["choices"][0]["index"] = 1
    assert decoded(JOB, [sse(chunk({"content": "a"}, finish="stop"), other)])[0].text == "a"
