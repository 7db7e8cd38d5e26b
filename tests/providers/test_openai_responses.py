"""How jobs are written on OpenAI's Responses wire."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Extract
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.openai_chat import OpenAIChat
from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.openai_responses_effort import nearest_effort
from penstock_worker.providers.registry import adapter_for
from tests.providers.wire_calls import KEY, body_of, built, call_for, embed, generate

SOL = "openai/gpt-6-sol"
CODEX = "openai/gpt-5.3-codex"
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}
SEALED = {"provider": "openai", "data": "sealed", "id": "rs_1", "text": "so"}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def calling(*ids: str, **fields: Any) -> dict[str, Any]:
    calls = [{"id": call_id, "name": "weather", "arguments": {"n": 1}} for call_id in ids]
    return {"role": "assistant", "tool_calls": calls, **fields}


def result_of(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def input_of(*messages: dict[str, Any], ref: str = SOL) -> list[dict[str, Any]]:
    return body_of(generate(messages=list(messages)), ref)["input"]


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item.get("type") or item["role"] for item in items]


def warnings_of(ref: str = SOL, **fields: Any) -> str:
    return "; ".join(built(generate(**{"prompt": "hi", **fields}), ref).warnings)


def refusal_of(ref: str = SOL, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        built(generate(**{"prompt": "hi", **fields}), ref)
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    return caught.value


@pytest.mark.parametrize(
    ("ref", "adapter"),
    [
        (SOL, OpenAIResponses),
        (CODEX, OpenAIResponses),
        ("openai/gpt-5.5-pro", OpenAIResponses),
        ("openai/o3-pro-2025-06-10", OpenAIResponses),
        ("openai/gpt-5.4-mini", OpenAIResponses),
        ("azure/gpt-5.1-codex", OpenAIResponses),
        ("openai/gpt-4o", OpenAIChat),
        ("openai/gpt-5", OpenAIChat),
        ("openai/gpt-5.1-2025-11-13", OpenAIChat),
        ("openai/text-embedding-3-small", OpenAIChat),
        ("mistral/some-pro", OpenAIChat),
    ],
)
def test_catalogue_chooses_the_wire_of_a_model(ref: str, adapter: type) -> None:
    model = catalog().resolve(ref)
    assert isinstance(adapter_for(catalog().provider(model.provider), model), adapter)


def test_adapter_without_a_model_is_that_of_the_provider() -> None:
    assert isinstance(adapter_for(catalog().provider("openai")), OpenAIChat)


def test_prompt_goes_stateless_with_key_and_instructions() -> None:
    job = generate(prompt="hi", system="be brief", max_tokens=100)
    request = built(job, SOL).request
    assert str(request.url) == "https://api.openai.com/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert body_of(job, SOL) == {
        "model": "gpt-6-sol",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "instructions": "be brief",
        "input": [user("hi")],
        "max_output_tokens": 100,
    }


def test_instructions_alone_become_the_input() -> None:
    body = body_of(generate(messages=[{"role": "system", "content": "go"}]), SOL)
    assert body["input"] == [{"role": "developer", "content": "go"}]
    assert "instructions" not in body


def test_nothing_to_say_is_refused() -> None:
    assert refusal_of(prompt=None, messages=[user("")]).code == "messages"


def test_sealed_reasoning_is_asked_of_models_that_reason_only() -> None:
    plain = catalog().resolve("openai/gpt-4o").model_copy(update={"wire": "openai_responses"})
    assert "include" not in body_of(generate(prompt="hi"), "openai/gpt-4o", model=plain)


def test_streams_are_asked_for_without_padding() -> None:
    body = body_of(generate(prompt="hi"), SOL, stream=True)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_obfuscation": False}
    assert "stream" not in body_of(generate(prompt="hi"), SOL)


def test_limit_of_an_attempt_outranks_the_jobs() -> None:
    job = generate(prompt="hi", max_tokens=100)
    assert body_of(job, SOL, max_tokens=200)["max_output_tokens"] == 200


def test_limit_below_the_least_is_raised_with_a_warning() -> None:
    assert body_of(generate(prompt="hi", max_tokens=3), SOL)["max_output_tokens"] == 16
    assert "max_tokens" in warnings_of(max_tokens=3)


def test_stop_is_refused() -> None:
    assert refusal_of(stop=["x"]).code == "stop"


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.5},
        {"temperature": 0.5},
        {"top_p": 0.5},
    ],
    ids=str,
)
def test_parameters_without_a_place_are_dropped_with_a_warning(fields: dict[str, Any]) -> None:
    (name,) = fields
    assert name not in body_of(generate(prompt="hi", **fields), SOL)
    assert name in warnings_of(**fields)


def test_sampling_parameters_go_to_models_that_take_them() -> None:
    plain = catalog().resolve("openai/gpt-4o").model_copy(update={"wire": "openai_responses"})
    job = generate(prompt="hi", temperature=0.5, top_p=0.9, seed=1)
    body = body_of(job, "openai/gpt-4o", model=plain)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert "seed" not in body


def test_effort_goes_as_it_is_where_the_model_takes_it() -> None:
    body = body_of(generate(prompt="hi", effort="low"), SOL)
    assert body["reasoning"] == {"effort": "low"}


def test_effort_that_a_model_lacks_becomes_the_nearest_with_a_warning() -> None:
    body = body_of(generate(prompt="hi", effort="none"), CODEX.replace("5.3", "5.1"))
    assert body["reasoning"] == {"effort": "low"}
    assert "effort" in warnings_of("openai/gpt-5-pro", effort="minimal")


@pytest.mark.parametrize(
    ("name", "asked", "sent"),
    [
        ("o3-pro", "none", "low"),
        ("gpt-5-mini", "none", "minimal"),
        ("gpt-5-pro", "low", "high"),
        ("gpt-5.4-pro", "low", "medium"),
        ("gpt-6-sol", "minimal", "low"),
        ("gpt-6-sol", "none", "none"),
        ("gpt-6-astra", "none", "low"),
        ("gpt-5.3-codex", "none", "low"),
        ("some-other-model", "minimal", "minimal"),
    ],
)
def test_nearest_effort_of_a_model(name: str, asked: Any, sent: str) -> None:
    assert nearest_effort(name, asked) == sent


def test_effort_is_dropped_where_nothing_reasons() -> None:
    plain = catalog().resolve("openai/gpt-4o").model_copy(update={"wire": "openai_responses"})
    job = generate(prompt="hi", effort="high")
    assert "reasoning" not in body_of(job, "openai/gpt-4o", model=plain)
    assert "effort" in built(job, "openai/gpt-4o", model=plain).warnings[0]


def test_embeddings_are_refused() -> None:
    with pytest.raises(ProviderError) as caught:
        OpenAIResponses().build(call_for(embed("a"), SOL))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_messages_keep_their_order_and_late_instructions_their_place() -> None:
    late = {"role": "system", "content": "be kind"}
    said = {"role": "assistant", "content": "hello"}
    assert input_of(user("hi"), said, late, user("well?")) == [
        user("hi"),
        {"role": "assistant", "content": "hello"},
        {"role": "developer", "content": "be kind"},
        user("well?"),
    ]


def test_parts_are_named_as_input() -> None:
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "image", "data": "QUJD", "media_type": "image/png"},
        {"type": "document", "data": "QUJD", "title": "a.pdf"},
        {"type": "document", "url": "https://example.com/b.pdf"},
        {"type": "document", "data": "QUJD"},
    ]
    assert input_of(user(parts))[0]["content"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,QUJD",
        },
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": "data:application/pdf;base64,QUJD",
        },
    ]


@pytest.mark.parametrize("message", ["user", "tool"])
def test_images_are_refused_by_models_that_see_none(message: str) -> None:
    blind = catalog().resolve(SOL).model_copy(update={"capabilities": frozenset({"tools"})})
    picture = [{"type": "image", "url": "https://example.com/a.png"}]
    messages = {"user": [user(picture)], "tool": [calling("a"), result_of("a", picture)]}[message]
    with pytest.raises(ProviderError) as caught:
        built(generate(messages=messages), SOL, model=blind)
    assert caught.value.code == "messages"


def test_pictures_of_assistants_are_refused() -> None:
    said = {"role": "assistant", "content": [{"type": "image", "url": "https://example.com/a"}]}
    assert refusal_of(prompt=None, messages=[said]).code == "messages"


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("no such city", "Error: no such city"),
        (
            [{"type": "image", "url": "https://example.com/a"}],
            [
                {"type": "input_text", "text": "Error: "},
                {"type": "input_image", "image_url": "https://example.com/a"},
            ],
        ),
    ],
)
def test_a_failed_tool_says_so_in_its_output(content: Any, sent: Any) -> None:
    result = result_of("a", content) | {"is_error": True}
    assert input_of(user("go"), calling("a"), result)[-1]["output"] == sent


def test_calls_and_results_are_items_of_their_own() -> None:
    items = input_of(user("go"), calling("a", "b", content="calling"), result_of("b"))
    assert kinds(items) == [
        "user",
        "assistant",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    assert items[2] == {
        "type": "function_call",
        "call_id": "a",
        "name": "weather",
        "arguments": '{"n":1}',
    }
    assert [item["call_id"] for item in items[4:]] == ["a", "b"]


def test_results_may_show_images() -> None:
    picture = [{"type": "image", "url": "https://example.com/a.png"}]
    last = input_of(user("go"), calling("a"), result_of("a", picture))[-1]
    assert last["output"] == [{"type": "input_image", "image_url": "https://example.com/a.png"}]


def test_long_call_ids_are_shortened_alike_in_call_and_result() -> None:
    items = input_of(user("go"), calling("a" * 65), result_of("a" * 65))
    assert items[1]["call_id"] == items[2]["call_id"]
    assert len(items[1]["call_id"]) <= 64


def test_reasoning_goes_back_sealed_before_what_followed_it() -> None:
    items = input_of(user("go"), calling("a", reasoning=[SEALED]), result_of("a"))
    assert kinds(items) == ["user", "reasoning", "function_call", "function_call_output"]
    assert items[1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "so"}],
        "encrypted_content": "sealed",
    }


def test_reasoning_between_calls_goes_back_to_its_place() -> None:
    message = calling("a", "b", content="wait", reasoning=[SEALED, {**SEALED, "id": "rs_2"}])
    message["tool_calls"][1] |= {"signature": "rs_2", "signed_by": "openai"}
    items = input_of(user("go"), message, result_of("a"), result_of("b"))
    assert [item.get("id") or item.get("call_id") or item["role"] for item in items[:5]] == [
        "user",
        "rs_1",
        "assistant",
        "a",
        "rs_2",
    ]


def test_reasoning_of_another_provider_is_stripped_with_a_warning() -> None:
    foreign = {"provider": "anthropic", "text": "hm", "signature": "x"}
    said = {"role": "assistant", "content": "a", "reasoning": [foreign]}
    job = generate(messages=[user("go"), said, user("on")])
    assert kinds(body_of(job, SOL)["input"]) == ["user", "assistant", "user"]
    assert "another provider" in built(job, SOL).warnings[0]


def test_reasoning_without_its_content_is_not_sent_to_openai() -> None:
    bare = {"provider": "openai", "id": "rs_1", "text": "so"}
    items = input_of(user("go"), calling("a", reasoning=[bare]), result_of("a"))
    assert "reasoning" not in kinds(items)


def test_reasoning_that_nothing_followed_is_not_sent() -> None:
    alone = {"role": "assistant", "reasoning": [SEALED]}
    job = generate(messages=[user("go"), alone, user("on")])
    assert kinds(body_of(job, SOL)["input"]) == ["user", "user"]
    assert "nothing followed" in built(job, SOL).warnings[0]


def test_reasoning_in_plain_words_goes_back_where_providers_take_it() -> None:
    model = catalog().resolve("deepseek/deepseek-chat")
    spoken = model.model_copy(update={"wire": "openai_responses"})
    bare = {"provider": "deepseek", "id": "r1", "text": "so"}
    job = generate(messages=[user("go"), calling("a", reasoning=[bare]), result_of("a")])
    assert body_of(job, model.ref, model=spoken)["input"][1] == {
        "type": "reasoning",
        "id": "r1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "so"}],
    }


def test_tools_are_flat_and_strict_only_where_nothing_would_change() -> None:
    closed = {"name": "a.b", "description": "d", "parameters": CLOSED}
    tools = body_of(generate(prompt="hi", tools=[TOOL, closed]), SOL)["tools"]
    assert tools[0] == {
        "type": "function",
        "name": "weather",
        "parameters": TOOL["parameters"],
        "strict": False,
    }
    assert (tools[1]["strict"], tools[1]["parameters"]) == (True, CLOSED)
    assert tools[1]["name"] != "a.b"


def test_tools_without_properties_get_an_empty_set() -> None:
    (tool,) = body_of(generate(prompt="hi", tools=[{"name": "now"}]), SOL)["tools"]
    assert tool["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("required", "required"),
        ({"name": "weather"}, {"type": "function", "name": "weather"}),
    ],
)
def test_tool_choice_in_all_its_forms(choice: Any, sent: Any) -> None:
    body = body_of(generate(prompt="hi", tools=[TOOL], tool_choice=choice), SOL)
    assert body["tool_choice"] == sent


def test_parallel_calls_can_be_forbidden() -> None:
    job = generate(prompt="hi", tools=[TOOL], parallel_tool_calls=False)
    assert body_of(job, SOL)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body_of(generate(prompt="hi", tools=[TOOL]), SOL)


def test_schema_goes_as_a_strict_text_format() -> None:
    job = Extract.model_validate({"workspace": "acme", "text": "Ann", "schema": PERSON})
    held = body_of(job, SOL)["text"]["format"]
    assert (held["type"], held["name"], held["strict"]) == ("json_schema", "answer", True)
    assert held["schema"]["required"] == ["name", "age"]


def test_schema_beyond_the_dialect_goes_unenforced() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    job = Extract.model_validate({"workspace": "acme", "text": "Ann", "schema": schema})
    assert body_of(job, SOL)["text"]["format"]["strict"] is False


def test_labels_go_as_an_enum() -> None:
    body = body_of(Classify(workspace="acme", text="Ann", labels=("a", "b")), SOL)
    label = body["text"]["format"]["schema"]["properties"]["label"]
    assert label["enum"] == ["a", "b"]


def test_json_asks_in_the_input_where_the_wire_looks_for_the_word() -> None:
    body = body_of(generate(prompt="hi", json=True, system="be brief"), SOL)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert body["input"][0]["role"] == "developer"
    assert "JSON" in body["input"][0]["content"]
    assert body["instructions"] == "be brief"
