"""How jobs are written in Chat Completions, and how its answers are read."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Extract, Reason
from penstock_schemas.messages import Tool, ToolCall
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.tool_wire import OUTPUT_TOOL, wire_name
from tests.providers.wire_calls import KEY, body_of, built, chat, embed, generate, parsed

REASONER = "openai/o4-mini"
MISTRAL = "mistral/mistral-small-latest"
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


def calling(*calls: dict[str, Any], text: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": text, "tool_calls": list(calls)}


def tool_result(call_id: str, content: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def made(call_id: str, name: str = "weather", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "name": name, "arguments": {}, **fields}


def test_prompt_becomes_a_user_message_after_the_system() -> None:
    body = body_of(generate(prompt="hi", system="be brief"))
    assert body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "be brief"}, user("hi")],
    }


def test_request_carries_key_and_request_id_in_headers_only() -> None:
    request = built(generate(prompt="hi")).request
    assert str(request.url) == "https://api.openai.com/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-client-request-id"].endswith("abcd")
    assert request.headers["user-agent"].startswith("penstock/")
    assert KEY.encode() not in request.content


def test_azure_key_goes_in_its_own_header() -> None:
    request = built(generate(prompt="hi"), "azure/my-deployment").request
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers


def test_base_url_query_stays_behind_the_path() -> None:
    request = built(generate(prompt="hi"), base_url="http://127.0.0.1:9/v1/?api-version=1").request
    assert str(request.url) == "http://127.0.0.1:9/v1/chat/completions?api-version=1"


def test_leading_system_messages_merge_and_late_ones_stay() -> None:
    messages = [
        {"role": "system", "content": "one"},
        {"role": "developer", "content": "two"},
        user("hi"),
        {"role": "developer", "content": "late"},
    ]
    sent = body_of(generate(messages=messages, system="zero"))["messages"]
    assert sent == [
        {"role": "system", "content": "zero\n\none\n\ntwo"},
        user("hi"),
        {"role": "system", "content": "late"},
    ]


def test_results_stand_after_their_calls_and_orphans_are_made_good() -> None:
    messages = [
        tool_result("ghost"),
        user("go"),
        calling(made("a"), made("b"), made("c"), text="calling"),
        tool_result("b", "B"),
        user("well?"),
        tool_result("a", "A"),
    ]
    made_request = built(generate(messages=messages, tools=[WEATHER]))
    sent = body_of(generate(messages=messages, tools=[WEATHER]))["messages"]
    assert [(m["role"], m.get("tool_call_id")) for m in sent] == [
        ("user", None),
        ("assistant", None),
        ("tool", "a"),
        ("tool", "b"),
        ("tool", "c"),
        ("user", None),
    ]
    assert sent[1]["content"] == "calling"
    assert "no result" in sent[4]["content"]
    assert any("ghost" in warning for warning in made_request.warnings)


def failed(content: Any) -> Any:
    messages = [user("go"), calling(made("a")), tool_result("a", content) | {"is_error": True}]
    return body_of(generate(messages=messages, tools=[WEATHER]))["messages"][-1]


def test_a_failed_tool_says_so_in_its_result() -> None:
    assert failed("no such city")["content"] == "Error: no such city"


def test_a_result_that_calls_itself_an_error_is_left_as_it_is() -> None:
    assert failed("ERROR 7: no such city")["content"] == "ERROR 7: no such city"


def test_a_failed_tool_of_parts_says_so_before_the_first_text() -> None:
    parts = [{"type": "text", "text": "no such city"}, {"type": "text", "text": "ask again"}]
    assert failed(parts)["content"] == "Error: no such city\nask again"


def test_the_first_result_of_a_call_counts() -> None:
    messages = [user("go"), calling(made("a")), tool_result("a", "1"), tool_result("a", "2")]
    sent = body_of(generate(messages=messages, tools=[WEATHER]))["messages"]
    assert [m["content"] for m in sent if m["role"] == "tool"] == ["1"]


def test_call_ids_fit_the_provider_on_both_sides() -> None:
    long_id = "toolu_" + "x" * 60
    messages = [user("go"), calling(made(long_id)), tool_result(long_id)]
    for ref, length in (("openai/gpt-4o-mini", 24), (MISTRAL, 9)):
        sent = body_of(generate(messages=messages, tools=[WEATHER]), ref)["messages"]
        sent_id = sent[1]["tool_calls"][0]["id"]
        assert sent_id == sent[2]["tool_call_id"]
        assert len(sent_id) == length


def test_invalid_arguments_of_an_earlier_call_are_sent_as_they_were() -> None:
    broken = made("a", arguments=None, raw_arguments='{"city": ')
    sent = body_of(generate(messages=[user("go"), calling(broken), tool_result("a")]))["messages"]
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"city": '
    assert sent[1]["content"] is None


def test_tool_names_beyond_the_wire_get_an_alias_that_is_undone() -> None:
    tool = Tool(name="wetter/für morgen " + "x" * 80)
    job = generate(prompt="go", tools=[tool], tool_choice={"name": tool.name})
    body = body_of(job)
    alias = body["tools"][0]["function"]["name"]
    assert alias.isascii()
    assert len(alias) <= 64
    assert body["tool_choice"]["function"]["name"] == alias
    call = {"id": "1", "type": "function", "function": {"name": alias, "arguments": "{}"}}
    assert parsed(job, chat(None, tool_calls=[call])).tool_calls[0].name == tool.name


def test_a_callers_tool_named_like_ours_is_not_taken_for_it() -> None:
    assert wire_name(OUTPUT_TOOL) != OUTPUT_TOOL


@pytest.mark.parametrize("choice", ["none", "required"])
def test_tool_choice_is_expressed(choice: str) -> None:
    job = generate(prompt="go", tools=[WEATHER], tool_choice=choice)
    assert body_of(job)["tool_choice"] == choice


def test_tool_choice_auto_is_not_sent() -> None:
    assert "tool_choice" not in body_of(
        generate(prompt="go", tools=[WEATHER], tool_choice="auto"), "ollama/llama3.2"
    )


def test_forced_tool_choice_is_refused_where_the_provider_ignores_it() -> None:
    with pytest.raises(ProviderError, match="tool_choice") as caught:
        built(generate(prompt="go", tools=[WEATHER], tool_choice="required"), "ollama/llama3.2")
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_images_go_by_url_or_as_data() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image", "data": "aGk=", "media_type": "image/png"},
    ]
    content = body_of(generate(messages=[{"role": "user", "content": parts}]))["messages"][0]
    urls = [part["image_url"]["url"] for part in content["content"][1:]]
    assert urls == ["https://example.org/a.png", "data:image/png;base64,aGk="]


def test_images_are_refused_by_a_model_without_eyes() -> None:
    parts = [{"type": "image", "url": "https://example.org/a.png"}]
    with pytest.raises(ProviderError, match="messages"):
        built(generate(messages=[{"role": "user", "content": parts}]), "cerebras/some-text-model")


def test_parameters_are_sent_by_their_names_on_the_wire() -> None:
    job = generate(prompt="hi", max_tokens=5, temperature=0.2, seed=7, stop=["x"])
    sent = body_of(job)
    assert (sent["max_completion_tokens"], sent["temperature"], sent["seed"]) == (5, 0.2, 7)
    assert sent["stop"] == ["x"]
    mistral = body_of(job, MISTRAL)
    assert (mistral["max_tokens"], mistral["random_seed"]) == (5, 7)
    assert "seed" not in mistral


def test_an_attempts_own_max_tokens_goes_first() -> None:
    job = generate(prompt="hi", max_tokens=5)
    assert body_of(job, max_tokens=50)["max_completion_tokens"] == 50


def test_reasoning_models_lose_sampling_with_a_warning_and_refuse_stop() -> None:
    made_request = built(generate(prompt="hi", temperature=0.2), REASONER)
    assert b"temperature" not in made_request.request.content
    assert "temperature" in made_request.warnings[0]
    with pytest.raises(ProviderError, match="stop"):
        built(generate(prompt="hi", stop=["x"]), REASONER)


def test_more_than_four_stops_are_refused() -> None:
    with pytest.raises(ProviderError, match="at most 4"):
        built(generate(prompt="hi", stop=list("abcde")))


def test_extract_is_held_to_a_strict_schema_and_nulls_are_undone() -> None:
    job = Extract.model_validate({"workspace": "acme", "text": "Ann", "schema": PERSON})
    body = body_of(job)
    held = body["response_format"]["json_schema"]
    assert held["strict"] is True
    assert held["schema"]["required"] == ["name", "age"]
    assert held["schema"]["properties"]["age"]["type"] == ["integer", "null"]
    assert body["messages"][-1] == user("Ann")
    answer = parsed(job, chat('{"name": "Ann", "age": null}'))
    assert answer.output == {"name": "Ann"}
    assert answer.text == '{"name": "Ann", "age": null}'


def test_schema_is_told_in_words_where_only_json_can_be_asked_for() -> None:
    job = Extract.model_validate(
        {"workspace": "acme", "text": "Ann", "prompt": "only adults", "schema": PERSON}
    )
    body = body_of(job, "deepseek/deepseek-chat")
    assert body["response_format"] == {"type": "json_object"}
    system = body["messages"][0]["content"]
    assert "JSON Schema" in system
    assert "only adults" in system


def test_schema_beside_tools_is_told_in_words_where_formats_exclude_tools() -> None:
    job = generate(prompt="go", tools=[WEATHER], schema=PERSON)
    body = body_of(job, "groq/llama-3.3-70b-versatile")
    assert "response_format" not in body
    assert "JSON Schema" in body["messages"][0]["content"]


def test_json_mode_gives_the_value() -> None:
    job = generate(prompt="numbers as json", json=True)
    assert body_of(job)["response_format"] == {"type": "json_object"}
    assert parsed(job, chat('{"a": [1, 2]}')).output == {"a": [1, 2]}


def test_classify_gives_the_exact_label() -> None:
    job = Classify(workspace="acme", text="refund me", labels=("Billing", "Other"))
    schema = body_of(job)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["Billing", "Other"]
    assert parsed(job, chat('{"label":"Billing"}')).output == "Billing"
    assert parsed(job, chat('{"label":" billing"}')).output == "Billing"
    assert parsed(job, chat("Billing")).output == "Billing"


def test_classify_multi_gives_a_list() -> None:
    job = Classify(workspace="acme", text="x", labels=("a", "b", "c"), multi=True)
    assert parsed(job, chat('{"labels":["c","a","c"]}')).output == ["c", "a"]
    assert parsed(job, chat('{"labels":[]}')).output == []


def test_an_unknown_label_is_invalid_and_was_paid() -> None:
    job = Classify(workspace="acme", text="x", labels=("a", "b"))
    with pytest.raises(InvalidAnswer, match="'z' is not one of the 2 labels") as caught:
        parsed(job, chat('{"label":"z"}'))
    assert caught.value.kind is ErrorKind.INVALID_OUTPUT
    assert caught.value.usage.output_tokens == 4
    assert caught.value.text == '{"label":"z"}'


def test_a_structured_answer_that_was_cut_off_is_length_and_was_paid() -> None:
    with pytest.raises(InvalidAnswer) as caught:
        parsed(generate(prompt="x", schema=PERSON), chat('{"name": "An', finish="length"))
    assert caught.value.kind is ErrorKind.LENGTH
    assert caught.value.usage.input_tokens == 10


def test_plain_text_may_end_by_length() -> None:
    answer = parsed(generate(prompt="x"), chat("and then", finish="length"))
    assert (answer.text, answer.finish_reason) == ("and then", FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (chat(None, refusal="I cannot"), ErrorKind.REFUSAL),
        (chat("", finish="content_filter"), ErrorKind.CONTENT_FILTER),
        (chat("", finish="insufficient_system_resource"), ErrorKind.OVERLOADED),
    ],
)
def test_answers_that_are_none_raise_with_their_usage(body: Any, kind: ErrorKind) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        parsed(generate(prompt="x"), body)
    assert caught.value.kind is kind
    assert caught.value.usage.total_tokens == 14


def test_tool_calls_are_read_leniently() -> None:
    calls = [
        {"id": "1", "function": {"name": "weather", "arguments": ""}},
        {"id": "2", "function": {"name": "weather"}, "type": "function"},
        {"id": "3", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
        {"id": "4", "function": {"name": "weather", "arguments": '{"city": '}},
        {"function": {"name": "weather", "arguments": "{}"}},
    ]
    answer = parsed(generate(prompt="x", tools=[WEATHER]), chat("let me", tool_calls=calls))
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.text == "let me"
    assert [call.arguments for call in answer.tool_calls] == [{}, {}, {"city": "Rome"}, None, {}]
    assert answer.tool_calls[3].raw_arguments == '{"city": '
    assert answer.tool_calls[4].id.startswith("call_")


def test_arguments_nested_beyond_keeping_stay_as_text() -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    call = {"id": "1", "function": {"name": "weather", "arguments": deep}}
    answer = parsed(generate(prompt="x", tools=[WEATHER]), chat(None, tool_calls=[call]))
    assert answer.tool_calls[0].arguments is None
    assert answer.tool_calls[0].raw_arguments == deep


def test_truncation_outranks_tool_calls() -> None:
    call = {"id": "1", "function": {"name": "weather", "arguments": '{"ci'}}
    job = generate(prompt="x", tools=[WEATHER])
    answer = parsed(job, chat(None, finish="length", tool_calls=[call]))
    assert answer.finish_reason is FinishReason.LENGTH


def test_tool_calls_answer_a_job_with_a_schema_too() -> None:
    call = {"id": "1", "function": {"name": "weather", "arguments": "{}"}}
    job = generate(prompt="x", tools=[WEATHER], schema=PERSON)
    answer = parsed(job, chat(None, tool_calls=[call]))
    assert answer.output is None
    assert answer.tool_calls == (ToolCall(id="1", name="weather", arguments={}),)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "thinking"}, {"text": "b"}], "ab"),
        ({"title": "x"}, '{"title":"x"}'),
        (None, ""),
    ],
)
def test_content_of_other_types_is_read(content: Any, text: str) -> None:
    assert parsed(generate(prompt="x"), chat(content)).text == text


@pytest.mark.parametrize("finish", ["", None, "by_chance", 7])
def test_unknown_finish_reasons_are_unknown(finish: Any) -> None:
    answer = parsed(generate(prompt="x"), chat(finish=finish))
    assert answer.finish_reason is FinishReason.UNKNOWN


def test_usage_is_inclusive() -> None:
    body = chat() | {
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 20},
        }
    }
    usage = parsed(Reason(workspace="acme", prompt="x"), body).usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (100, 60)
    assert (usage.output_tokens, usage.reasoning_tokens) == (30, 20)


def test_reasoning_beside_the_completion_is_counted_as_output() -> None:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 2,
        "total_tokens": 334,
        "completion_tokens_details": {"reasoning_tokens": 320},
    }
    assert parsed(generate(prompt="x"), chat() | {"usage": usage}).usage.output_tokens == 322


def test_missing_usage_is_estimated_and_says_so() -> None:
    usage = parsed(generate(prompt="x" * 40), chat("y" * 8) | {"usage": None}).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (10, 2, True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 429, "message": "busy"}}, ErrorKind.RATE_LIMITED),
        ({"error": {"message": "x", "code": "context_length_exceeded"}}, ErrorKind.CONTEXT_LENGTH),
        ({"error": "gone wrong"}, ErrorKind.SERVER_ERROR),
        ({"choices": [{"error": {"code": 502, "message": "up"}}]}, ErrorKind.SERVER_ERROR),
    ],
)
def test_an_error_with_status_200_is_an_error(body: Any, kind: ErrorKind) -> None:
    with pytest.raises(ProviderError) as caught:
        parsed(generate(prompt="x"), body)
    assert caught.value.kind is kind


@pytest.mark.parametrize("body", [b"<html>", b"[]", {"choices": []}, {"choices": [{}]}, b""])
def test_what_is_no_answer_is_malformed(body: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        parsed(generate(prompt="x"), body)
    assert caught.value.kind is ErrorKind.MALFORMED_ANSWER
    assert caught.value.possibly_billed


EMBEDDER = "openai/text-embedding-3-small"


def test_embeddings_keep_the_order_of_the_input() -> None:
    job = embed("a", "b", dimensions=2)
    assert body_of(job, EMBEDDER) == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "dimensions": 2,
    }
    rows = [{"index": 1, "embedding": [0.5, 1]}, {"index": 0, "embedding": [0.25, 0]}]
    answer = parsed(job, {"data": rows, "usage": {"total_tokens": 3}}, EMBEDDER)
    assert answer.vectors == ((0.25, 0), (0.5, 1))
    assert answer.usage.input_tokens == 3


def test_embeddings_in_base64_are_floats_or_small_integers() -> None:
    floats = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
    assert parsed(embed("a"), {"data": [{"embedding": floats}]}).vectors == ((0.5, -0.25),)
    integers = base64.b64encode(struct.pack("4b", 1, -2, 127, 127)).decode()
    assert parsed(embed("a"), {"data": [{"embedding": integers}]}).vectors == ((1, -2, 127, 127),)


def test_a_missing_vector_is_malformed() -> None:
    with pytest.raises(ProviderError, match="1 vectors for 2 texts"):
        parsed(embed("a", "b"), {"data": [{"embedding": [1.0]}]})
