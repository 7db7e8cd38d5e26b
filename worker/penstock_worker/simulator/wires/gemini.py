"""Gemini's wire: generateContent, streamGenerateContent, the embeddings and the list of models.

Served alike below `/v1` and `/v1beta`. Streams come as events whether or not `alt=sse` was asked
for; JSON names are taken in camel and in snake case, as the real one does.
Source: https://ai.google.dev/api/generate-content and /api/embeddings, 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from penstock_worker.simulator.caching import PromptCache
from penstock_worker.simulator.embeddings import dimensions_of
from penstock_worker.simulator.request import (
    JsonObject,
    Refusal,
    SimEmbedding,
    SimRequest,
    SimTool,
    SimUsage,
    invalid,
    is_object,
    part_of,
    tokens_of,
)

from .gemini_answers import (
    CANNED,
    GeminiEmbedding,
    GeminiRequest,
    render_chat,
    render_embed,
    render_error,
    render_models,
    stream_chat,
)
from .gemini_config import check_config, check_known, generation_of, schema_of
from .gemini_contents import many, plain_names, read_contents, text_of
from .wire import Operation, Wire, WireCall, last_subject

_PATH = re.compile(r"/v1(?:beta)?/(?:models|tunedModels)/([^:/]+):(\w+)")
_OPERATIONS: dict[str, Operation] = {
    "generateContent": "chat",
    "streamGenerateContent": "chat",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
_MODELS = ("/v1/models", "/v1beta/models")
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_MODES = ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED")
_FIELDS = frozenset(
    [
        "contents", "systemInstruction", "tools", "toolConfig", "generationConfig",
        "safetySettings", "cachedContent", "model", "labels", "store", "serviceTier",
    ]
)  # fmt: skip
_MOST_TEXTS = 100


def route(method: str, path: str) -> Operation | None:
    """What a method and path ask for, None for an unknown address."""
    path = unquote(path)
    if method == "GET" and path in _MODELS:
        return "models"
    found = _PATH.fullmatch(path)
    return _OPERATIONS.get(found[2]) if found and method == "POST" else None


def authorise(_provider: str, headers: Mapping[str, str]) -> None:
    """403 without a key, 400 `API_KEY_INVALID` for one named `bad-…`: no 401 for keys here."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    key = headers.get("x-goog-api-key") or bearer
    if not key:
        raise Refusal(
            403,
            "permission",
            "Method doesn't allow unregistered callers (callers without established identity)."
            " Please use API Key or other form of API consumer identity to call this API.",
        )
    if key.startswith(("bad-", "sk-bad")):
        raise Refusal(400, "authentication", "API key not valid. Please pass a valid API key.")


def parse_chat(call: WireCall) -> SimRequest:
    """The request in the simulator's words; 400 for what the provider would refuse."""
    body = plain_names(call.body)
    check_known(body, _FIELDS, "")
    model, operation = _model(call)
    config = plain_names(part_of(body, "generationConfig"))
    tools, declared = _tools(body)
    check_config(config, model, has_tools=bool(tools))
    if body.get("cachedContent") and (tools or body.get("systemInstruction")):
        raise invalid(
            "CachedContent can not be used with GenerateContent request setting"
            " system_instruction, tools or tool_config."
        )
    forced, must_call, may_call = _tool_choice(body, tools)
    system = _system(body)
    contents = read_contents(body, signs=generation_of(model) >= (3, 0))
    schema = schema_of(config)
    shape = [] if schema is None else [orjson.dumps(schema).decode()]
    return GeminiRequest(
        model=model,
        prompt="\n".join([*declared, *shape, system, *contents.parts]),
        user_text=last_subject(contents.user_texts),
        system=system,
        tools=may_call,
        forced_tool=forced,
        must_call=must_call,
        schema=schema,
        json_mode=config.get("responseMimeType") == "application/json",
        tool_results=tuple(contents.results),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(many(config.get("stopSequences"))),
        stream=operation == "streamGenerateContent",
        shows_thoughts=bool(plain_names(part_of(config, "thinkingConfig")).get("includeThoughts")),
        signs=generation_of(model) >= (3, 0),
    )


def _model(call: WireCall) -> tuple[str, str]:
    found = _PATH.fullmatch(unquote(call.path))
    model, operation = (found[1], found[2]) if found else ("", "")
    if model.startswith("no-such-"):
        method = "embedContent" if "mbed" in operation else "generateContent"
        raise Refusal(
            404,
            "not_found",
            f"models/{model} is not found for API version v1beta, or is not supported for"
            f" {method}. Call ModelService.ListModels to see the list of available models and"
            " their supported methods.",
        )
    return model, operation


def _tools(body: JsonObject) -> tuple[tuple[SimTool, ...], list[str]]:
    """The functions declared, and their text as the model reads it."""
    tools: list[SimTool] = []
    for tool in many(body.get("tools")):
        for index, raw in enumerate(many(plain_names(tool).get("functionDeclarations"))):
            declared = plain_names(raw)
            where = f"GenerateContentRequest.tools[0].function_declarations[{index}]"
            name = str(declared.get("name") or "")
            if not _FUNCTION_NAME.fullmatch(name):
                raise invalid(
                    f"* {where}.name: Invalid function name. Must start with a letter or an"
                    " underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.),"
                    " colons (:), or dashes (-), with a maximum length of 128."
                )
            if any(known.name == name for known in tools):
                raise invalid(f"Duplicate function declaration found: {name}")
            schema = schema_of(declared, older="parameters", newer="parametersJsonSchema")
            tools.append(SimTool(name, str(declared.get("description") or ""), schema or {}))
    texts = [orjson.dumps([tool.name, tool.description, tool.schema]).decode() for tool in tools]
    return tuple(tools), texts


def _tool_choice(
    body: JsonObject, tools: tuple[SimTool, ...]
) -> tuple[str | None, bool, tuple[SimTool, ...]]:
    """(the one tool to call, whether any must be called, the tools that may be)."""
    choice = plain_names(part_of(plain_names(part_of(body, "toolConfig")), "functionCallingConfig"))
    if not choice:
        return None, False, tools
    if not tools:
        raise invalid("Function calling config is set without function_declarations.")
    mode = choice.get("mode") or "AUTO"
    if mode not in _MODES:
        raise invalid(
            "Invalid value at 'tool_config.function_calling_config.mode'"
            f' (type.googleapis.com/google.ai.generativelanguage.v1beta.Mode), "{mode}"'
        )
    allowed = many(choice.get("allowedFunctionNames"))
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid(
            "The allowed_function_names field may only be set when the mode is ANY or VALIDATED."
        )
    if unknown := [name for name in allowed if all(tool.name != name for tool in tools)]:
        raise invalid(
            "`allowed_function_names` should be a subset of the declared functions; unknown:"
            f" {', '.join(map(str, unknown))}"
        )
    offered = tuple(tool for tool in tools if not allowed or tool.name in allowed)
    if mode == "NONE":
        return None, False, ()
    only = offered[0].name if mode == "ANY" and len(offered) == 1 else None
    return only, mode == "ANY", offered


def _system(body: JsonObject) -> str:
    given: Any = body.get("systemInstruction")
    if isinstance(given, str):
        raise invalid("Invalid value at 'system_instruction' (type: Content)")
    parts = many(plain_names(given or {}).get("parts"))
    return "\n".join(text_of(plain_names(part)) for part in parts)


def parse_embed(call: WireCall) -> SimEmbedding:
    """The texts to embed; 400 for no text, too many, or a size that the model cannot give."""
    model, operation = _model(call)
    body = plain_names(call.body)
    rows = [body] if operation == "embedContent" else many(body.get("requests"))
    if not rows:
        raise invalid("* BatchEmbedContentsRequest.requests: at least one request is required")
    if len(rows) > _MOST_TEXTS:
        raise invalid(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
        )
    read = [_row(plain_names(row), model, alone=operation == "embedContent") for row in rows]
    sizes = {size for _, size in read}
    if len(sizes) > 1:
        raise invalid("The simulator gives one output_dimensionality per batch.")
    texts = tuple(text for text, _ in read)
    return GeminiEmbedding(model, texts, sizes.pop(), alone=operation == "embedContent")


def _row(row: JsonObject, model: str, *, alone: bool) -> tuple[str, int | None]:
    if not alone and row.get("model") != f"models/{model}":
        raise invalid("* BatchEmbedContentsRequest.requests[0].model: model is not the batch's")
    content = plain_names(row.get("content") if is_object(row.get("content")) else {})
    text = "\n".join(text_of(plain_names(part)) for part in many(content.get("parts")))
    if not text:
        raise invalid("* EmbedContentRequest.content: contents is not specified")
    size: Any = row.get("outputDimensionality")
    if size is not None and not (
        isinstance(size, int) and 1 <= size <= max(3072, dimensions_of(model))
    ):
        raise invalid(f"Invalid value for output_dimensionality: {size}")
    return text, size


def input_usage(cache: PromptCache, scope: str, request: SimRequest) -> SimUsage:
    """Prefixes are cached without being asked."""
    return cache.automatic(scope, request)


def limit_charge(request: SimRequest) -> int:
    """Input tokens only: the limits of this wire count nothing else."""
    return tokens_of(len(request.prompt))


GEMINI = Wire(
    name="gemini",
    route=route,
    authorise=authorise,
    parse_chat=parse_chat,
    input_usage=input_usage,
    limit_charge=limit_charge,
    render_chat=render_chat,
    stream_chat=stream_chat,
    parse_embed=parse_embed,
    render_embed=render_embed,
    render_models=render_models,
    render_error=render_error,
    canned=CANNED,
    request_id_header="x-cloud-trace-context",
)
