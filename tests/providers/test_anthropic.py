"""How jobs are written in Anthropic Messages, and how its answers are read."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Extract
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.tool_wire import OUTPUT_TOOL
from tests.providers.wire_calls import (
    CLAUDE,
    CLAUDE_BY_TOOL,
    KEY,
    body_of,
    built,
    claude,
    embed,
    generate,
    parsed,
    text_block,
)

UNFORCED = ["anthropic/claude-sonnet-5-5", "anthropic/claude-opus-5-5"]
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
OTHER = {"name": "other", "parameters": {"type": "object", "properties": {}}}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}},
    "required": ["name"],
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def calling(*ids: str, text: str = "") -> dict[str, Any]:
    calls = [{"id": call_id, "name": "weather", "arguments": {"n": 1}} for call_id in ids]
    return {"role": "assistant", "content": text, "tool_calls": calls}


def tool_result(call_id: str, content: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def messages_of(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return body_of(generate(messages=list(messages)), CLAUDE)["messages"]


def test_prompt_goes_with_version_key_and_a_required_limit() -> None:
    job = generate(prompt="hi", system="be brief")
    request = built(job, CLAUDE).request
    assert str(request.url) == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    body = body_of(job, CLAUDE)
    assert body["max_tokens"] > 0
    assert (body["system"], body["messages"]) == ("be brief", [user("hi")])


def test_a_base_url_that_names_the_version_gets_it_once() -> None:
    request = built(generate(prompt="hi"), CLAUDE, base_url="http://127.0.0.1:9/v1").request
    assert str(request.url) == "http://127.0.0.1:9/v1/messages"


def test_default_limit_is_within_the_models_own() -> None:
    small = "anthropic/claude-3-5-haiku-20241022"
    assert body_of(generate(prompt="hi"), small)["max_tokens"] == 8192
    assert body_of(generate(prompt="hi", max_tokens=9), small)["max_tokens"] == 9
    assert body_of(generate(prompt="hi"), "anthropic/claude-unheard-of")["max_tokens"] == 4096


def test_cached_system_is_a_marked_block() -> None:
    body = body_of(generate(prompt="hi", system="long", cache_system=True), CLAUDE)
    assert body["system"] == [
        {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    ]


def test_parallel_results_stand_in_one_user_message_before_its_text() -> None:
    sent = messages_of(
        user("go"),
        calling("a", "b", text="calling"),
        tool_result("b", "B"),
        user("well?"),
        tool_result("a", " "),
    )
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert [b.get("tool_use_id") or b["text"] for b in sent[2]["content"]] == ["a", "b", "well?"]
    assert sent[2]["content"][0]["content"] == "(no output)"


def test_orphan_calls_get_an_error_result() -> None:
    last = messages_of(user("go"), calling("a"))[-1]
    assert last["role"] == "user"
    assert last["content"][0]["is_error"] is True


def test_late_system_messages_become_marked_user_text() -> None:
    sent = messages_of(user("hi"), {"role": "developer", "content": "be kind"}, user("well?"))
    assert [block["text"] for block in sent[0]["content"]] == [
        "hi",
        "<system>\nbe kind\n</system>",
        "well?",
    ]


def test_empty_messages_are_dropped_and_a_prefill_loses_trailing_space() -> None:
    assistant = {"role": "assistant", "content": "The answer is \n"}
    sent = messages_of(user("hi"), {"role": "assistant", "content": " "}, user("now"), assistant)
    assert [m["role"] for m in sent] == ["user", "assistant"]
    assert sent[-1]["content"] == "The answer is"


def test_a_conversation_of_blanks_is_refused() -> None:
    with pytest.raises(ProviderError, match="messages") as caught:
        messages_of(user("  "))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_a_conversation_starts_with_a_user_message() -> None:
    assert messages_of({"role": "assistant", "content": "hello"}, user("hi"))[0]["role"] == "user"


def test_arguments_go_as_an_object_even_when_they_were_none() -> None:
    broken = {"id": "a", "name": "weather", "arguments": None, "raw_arguments": "{oops"}
    message = {"role": "assistant", "content": "", "tool_calls": [broken]}
    sent = messages_of(user("go"), message, tool_result("a"))
    assert sent[1]["content"][0]["input"] == {"raw_arguments": "{oops"}


def test_call_ids_outside_the_wires_alphabet_are_mapped_on_both_sides() -> None:
    sent = messages_of(user("go"), calling("call:1/x"), tool_result("call:1/x"))
    sent_id = sent[1]["content"][0]["id"]
    assert sent_id == sent[2]["content"][0]["tool_use_id"]
    assert sent_id.isalnum()


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ({"url": "https://x.org/a.png"}, {"type": "url", "url": "https://x.org/a.png"}),
        (
            {"url": "data:image/png;base64,aGk="},
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
        ),
        (
            {"data": "aGk=", "media_type": "image/gif"},
            {"type": "base64", "media_type": "image/gif", "data": "aGk="},
        ),
    ],
)
def test_images_go_by_url_or_as_data(part: dict[str, str], source: dict[str, str]) -> None:
    message = {"role": "user", "content": [{"type": "image", **part}]}
    assert messages_of(message)[0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"name": "weather"}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice_is_expressed(choice: Any, sent: Any) -> None:
    body = body_of(generate(prompt="go", tools=[TOOL], tool_choice=choice), CLAUDE)
    assert body.get("tool_choice") == sent
    assert body["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.parametrize("ref", UNFORCED)
def test_a_model_that_cannot_be_forced_gets_the_one_tool_and_auto(ref: str) -> None:
    job = generate(prompt="go", tools=[TOOL, OTHER], tool_choice={"name": "weather"})
    body = body_of(job, ref)
    assert body["tool_choice"] == {"type": "auto"}
    assert [tool["name"] for tool in body["tools"]] == ["weather"]
    assert any("tool_choice" in warning for warning in built(job, ref).warnings)


def test_sampling_follows_the_wires_rules() -> None:
    made = built(generate(prompt="x", temperature=1.5, top_p=0.9, seed=1, stop=["a"]), CLAUDE)
    body = body_of(generate(prompt="x", temperature=1.5, top_p=0.9, seed=1, stop=["a"]), CLAUDE)
    assert body["temperature"] == 1
    assert body["stop_sequences"] == ["a"]
    assert not body.keys() & {"top_p", "seed", "stop"}
    assert [w.partition(":")[0] for w in made.warnings] == ["seed", "temperature", "top_p"]


def test_embeddings_are_refused() -> None:
    with pytest.raises(ProviderError) as caught:
        built(embed("a"), CLAUDE)
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_schema_is_an_output_format_with_limits_in_words() -> None:
    job = Extract.model_validate({"workspace": "acme", "text": "Ann", "schema": PERSON})
    held = body_of(job, CLAUDE)["output_config"]["format"]
    assert held["type"] == "json_schema"
    assert held["schema"]["additionalProperties"] is False
    assert held["schema"]["required"] == ["name"]
    name = held["schema"]["properties"]["name"]
    assert name == {"type": "string", "description": "(minLength: 1)"}
    assert parsed(job, claude(text_block('{"name":"Ann"}')), CLAUDE).output == {"name": "Ann"}


def test_older_models_answer_through_a_forced_tool_as_content() -> None:
    job = Classify(workspace="acme", text="x", labels=("a", "b"))
    body = body_of(job, CLAUDE_BY_TOOL)
    assert body["tool_choice"] == {"type": "tool", "name": OUTPUT_TOOL}
    assert "output_config" not in body
    block = {"type": "tool_use", "id": "t", "name": OUTPUT_TOOL, "input": {"label": "b"}}
    answer = parsed(job, claude(block, stop="tool_use"), CLAUDE_BY_TOOL)
    assert (answer.output, answer.text) == ("b", '{"label":"b"}')
    assert (answer.tool_calls, answer.finish_reason) == ((), FinishReason.STOP)


def test_the_forced_tool_leaves_the_callers_tools_callable() -> None:
    job = generate(prompt="x", tools=[TOOL], schema=PERSON)
    body = body_of(job, CLAUDE_BY_TOOL)
    assert body["tool_choice"] == {"type": "any"}
    assert [tool["name"] for tool in body["tools"]] == ["weather", OUTPUT_TOOL]
    block = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    answer = parsed(job, claude(block, stop="tool_use"), CLAUDE_BY_TOOL)
    assert answer.tool_calls[0].name == "weather"


def test_a_recursive_schema_goes_through_the_tool() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    }
    job = generate(prompt="x", schema={"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    body = body_of(job, CLAUDE)
    assert "output_config" not in body
    assert body["tools"][0]["input_schema"]["type"] == "object"


def test_usage_is_inclusive_of_cache_reads_and_writes() -> None:
    body = claude(text_block("hi"), cache_read_input_tokens=7, cache_creation_input_tokens=3)
    usage = parsed(generate(prompt="x"), body, CLAUDE).usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (20, 7, 3)


def test_thinking_is_left_out_and_text_is_joined() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer = parsed(
        generate(prompt="x"), claude(thinking, text_block("a"), text_block("b")), CLAUDE
    )
    assert answer.text == "ab"


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("pause_turn", FinishReason.PAUSE),
        ("something_new", FinishReason.UNKNOWN),
    ],
)
def test_stop_reasons_are_mapped(stop: str, finish: FinishReason) -> None:
    answer = parsed(generate(prompt="x"), claude(text_block("hi"), stop=stop), CLAUDE)
    assert answer.finish_reason is finish


@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        ("refusal", ErrorKind.REFUSAL),
        ("model_context_window_exceeded", ErrorKind.CONTEXT_LENGTH),
    ],
)
def test_answers_that_are_none_raise_with_their_usage(stop: str, kind: ErrorKind) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        parsed(generate(prompt="x"), claude(text_block("hi"), stop=stop), CLAUDE)
    assert caught.value.kind is kind
    assert caught.value.usage.output_tokens == 4


def test_an_error_with_status_200_is_an_error() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ProviderError) as caught:
        parsed(generate(prompt="x"), body, CLAUDE)
    assert caught.value.kind is ErrorKind.OVERLOADED
