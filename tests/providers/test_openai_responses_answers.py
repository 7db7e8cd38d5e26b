"""How Responses answers are read: items, usage, how they ended, and what went wrong."""

from __future__ import annotations

import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Extract
from penstock_schemas.messages import ReasoningPart
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.protocol import Answer, AnyJob
from tests.providers.responses_wire import SOL, called, refused, response, said, thought
from tests.providers.wire_calls import body_of, call_for, failure, generate, parsed

TOOLS = [{"name": "weather"}, {"name": "röntgen"}]


def read(*items: Any, job: AnyJob | None = None, **fields: Any) -> Answer:
    return parsed(job or generate(prompt="hi", tools=TOOLS), response(*items, **fields), SOL)


def failed(*items: Any, job: AnyJob | None = None, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(*items, job=job, **fields)
    return caught.value


def test_text_and_inclusive_usage_are_read() -> None:
    answer = read(said("hello "), said("there"))
    assert (answer.text, answer.finish_reason) == ("hello there", FinishReason.STOP)
    assert answer.usage == Usage(
        input_tokens=10, output_tokens=6, cache_read_tokens=4, reasoning_tokens=2
    )


def test_reasoning_beside_the_stated_output_counts_as_output() -> None:
    usage = {"input_tokens": 10, "output_tokens": 6, "total_tokens": 30}
    assert read(said("a"), usage=usage).usage.output_tokens == 20


def test_usage_that_is_missing_is_estimated() -> None:
    usage = read(said("four score"), usage=None).usage
    assert usage.estimated
    assert usage.output_tokens == 3


def test_calls_are_read_with_their_own_ids_and_names() -> None:
    alias = body_of(generate(prompt="hi", tools=TOOLS), SOL)["tools"][1]["name"]
    answer = read(called("c1"), called("c2", name=alias))
    assert [(made.id, made.name) for made in answer.tool_calls] == [
        ("c1", "weather"),
        ("c2", "röntgen"),
    ]
    assert answer.tool_calls[0].arguments == {"city": "Oslo"}
    assert answer.finish_reason is FinishReason.TOOL_CALLS


def test_text_beside_calls_is_kept() -> None:
    answer = read(said("calling"), called())
    assert answer.text == "calling"


@pytest.mark.parametrize(
    ("arguments", "expected", "raw"),
    [("", {}, None), ("{", None, "{"), ({"a": 1}, {"a": 1}, None), (None, {}, None)],
)
def test_arguments_of_any_form_are_kept(arguments: Any, expected: Any, raw: Any) -> None:
    (made,) = read(called(arguments=arguments)).tool_calls
    assert (made.arguments, made.raw_arguments) == (expected, raw)


def test_call_without_any_id_gets_one() -> None:
    item = {key: value for key, value in called().items() if key not in ("id", "call_id")}
    assert read(item).tool_calls[0].id


def test_reasoning_is_kept_to_be_sent_back() -> None:
    answer = read(thought("one", "two", encrypted_content="sealed"), said("ok"))
    assert answer.reasoning == (
        ReasoningPart(provider="openai", text="one\n\ntwo", data="sealed", id="rs_1"),
    )


def test_reasoning_in_its_own_words_outranks_the_summary() -> None:
    words = [{"type": "reasoning_text", "text": "hm"}]
    assert read(thought("short", content=words), said("ok")).reasoning[0].text == "hm"


def test_call_right_after_reasoning_is_marked_with_it() -> None:
    answer = read(thought(id="rs_1"), called("a"), called("b"), thought(id="rs_2"), called("c"))
    assert [made.signature for made in answer.tool_calls] == ["rs_1", None, "rs_2"]
    assert answer.tool_calls[0].signed_by == "openai"


def test_answer_goes_back_in_the_order_in_which_it_came() -> None:
    items = [
        thought(id="rs_1", encrypted_content="x"),
        said("wait"),
        called("a"),
        thought(id="rs_2", encrypted_content="y"),
        called("b"),
    ]
    answer = read(*items)
    reply: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text,
        "reasoning": answer.reasoning,
        "tool_calls": answer.tool_calls,
    }
    sent = body_of(generate(messages=[{"role": "user", "content": "go"}, reply]), SOL)["input"]
    order = [item.get("id") or item.get("call_id") or item["role"] for item in sent[1:6]]
    assert order == ["rs_1", "assistant", "a", "rs_2", "b"]


def test_items_of_other_kinds_are_passed_over() -> None:
    answer = read({"type": "web_search_call", "id": "ws_1"}, 7, None, {"type": []}, said("ok"))
    assert answer.text == "ok"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", FinishReason.LENGTH), ("new_reason", FinishReason.UNKNOWN)],
)
def test_incomplete_answers_say_why(reason: str, finish: FinishReason) -> None:
    answer = read(said("a"), status="incomplete", incomplete_details={"reason": reason})
    assert answer.finish_reason is finish


def test_truncation_outranks_calls() -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    answer = read(called(arguments='{"ci'), **cut)
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.tool_calls[0].raw_arguments == '{"ci'


def test_filtered_answers_are_errors_with_their_usage() -> None:
    error = failed(said("a"), status="incomplete", incomplete_details={"reason": "content_filter"})
    assert error.kind is ErrorKind.CONTENT_FILTER
    assert isinstance(error, InvalidAnswer)
    assert error.usage.input_tokens == 10


def test_refusals_are_errors() -> None:
    error = failed(refused("I cannot"))
    assert error.kind is ErrorKind.REFUSAL
    assert "I cannot" in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ErrorKind.SERVER_ERROR),
        ("rate_limit_exceeded", ErrorKind.RATE_LIMITED),
        ("insufficient_quota", ErrorKind.QUOTA_EXHAUSTED),
        ("invalid_prompt", ErrorKind.CONTENT_FILTER),
        ("invalid_image_url", ErrorKind.INVALID_REQUEST),
        ("context_length_exceeded", ErrorKind.CONTEXT_LENGTH),
    ],
)
def test_failed_responses_are_classified(code: str, kind: ErrorKind) -> None:
    error = failed(status="failed", error={"code": code, "message": "no"}, usage=None)
    assert (error.kind, error.code) == (kind, code)
    assert isinstance(error, InvalidAnswer)
    assert error.usage == Usage()


def test_failed_response_without_a_reason_is_a_server_error() -> None:
    assert failed(status="failed").kind is ErrorKind.SERVER_ERROR


def test_cancelled_response_is_interrupted_and_may_be_billed() -> None:
    error = failed(said("a"), status="cancelled")
    assert (error.kind, error.possibly_billed) == (ErrorKind.INTERRUPTED, True)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_unfinished_responses_are_malformed_answers(status: str) -> None:
    assert failed(status=status).kind is ErrorKind.MALFORMED_ANSWER


@pytest.mark.parametrize("output", [None, "text", {}])
def test_responses_without_output_are_malformed_answers(output: Any) -> None:
    error = failed(output=output)
    assert (error.kind, error.possibly_billed) == (ErrorKind.MALFORMED_ANSWER, True)


def test_schema_answers_are_read_and_added_nulls_taken_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    job = Extract.model_validate(
        {"workspace": "acme", "text": "x", "schema": schema | {"required": ["a"]}}
    )
    assert read(said('{"a":"x","b":null}'), job=job).output == {"a": "x"}


def test_remarks_before_a_structured_answer_are_no_part_of_it() -> None:
    remark = said("Let me see.", phase="commentary")
    final = said('{"a":1}', phase="final_answer")
    answer = read(remark, final, job=generate(prompt="hi", json=True))
    assert answer.output == {"a": 1}
    assert read(remark, called()).text == "Let me see."


def test_error_statuses_are_classified() -> None:
    body = {"error": {"message": "no such model", "code": "model_not_found", "type": "x"}}
    assert failure(400, body, ref=SOL).kind is ErrorKind.MODEL_NOT_FOUND


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_WHOLE = response(thought("a", encrypted_content="x"), said("hello"), called())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        return [path]
    keys: Any = value if isinstance(value, dict) else range(len(value))
    below = [found for key in keys for found in _paths(value[key], (*path, key))]
    return [path, *below] if path else below


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(_paths(_WHOLE)), value=_JSON)
def test_any_mutation_gives_an_answer_or_a_provider_error(
    path: tuple[Any, ...], value: Any
) -> None:
    body = orjson.loads(orjson.dumps(_WHOLE))
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    call = call_for(generate(prompt="hi", tools=TOOLS), SOL)
    content = json.dumps(body).encode()
    try:
        answer = OpenAIResponses().parse(call, httpx.Response(200, content=content))
    except ProviderError:
        return
    assert isinstance(answer, Answer)
