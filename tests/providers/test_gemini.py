"""Gemini's wire: how requests are written."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Reason
from penstock_schemas.status import ErrorKind
from tests.providers.gemini_calls import (
    EMBEDDING,
    FLASH,
    OLD,
    PRO,
    THREE,
    THREE_PRO,
    VERTEX,
    WEATHER,
)
from tests.providers.wire_calls import KEY, body_of, built, embed, generate

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"$ref": "#/$defs/Kind"},
        "fixed": {"const": "x"},
        "note": {"type": ["string", "null"]},
    },
    "required": ["kind"],
    "$defs": {"Kind": {"type": "string", "enum": ["a", "b"]}},
}


def config_of(ref: str = FLASH, **fields: Any) -> dict[str, Any]:
    return body_of(generate(**({"prompt": "hi"} | fields)), ref).get("generationConfig", {})


def refusal(ref: str = FLASH, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        built(generate(**({"prompt": "hi"} | fields)), ref)
    return caught.value


def test_build_posts_to_the_model_with_the_key_in_its_header() -> None:
    request = built(generate(prompt="hi", system="be brief"), FLASH).request
    assert request.url.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers


@pytest.mark.parametrize("root", ["https://example.test/v1", "http://127.0.0.1:9/google/v1beta"])
def test_build_keeps_the_version_of_the_base_url(root: str) -> None:
    request = built(generate(prompt="hi"), FLASH, base_url=root).request
    assert str(request.url) == f"{root}/models/gemini-2.5-flash:generateContent"


def test_build_of_a_stream_asks_for_events() -> None:
    url = built(generate(prompt="hi"), FLASH, stream=True).request.url
    assert url.path.endswith(":streamGenerateContent")
    assert url.query == b"alt=sse"


def test_build_writes_system_and_user_turns() -> None:
    body = body_of(generate(prompt="hi", system="be brief"), FLASH)
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
    }


def test_build_renames_the_parameters() -> None:
    fields = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ("x",), "seed": 7}
    assert config_of(**fields) == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["x"],
        "seed": 7,
    }


def test_build_takes_the_limit_of_the_attempt() -> None:
    request = body_of(generate(prompt="hi", max_tokens=9), FLASH, max_tokens=18)
    assert request["generationConfig"]["maxOutputTokens"] == 18


def test_build_refuses_a_sixth_stop_sequence() -> None:
    error = refusal(stop=tuple("abcdef"))
    assert (error.kind, error.code) == (ErrorKind.UNSUPPORTED, "stop")


def test_build_drops_penalties_that_newer_models_refuse() -> None:
    made = built(generate(prompt="hi", presence_penalty=0.5), FLASH)
    assert b"presencePenalty" not in made.request.content
    assert made.warnings == (
        "presence_penalty: not sent, google/gemini-2.5-flash does not take it",
    )


def test_build_keeps_penalties_within_their_range_on_older_models() -> None:
    assert config_of(OLD, frequency_penalty=2)["frequencyPenalty"] == 1.99


def test_build_drops_a_seed_of_more_than_32_bits() -> None:
    made = built(generate(prompt="hi", seed=2**40), FLASH)
    assert b"seed" not in made.request.content
    assert any(warning.startswith("seed:") for warning in made.warnings)


@pytest.mark.parametrize(
    ("ref", "effort", "field", "value"),
    [
        (FLASH, "none", "thinkingBudget", 0),
        (FLASH, "medium", "thinkingBudget", 8192),
        (PRO, "none", "thinkingBudget", 128),
        (THREE, "none", "thinkingLevel", "minimal"),
        (THREE, "high", "thinkingLevel", "high"),
        (THREE_PRO, "minimal", "thinkingLevel", "low"),
    ],
)
def test_build_words_effort_as_the_model_wants_it(
    ref: str, effort: str, field: str, value: object
) -> None:
    assert config_of(ref, effort=effort)["thinkingConfig"][field] == value


def test_build_warns_where_a_model_cannot_be_kept_from_thinking() -> None:
    warnings = built(generate(prompt="hi", effort="none"), PRO).warnings
    assert warnings == ("effort: sent as 128, the least of google/gemini-2.5-pro",)


def test_build_asks_for_thoughts_only_where_thinking_was_asked_for() -> None:
    assert config_of(effort="low")["thinkingConfig"]["includeThoughts"] is True
    assert "includeThoughts" not in config_of(effort="none")["thinkingConfig"]
    assert "thinkingConfig" not in config_of()


def test_build_asks_for_thoughts_of_a_reason_job() -> None:
    job = Reason.model_validate({"workspace": "acme", "prompt": "why?"})
    assert body_of(job, FLASH)["generationConfig"]["thinkingConfig"] == {"includeThoughts": True}


def test_build_warns_of_effort_for_a_model_that_does_not_think() -> None:
    made = built(generate(prompt="hi", effort="high"), OLD)
    assert made.warnings == ("effort: not sent, google/gemini-1.5-pro does not think",)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"name": "weather"}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_build_expresses_every_tool_choice(choice: Any, sent: dict[str, Any]) -> None:
    body = body_of(generate(prompt="hi", tools=[WEATHER], tool_choice=choice), FLASH)
    assert body["toolConfig"] == {"functionCallingConfig": sent}


def test_build_sends_no_tool_config_without_tools() -> None:
    assert not body_of(generate(prompt="hi"), FLASH).keys() & {"tools", "toolConfig"}


@pytest.mark.parametrize("name", ["2fast", "-dash", "get weather", "ü" * 70])
def test_build_gives_a_tool_a_name_that_the_wire_takes(name: str) -> None:
    body = body_of(generate(prompt="hi", tools=[WEATHER | {"name": name}]), FLASH)
    sent = body["tools"][0]["functionDeclarations"][0]["name"]
    assert sent[0].isalpha() or sent[0] == "_"
    assert len(sent) <= 64
    assert sent.isascii()


def test_build_warns_that_parallel_calls_cannot_be_forbidden() -> None:
    job = generate(prompt="hi", tools=[WEATHER], parallel_tool_calls=False)
    assert any(w.startswith("parallel_tool_calls:") for w in built(job, FLASH).warnings)


def test_build_takes_json_schema_where_the_model_has_it() -> None:
    config = config_of(schema=SCHEMA)
    assert config["responseMimeType"] == "application/json"
    properties = config["responseJsonSchema"]["properties"]
    assert properties["fixed"] == {"type": "string", "enum": ["x"]}
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert config["responseJsonSchema"]["required"] == ["kind"]


def test_build_writes_the_older_schema_for_older_models() -> None:
    assert config_of(OLD, schema=SCHEMA)["responseSchema"] == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "format": "enum", "enum": ["a", "b"]},
            "fixed": {"type": "string", "format": "enum", "enum": ["x"]},
            "note": {"type": "string", "nullable": True},
        },
        "propertyOrdering": ["kind", "fixed", "note"],
        "required": ["kind"],
    }


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("gemini-2.0-flash", "responseSchema"),
        ("gemini-flash-latest", "responseJsonSchema"),
        ("gemini-4-argon", "responseJsonSchema"),
    ],
)
def test_build_knows_models_that_are_not_in_the_catalogue(name: str, field: str) -> None:
    assert field in config_of(f"google/{name}", schema=SCHEMA)


def test_build_tells_a_recursive_schema_in_words() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": node}}
    body = body_of(generate(prompt="hi", schema=schema), FLASH)
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert "JSON Schema" in body["systemInstruction"]["parts"][0]["text"]


def test_build_makes_the_answer_a_call_beside_tools_on_models_before_three() -> None:
    body = body_of(generate(prompt="hi", schema=SCHEMA, tools=[WEATHER]), FLASH)
    names = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]
    assert names == ["weather", "penstock_record_answer"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert "generationConfig" not in body


def test_build_sends_schema_and_tools_together_from_three_on() -> None:
    body = body_of(generate(prompt="hi", schema=SCHEMA, tools=[WEATHER]), THREE)
    assert "responseJsonSchema" in body["generationConfig"]
    assert len(body["tools"][0]["functionDeclarations"]) == 1
    assert "toolConfig" not in body


def test_build_allows_only_the_answer_where_tools_are_forbidden() -> None:
    job = generate(prompt="hi", schema=SCHEMA, tools=[WEATHER], tool_choice="none")
    choice = body_of(job, FLASH)["toolConfig"]["functionCallingConfig"]
    assert choice == {"mode": "ANY", "allowedFunctionNames": ["penstock_record_answer"]}


def test_build_of_one_text_uses_embed_content() -> None:
    made = built(embed("a"), EMBEDDING).request
    assert made.url.path == "/v1beta/models/gemini-embedding-001:embedContent"
    assert made.content == b'{"content":{"parts":[{"text":"a"}]}}'


def test_build_of_several_texts_uses_one_batch() -> None:
    made = built(embed("a", "b", dimensions=64), EMBEDDING).request
    assert made.url.path.endswith(":batchEmbedContents")
    rows = body_of(embed("a", "b", dimensions=64), EMBEDDING)["requests"]
    assert [row["content"]["parts"][0]["text"] for row in rows] == ["a", "b"]
    assert {row["model"] for row in rows} == {"models/gemini-embedding-001"}
    assert {row["outputDimensionality"] for row in rows} == {64}


def test_build_refuses_more_texts_than_a_batch_holds() -> None:
    with pytest.raises(ProviderError) as caught:
        built(embed(*["a"] * 101), EMBEDDING)
    assert caught.value.code == "input"


def test_build_works_below_a_vertex_address() -> None:
    request = built(generate(prompt="hi"), FLASH, base_url=VERTEX).request
    assert str(request.url) == f"{VERTEX}/models/gemini-2.5-flash:generateContent"
