"""OpenAI's wire: shapes, refusals, streams."""

from __future__ import annotations

import base64
import io
import json
import struct
from math import ceil, isclose, sqrt
from typing import Any

import pytest

STRICT = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["card_arrival", "lost_card", "other"]}},
    "required": ["label"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def strict_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": schema}}


def message(reply: Any) -> Any:
    return reply.body["choices"][0]["message"]


async def test_chat_answers_in_the_shape_of_a_completion(call: Any) -> None:
    reply = await call.openai("The pump failed. It was replaced on Monday.")
    assert reply.status == 200
    assert reply.body["object"] == "chat.completion"
    assert reply.body["choices"][0]["finish_reason"] == "stop"
    assert "pump failed" in message(reply)["content"]


async def test_chat_counts_a_token_per_four_characters(call: Any) -> None:
    reply = await call.openai("x" * 41)
    usage = reply.body["usage"]
    assert usage["prompt_tokens"] == 11
    assert usage["completion_tokens"] == ceil(len(message(reply)["content"]) / 4)


async def test_chat_is_marked_as_simulated(call: Any) -> None:
    assert (await call.openai()).headers["x-penstock-simulated"] == "1"


async def test_chat_fills_a_strict_schema(call: Any) -> None:
    reply = await call.openai("Has my card arrived?", response_format=strict_format(STRICT))
    assert json.loads(message(reply)["content"]) == {"label": "card_arrival"}


async def test_chat_json_object_follows_the_schema_in_the_prompt(call: Any) -> None:
    schema = json.dumps({"type": "object", "properties": {"email": {"type": "string"}}})
    messages = [
        {"role": "system", "content": f"Answer in JSON by this schema: {schema}"},
        {"role": "user", "content": "Write to a@b.example please"},
    ]
    reply = await call.openai(messages=messages, response_format={"type": "json_object"})
    assert json.loads(message(reply)["content"]) == {"email": "a@b.example"}


async def test_chat_picks_a_label_named_in_the_prompt(call: Any) -> None:
    prompt = "Answer with one of: refund, delivery, login.\n\nText: I cannot login any more"
    assert message(await call.openai(prompt))["content"] == "login"


async def test_chat_replies_with_a_fixed_word_when_asked(call: Any) -> None:
    assert message(await call.openai('Reply with "pong"'))["content"] == "pong"


async def test_chat_calls_a_forced_function(call: Any) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    reply = await call.openai("City: Berlin", tools=[WEATHER], tool_choice=choice)
    made = message(reply)["tool_calls"][0]
    assert made["function"]["name"] == "get_weather"
    assert json.loads(made["function"]["arguments"]) == {"city": "Berlin"}
    assert reply.body["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("text", "called"), [("What is the weather in Rome?", True), ("Tell me a joke.", False)]
)
async def test_chat_calls_an_offered_tool_only_when_it_fits(
    call: Any, text: str, called: bool
) -> None:
    assert ("tool_calls" in message(await call.openai(text, tools=[WEATHER]))) is called


async def test_chat_answers_with_text_after_tool_results(call: Any) -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": "21 degrees"},
    ]
    reply = await call.openai(messages=messages, tools=[WEATHER])
    assert "21 degrees" in message(reply)["content"]


async def test_chat_cut_by_max_tokens_finishes_with_length(call: Any) -> None:
    reply = await call.openai("A long sentence to be quoted in full.", max_tokens=2)
    assert reply.body["choices"][0]["finish_reason"] == "length"
    assert len(message(reply)["content"]) == 8


async def test_chat_honours_stop_sequences(call: Any) -> None:
    reply = await call.openai("alpha beta gamma", stop=[" gamma"])
    assert message(reply)["content"].endswith("beta")
    assert reply.body["choices"][0]["finish_reason"] == "stop"


async def test_chat_reports_a_long_prefix_as_cached_the_second_time(call: Any) -> None:
    system = {"role": "system", "content": "rules " * 1000}
    cached: list[int] = []
    for text in ("first", "second"):
        reply = await call.openai(messages=[system, {"role": "user", "content": text}])
        cached.append(reply.body["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert cached == [0, 1408]


async def test_stream_gives_the_same_text_and_usage_as_one_answer(call: Any) -> None:
    whole = await call.openai("The pump failed. It was replaced.")
    streamed = await call.openai(
        "The pump failed. It was replaced.", stream=True, stream_options={"include_usage": True}
    )
    lines = [line[6:] for line in streamed.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == message(whole)["content"]
    assert chunks[-1]["usage"] == whole.body["usage"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no model", {"model": None}, "model"),
    ("no messages", {"messages": None}, "messages"),
    ("five stops", {"stop": list("abcde")}, "stop"),
    ("max_tokens of a reasoning model", {"model": "o3-mini", "max_tokens": 5}, "max_tokens"),
    ("temperature of gpt-5", {"model": "gpt-5", "temperature": 0.2}, "temperature"),
    ("temperature", {"temperature": 2.5}, "temperature"),
    (
        "open schema",
        {"response_format": strict_format({**STRICT, "additionalProperties": True})},
        "additionalProperties",
    ),
    (
        "optional property",
        {"response_format": strict_format({**STRICT, "required": []})},
        "required",
    ),
    ("json without the word", {"response_format": {"type": "json_object"}}, "json"),
    ("tool choice without tools", {"tool_choice": "required"}, "tools"),
    (
        "orphan result",
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "1"}]},
        "tool",
    ),
]


@pytest.mark.parametrize(("body", "says"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
async def test_chat_refuses_what_openai_refuses(call: Any, body: dict[str, Any], says: str) -> None:
    reply = await call.openai(**body)
    assert reply.status == 400
    assert reply.body["error"]["type"] == "invalid_request_error"
    assert says in reply.body["error"]["message"]


async def test_chat_lets_other_providers_take_open_schemas(call: Any) -> None:
    loose = strict_format({**STRICT, "required": []})
    assert (await call.openai(provider="mistral", response_format=loose)).status == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-bad-1"}])
async def test_chat_refuses_a_missing_or_bad_key(call: Any, headers: dict[str, str]) -> None:
    url = f"{call.sim.base_url('openai')}/chat/completions"
    reply = await call.request("POST", url, {}, headers)
    assert reply.status == 401
    assert set(reply.body["error"]) == {"message", "type", "param", "code"}


async def test_chat_does_not_know_models_named_so(call: Any) -> None:
    reply = await call.openai(model="no-such-model")
    assert (reply.status, reply.body["error"]["code"]) == (404, "model_not_found")


async def test_chat_refuses_a_body_that_is_no_json(call: Any) -> None:
    url = f"{call.sim.base_url('openai')}/chat/completions"
    async with call.session.post(url, data=b"{", headers={"authorization": "Bearer k"}) as reply:
        assert reply.status == 400


async def test_chat_reads_bodies_of_several_megabytes(call: Any) -> None:
    content = "word " * 600_000
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]})
    url = f"{call.sim.base_url('openai')}/chat/completions"
    headers = {"authorization": "Bearer k"}
    async with call.session.post(url, data=io.BytesIO(body.encode()), headers=headers) as reply:
        assert (await reply.json())["usage"]["prompt_tokens"] == 750_000


async def embeddings(call: Any, **body: Any) -> Any:
    url = f"{call.sim.base_url('openai')}/embeddings"
    whole = {"model": "text-embedding-3-small", **body}
    return await call.request("POST", url, whole, {"authorization": "Bearer k"})


async def test_embeddings_are_unit_vectors_of_the_wanted_size(call: Any) -> None:
    reply = await embeddings(call, input=["a red mug", "a blue mug"], dimensions=64)
    vectors = [item["embedding"] for item in reply.body["data"]]
    assert [len(v) for v in vectors] == [64, 64]
    assert all(isclose(sqrt(sum(x * x for x in v)), 1) for v in vectors)


async def test_embeddings_of_texts_that_share_words_are_nearer(call: Any) -> None:
    reply = await embeddings(
        call, input=["red mug broken", "broken mug", "invoice unpaid since May"]
    )
    a, b, c = (item["embedding"] for item in reply.body["data"])
    assert sum(map(float.__mul__, a, b)) > 0.5 > sum(map(float.__mul__, a, c))


async def test_embeddings_in_base64_hold_the_same_floats(call: Any) -> None:
    plain = await embeddings(call, input="a red mug")
    packed = await embeddings(call, input="a red mug", encoding_format="base64")
    raw = base64.b64decode(packed.body["data"][0]["embedding"])
    floats = struct.unpack(f"<{len(raw) // 4}f", raw)
    assert floats == pytest.approx(plain.body["data"][0]["embedding"], abs=1e-6)


async def test_models_are_listed(call: Any) -> None:
    url = f"{call.sim.base_url('openai')}/models"
    reply = await call.request("GET", url, headers={"authorization": "Bearer k"})
    assert "gpt-4o" in [model["id"] for model in reply.body["data"]]


async def test_unknown_address_is_answered_404(call: Any) -> None:
    assert (await call.request("POST", f"{call.sim.base_url('openai')}/nothing")).status == 404


@pytest.mark.parametrize("model", ["gpt-5-codex", "o3-pro-2025-06-10", "o3-deep-research"])
async def test_chat_knows_no_models_of_the_responses_wire(call: Any, model: str) -> None:
    reply = await call.openai(model=model)
    assert reply.status == 404
    assert reply.body["error"] == {
        "message": "This model is only supported in v1/responses and not in v1/chat/completions.",
        "type": "invalid_request_error",
        "param": "model",
        "code": None,
    }


async def test_chat_of_another_provider_may_have_such_names(call: Any) -> None:
    assert (await call.openai(provider="openrouter", model="openai/gpt-5-codex")).status == 200


@pytest.mark.parametrize(
    ("model", "effort", "status"),
    [
        ("gpt-6-sol", {}, 400),
        ("gpt-6-sol", {"reasoning_effort": "low"}, 400),
        ("gpt-6-sol", {"reasoning_effort": "none"}, 200),
        ("gpt-5.4", {"reasoning_effort": "low"}, 400),
        ("gpt-5.4", {}, 200),
        ("gpt-5", {"reasoning_effort": "low"}, 200),
    ],
)
async def test_chat_takes_tools_of_newer_models_only_without_reasoning(
    call: Any, model: str, effort: dict[str, str], status: int
) -> None:
    assert (await call.openai(model=model, tools=[WEATHER], **effort)).status == status


async def test_chat_says_which_wire_takes_tools_with_reasoning(call: Any) -> None:
    error = (await call.openai(model="gpt-6-sol", tools=[WEATHER])).body["error"]
    assert "use /v1/responses or set reasoning_effort to 'none'" in error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "reasoning_effort")


async def test_chat_without_tools_takes_newer_models_as_they_are(call: Any) -> None:
    assert (await call.openai(model="gpt-6-sol", reasoning_effort="low")).status == 200
