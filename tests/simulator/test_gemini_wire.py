"""Gemini's wire: shapes, refusals, streams, embeddings; and that the worker's adapter fits it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed, Generate
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.gemini import GeminiContent
from penstock_worker.providers.protocol import Answer, AnyJob, Call
from penstock_worker.simulator.faults import Fault

HEADERS = {"x-goog-api-key": "key"}
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["refund", "delivery"]}},
    "required": ["label"],
}
OLDER = {
    "type": "OBJECT",
    "properties": {"label": {"type": "STRING", "enum": ["refund", "delivery"]}},
}
TOOL = {"name": "record", "description": "Record the label", "parametersJsonSchema": SCHEMA}
TOOLS = [{"functionDeclarations": [TOOL]}]
ASK = {"role": "user", "parts": [{"text": "I want a refund"}]}
CALL = {"functionCall": {"name": "record", "args": {"label": "refund"}}}
MADE = {"role": "model", "parts": [CALL]}
SIGNED = {"role": "model", "parts": [CALL | {"thoughtSignature": "c2ln"}]}
RESULT = {"functionResponse": {"name": "record", "response": {"output": "done"}}}
GIVEN = {"role": "user", "parts": [RESULT]}
JSON_MODE = {"responseMimeType": "application/json"}


async def post(
    call: Any,
    body: dict[str, Any],
    *,
    model: str = "gemini-2.5-flash",
    method: str = "generateContent",
    version: str = "v1beta",
    headers: dict[str, str] = HEADERS,
) -> Any:
    url = f"{call.sim.url}/google/{version}/models/{model}:{method}"
    return await call.request("POST", url, body, headers)


async def chat(call: Any, *contents: Any, **more: Any) -> Any:
    names = ("model", "method", "version", "headers")
    where = {name: more.pop(name) for name in names if name in more}
    return await post(call, {"contents": list(contents) or [ASK], **more}, **where)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_response_has_the_shape_of_one(call: Any, version: str) -> None:
    reply = await chat(call, version=version)
    assert reply.status == 200
    (candidate,) = reply.body["candidates"]
    assert (candidate["finishReason"], candidate["content"]["role"]) == ("STOP", "model")
    assert "refund" in candidate["content"]["parts"][0]["text"]
    counts = reply.body["usageMetadata"]
    assert counts["totalTokenCount"] == counts["promptTokenCount"] + counts["candidatesTokenCount"]
    assert reply.headers["x-penstock-simulated"] == "1"


@pytest.mark.parametrize("form", [{"responseJsonSchema": SCHEMA}, {"response_schema": OLDER}])
async def test_response_fills_a_schema(call: Any, form: dict[str, Any]) -> None:
    reply = await chat(call, generationConfig=JSON_MODE | form)
    text = reply.body["candidates"][0]["content"]["parts"][0]["text"]
    assert json.loads(text) == {"label": "refund"}


async def test_response_calls_a_forced_function(call: Any) -> None:
    choice = {"mode": "ANY", "allowedFunctionNames": ["record"]}
    reply = await chat(call, tools=TOOLS, toolConfig={"functionCallingConfig": choice})
    made = reply.body["candidates"][0]["content"]["parts"][0]["functionCall"]
    assert (made["name"], made["args"]) == ("record", {"label": "refund"})


async def test_response_signs_the_call_of_a_newer_model(call: Any) -> None:
    choice = {"functionCallingConfig": {"mode": "ANY"}}
    reply = await chat(call, tools=TOOLS, toolConfig=choice, model="gemini-3.8-flash")
    part = reply.body["candidates"][0]["content"]["parts"][0]
    turn = {"role": "model", "parts": [part]}
    again = await chat(call, ASK, turn, GIVEN, tools=TOOLS, model="gemini-3.8-flash")
    assert again.status == 200
    assert "done" in again.body["candidates"][0]["content"]["parts"][0]["text"]


async def test_response_cut_by_max_output_tokens_says_so(call: Any) -> None:
    reply = await chat(call, generationConfig={"maxOutputTokens": 1})
    assert reply.body["candidates"][0]["finishReason"] == "MAX_TOKENS"


async def test_response_shows_thoughts_that_were_asked_for(call: Any) -> None:
    config = {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}}
    reply = await chat(call, generationConfig=config)
    thought, said = reply.body["candidates"][0]["content"]["parts"]
    assert thought["thought"] is True
    assert "thought" not in said
    assert reply.body["usageMetadata"]["thoughtsTokenCount"] > 0


async def test_response_counts_cached_tokens_inside_the_prompt(call: Any) -> None:
    system = {"parts": [{"text": "rules " * 1000}]}
    await chat(call, systemInstruction=system)
    counts = (await chat(call, systemInstruction=system)).body["usageMetadata"]
    assert 1024 <= counts["cachedContentTokenCount"] < counts["promptTokenCount"]


async def test_stream_ends_with_a_finish_reason_and_carries_the_text(call: Any) -> None:
    reply = await chat(call, method="streamGenerateContent")
    lines = [line for line in reply.text.splitlines() if line.startswith("data: ")]
    bodies = [json.loads(line[6:]) for line in lines]
    reasons = [body["candidates"][0].get("finishReason") for body in bodies]
    assert reasons[-1] == "STOP"
    assert not any(reasons[:-1])
    parts = [part for body in bodies for part in body["candidates"][0]["content"]["parts"]]
    whole = (await chat(call)).body["candidates"][0]["content"]["parts"][0]["text"]
    assert "".join(part["text"] for part in parts) == whole


def function(name: str) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": name}]}]}


def choice(**fields: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": fields}}


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


THREE = {"model": "gemini-3.8-flash"}
MIXED = user(RESULT, {"text": "and?"})
BAD_RESULT = user({"functionResponse": {"name": "record", "response": "done"}})
REFUSED: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("role", [{"role": "assistant", "parts": [{"text": "x"}]}], {}, "valid role"),
    ("no parts", [{"role": "user", "parts": []}], {}, "must not be empty"),
    ("empty text", [user({"text": ""})], {}, "required oneof"),
    ("call without user turn", [MADE, GIVEN], {}, "immediately after a user turn"),
    ("result without call", [GIVEN], {}, "immediately after a function call"),
    ("call without result", [ASK, MADE, ASK], {}, "equal to the number"),
    ("two results", [ASK, MADE, user(RESULT, RESULT)], {}, "equal to the number"),
    ("call at the end", [ASK, MADE], {}, "equal to the number"),
    ("scalar result", [ASK, MADE, BAD_RESULT], {}, "protobuf.Struct"),
    ("unsigned call", [ASK, MADE, GIVEN], THREE, "missing a thought_signature"),
    ("mixed results", [ASK, SIGNED, MIXED], THREE, "beside other parts"),
    ("unknown field", [], {"max_tokens": 3}, 'Unknown name "maxTokens"'),
    ("config without tools", [], choice(mode="NONE"), "without function_declarations"),
    ("names without ANY", [], choice(allowedFunctionNames=["record"]) | {"tools": TOOLS}, "ANY"),
    (
        "unknown function",
        [],
        choice(mode="ANY", allowedFunctionNames=["other"]) | {"tools": TOOLS},
        "other",
    ),
    ("mode", [], choice(mode="SOME") | {"tools": TOOLS}, "mode"),
    ("function name", [], function("2fast"), "Invalid function name"),
    ("temperature", [], config(temperature=2.5), "temperature"),
    ("stops", [], config(stopSequences=list("abcdef")), "stop_sequences"),
    ("no tokens", [], config(maxOutputTokens=0), "maxOutputTokens"),
    ("penalty", [], config(presencePenalty=0.5), "Penalty is not enabled"),
    ("level", [], config(thinkingConfig={"thinkingLevel": "low"}), "level is not supported"),
    ("schema without JSON", [], config(responseSchema=OLDER), "response_mime_type"),
    ("JSON with tools", [], config(**JSON_MODE) | {"tools": TOOLS}, "is unsupported"),
    (
        "reference",
        [],
        config(**JSON_MODE, responseSchema={"$ref": "#/x"}),
        'Unknown name "$ref"',
    ),
    (
        "list of types",
        [],
        config(**JSON_MODE, responseSchema={"type": ["string", "null"]}),
        "list of types",
    ),
    ("cache beside system", [], {"cachedContent": "c", "systemInstruction": ASK}, "CachedContent"),
]


@pytest.mark.parametrize(
    ("contents", "more", "says"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
async def test_what_gemini_refuses_is_refused(
    call: Any, contents: list[Any], more: dict[str, Any], says: str
) -> None:
    reply = await chat(call, *contents, **more)
    assert reply.status == 400
    error = reply.body["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert says in error["message"]


@pytest.mark.parametrize("contents", [[], None, "hi", [3]])
async def test_contents_that_are_none_are_refused(call: Any, contents: Any) -> None:
    reply = await post(call, {"contents": contents})
    assert (reply.status, reply.body["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_unsigned_calls_of_earlier_turns_are_taken(call: Any) -> None:
    reply = await chat(call, ASK, MADE, GIVEN, ASK, **THREE)
    assert reply.status == 200


async def test_keys_are_needed_and_bad_ones_refused(call: Any) -> None:
    missing = await chat(call, headers={})
    bad = await chat(call, headers={"x-goog-api-key": "bad-key"})
    assert (missing.status, missing.body["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert bad.status == 400
    assert bad.body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_models_are_listed(call: Any) -> None:
    reply = await call.request("GET", f"{call.sim.url}/google/v1beta/models", headers=HEADERS)
    assert "models/gemini-2.5-flash" in [model["name"] for model in reply.body["models"]]


async def test_unknown_addresses_have_googles_error(call: Any) -> None:
    reply = await post(call, {}, method="countTokens")
    assert (reply.status, reply.body["error"]["status"]) == (404, "NOT_FOUND")


async def test_embeddings_come_alone_and_in_batches(call: Any) -> None:
    content = {"parts": [{"text": "a pump"}]}
    where = {"model": "gemini-embedding-001"}
    alone = await post(call, {"content": content}, method="embedContent", **where)
    row = {"model": "models/gemini-embedding-001", "content": content, "outputDimensionality": 8}
    batch = await post(call, {"requests": [row]}, method="batchEmbedContents", **where)
    assert alone.body["embedding"]["values"]
    assert [len(one["values"]) for one in batch.body["embeddings"]] == [8]


async def run(call: Any, job: AnyJob, ref: str = "google/gemini-2.5-flash", **more: Any) -> Answer:
    """The job through the worker's own adapter and back."""
    model = catalog().resolve(ref)
    attempt = Call(
        job=job,
        provider=catalog().provider("google"),
        model=model,
        base_url=call.sim.base_url("google"),
        request_id="0190a0b0-0000-7000-8000-00000000abcd",
        **({"api_key": "key"} | more),
    )
    adapter = GeminiContent()
    request = adapter.build(attempt).request
    async with call.session.post(
        str(request.url), data=request.content, headers=dict(request.headers)
    ) as answered:
        content = await answered.read()
        response = httpx.Response(answered.status, content=content)
    if response.is_error:
        raise adapter.classify(attempt, response)
    if not attempt.stream:
        return adapter.parse(attempt, response)
    decoder = adapter.decoder(attempt)
    decoder.feed(content)
    return decoder.finish()


def generate(**fields: Any) -> Generate:
    return Generate.model_validate({"workspace": "acme", "prompt": "I want a refund"} | fields)


TOOL_JOB = {"name": "record", "description": "Record the label", "parameters": SCHEMA}


@pytest.mark.parametrize("ref", ["gemini-1.5-pro", "gemini-2.5-flash", "gemini-3.8-flash"])
@pytest.mark.parametrize("tools", [[], [TOOL_JOB]])
async def test_adapter_gets_a_structured_answer(call: Any, ref: str, tools: list[Any]) -> None:
    choice = {"tool_choice": "none"} if tools else {}
    job = generate(schema=SCHEMA, tools=tools, **choice)
    answer = await run(call, job, f"google/{ref}")
    assert answer.output == {"label": "refund"}


@pytest.mark.parametrize("ref", ["gemini-2.5-flash", "gemini-3.8-flash"])
async def test_adapter_goes_through_a_tool_loop(call: Any, ref: str) -> None:
    first = generate(tools=[TOOL_JOB], tool_choice="required", effort="low")
    answer = await run(call, first, f"google/{ref}")
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.reasoning
    messages = [
        {"role": "user", "content": "I want a refund"},
        {
            "role": "assistant",
            "tool_calls": [made.model_dump() for made in answer.tool_calls],
            "reasoning": [part.model_dump() for part in answer.reasoning],
        },
        {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "recorded"},
    ]
    again = generate(prompt=None, messages=messages, tools=[TOOL_JOB])
    assert "recorded" in ((await run(call, again, f"google/{ref}")).text or "")


@pytest.mark.parametrize("ref", ["gemini-2.5-flash", "gemini-3.8-flash"])
@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL_JOB], "tool_choice": "required"}])
async def test_adapter_reads_a_stream_as_the_whole(
    call: Any, ref: str, fields: dict[str, Any]
) -> None:
    job = generate(effort="low", **fields)
    whole = await run(call, job, f"google/{ref}")
    assert await run(call, job, f"google/{ref}", stream=True) == whole
    assert whole.text or whole.tool_calls


async def test_adapter_embeds(call: Any) -> None:
    job = Embed.model_validate({"workspace": "acme", "input": ["a", "b"], "dimensions": 16})
    answer = await run(call, job, "google/gemini-embedding-001")
    assert [len(vector) for vector in answer.vectors] == [16, 16]


@pytest.mark.parametrize(
    ("ref", "more", "kind"),
    [
        ("google/gemini-no-key", {"api_key": None}, ErrorKind.AUTHENTICATION),
        ("google/gemini-bad-key", {"api_key": "bad-key"}, ErrorKind.AUTHENTICATION),
        ("google/no-such-gemini", {}, ErrorKind.MODEL_NOT_FOUND),
    ],
)
async def test_adapter_reads_refusals(
    call: Any, ref: str, more: dict[str, Any], kind: ErrorKind
) -> None:
    with pytest.raises(ProviderError) as caught:
        await run(call, generate(), ref, **more)
    assert caught.value.kind is kind


async def test_adapter_reads_a_rate_limit_with_its_hint(call: Any) -> None:
    call.sim.limits.set("google", requests_per_minute=1)
    await run(call, generate())
    with pytest.raises(ProviderError) as caught:
        await run(call, generate())
    assert caught.value.kind is ErrorKind.RATE_LIMITED
    assert 0 < (caught.value.retry_after_s or 0) <= 60


async def test_adapter_reads_a_spent_daily_quota(call: Any) -> None:
    call.sim.faults.add(Fault(kind="insufficient_quota", provider="google"))
    with pytest.raises(ProviderError) as caught:
        await run(call, generate())
    assert caught.value.kind is ErrorKind.QUOTA_EXHAUSTED
    assert 0 < (caught.value.retry_after_s or 0) <= 25 * 3600


async def test_a_fault_can_be_aimed_at_a_model(call: Any) -> None:
    call.sim.faults.add(Fault(kind="overloaded", provider="google", model="gemini-2.5-pro"))
    await run(call, generate())
    with pytest.raises(ProviderError) as caught:
        await run(call, generate(), "google/gemini-2.5-pro")
    assert caught.value.kind is ErrorKind.OVERLOADED


async def test_adapter_notices_a_truncated_stream(call: Any) -> None:
    call.sim.faults.add(Fault(kind="truncated", provider="google"))
    with pytest.raises(ProviderError) as caught:
        await run(call, generate(), stream=True)
    assert (caught.value.kind, caught.value.possibly_billed) == (ErrorKind.INTERRUPTED, True)
