"""What Gemini refuses in the generation config and in schemas, by the model's generation.

Source: https://ai.google.dev/api/generate-content#generationconfig, /docs/thinking and
/docs/structured-output, 2026-11.
"""

from __future__ import annotations

import re
from typing import Any

from penstock_worker.simulator.request import JsonObject, invalid, is_array, is_object, part_of

from .gemini_contents import many, plain_names

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_FIELDS = frozenset(
    [
        "candidateCount", "stopSequences", "maxOutputTokens", "temperature", "topP", "topK",
        "seed", "presencePenalty", "frequencyPenalty", "responseMimeType", "responseSchema",
        "responseJsonSchema", "responseModalities", "thinkingConfig", "responseLogprobs",
        "logprobs", "mediaResolution", "speechConfig", "imageConfig", "enableEnhancedCivicAnswers",
    ]
)  # fmt: skip
_SCHEMA_FIELDS = frozenset(
    [
        "type", "format", "title", "description", "nullable", "enum", "items", "maxItems",
        "minItems", "properties", "required", "minProperties", "maxProperties", "minLength",
        "maxLength", "pattern", "example", "anyOf", "propertyOrdering", "default", "minimum",
        "maximum",
    ]
)  # fmt: skip
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "presencePenalty": (-2, 1.999999),
    "frequencyPenalty": (-2, 1.999999),
    "seed": (-(2**31), 2**31 - 1),
    "maxOutputTokens": (1, 2**31 - 1),
}
_WHOLE = ("seed", "maxOutputTokens", "topK", "candidateCount")
_MOST_STOPS = 5
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "THINKING_LEVEL_UNSPECIFIED")
_MOST_BUDGET = 32_768


def generation_of(model: str) -> tuple[int, int]:
    """The version in a model's name; a name without one counts as 2.0, a `-latest` one as 3.0."""
    found = _VERSION.match(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return (3, 0) if model.startswith("gemini-") and model.endswith("-latest") else (2, 0)


def check_known(body: JsonObject, known: frozenset[str], where: str) -> None:
    """400 for a name that the real one does not know."""
    for name in body:
        if name not in known:
            at = f" at '{where}'" if where else ""
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            )


def check_config(config: JsonObject, model: str, *, has_tools: bool) -> None:
    """400 for values out of range, and for what the model's generation does not take."""
    check_known(config, _FIELDS, "generation_config")
    for name, (low, high) in _RANGES.items():
        _check_number(config, name, low, high)
    if len(many(config.get("stopSequences"))) > _MOST_STOPS:
        raise invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most"
            f" {_MOST_STOPS} stop sequences are allowed"
        )
    generation = generation_of(model)
    if generation >= (2, 5) and (config.get("presencePenalty") or config.get("frequencyPenalty")):
        raise invalid(f"Penalty is not enabled for models/{model}")
    wants_json = config.get("responseMimeType") == "application/json"
    if wants_json and has_tools and generation < (3, 0):
        raise invalid(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    _check_thinking(plain_names(part_of(config, "thinkingConfig")), generation, model)
    both = ("responseSchema", "responseJsonSchema")
    if any(name in config for name in both) and not wants_json:
        raise invalid("response_schema needs response_mime_type: application/json")
    if all(name in config for name in both):
        raise invalid("Only one of response_schema and response_json_schema may be set.")


def _check_number(config: JsonObject, name: str, low: float, high: float) -> None:
    value: Any = config.get(name)
    if value is None:
        return
    whole = name not in _WHOLE or isinstance(value, int)
    if not isinstance(value, int | float) or isinstance(value, bool) or not whole:
        raise invalid(f"Invalid value at 'generation_config.{name}' (TYPE_FLOAT), {value!r}")
    if not low <= value <= high:
        raise invalid(
            f"* GenerateContentRequest.generation_config.{name}: {name} must be in the range"
            f" [{low:g}, {high:g}]."
        )


def _check_thinking(thinking: JsonObject, generation: tuple[int, int], model: str) -> None:
    if not thinking:
        return
    check_known(
        thinking,
        frozenset(["includeThoughts", "thinkingBudget", "thinkingLevel"]),
        "generation_config.thinking_config",
    )
    budget: Any = thinking.get("thinkingBudget")
    level: Any = thinking.get("thinkingLevel")
    if generation < (2, 5):
        raise invalid(f"Thinking is not enabled for models/{model}")
    if budget is not None and level is not None:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if level is not None and generation < (3, 0):
        raise invalid("Thinking level is not supported for this model.")
    if level is not None and str(level).upper() not in _LEVELS:
        raise invalid("Invalid value at 'generation_config.thinking_config.thinking_level'")
    least = 128 if "-pro" in model else 0
    if isinstance(budget, int) and budget != -1 and not least <= budget <= _MOST_BUDGET:
        raise invalid(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and"
            f" {_MOST_BUDGET}."
        )
    if "-pro" in model and str(level).upper() == "MINIMAL":
        raise invalid("Thinking level MINIMAL is not supported for this model.")
    if budget == 0 and thinking.get("includeThoughts"):
        raise invalid(
            "Unable to submit request because thinking is disabled but include_thoughts is set."
        )


def schema_of(
    config: JsonObject, *, older: str = "responseSchema", newer: str = "responseJsonSchema"
) -> JsonObject | None:
    """The JSON Schema of a config or a function; 400 for what the older form does not know."""
    if is_object(config.get(newer)):
        return config[newer]
    if not is_object(config.get(older)):
        return None
    return _older(config[older], older)


def _older(given: Any, where: str) -> JsonObject:
    """An OpenAPI-like schema as JSON Schema: types in lower case, no null beside them."""
    schema = plain_names(given)
    check_known(schema, _SCHEMA_FIELDS, where)
    kind: Any = schema.get("type")
    if kind is not None and not isinstance(kind, str):
        raise invalid(f"Invalid value at '{where}.type': a list of types cannot be taken.")
    out = {key: value for key, value in schema.items() if key not in ("nullable", "example")}
    if isinstance(kind, str):
        out["type"] = kind.lower()
    if any(not isinstance(value, str) for value in many(schema.get("enum"))):
        raise invalid(f"Invalid value at '{where}.enum[0]' (TYPE_STRING)")
    if is_object(schema.get("properties")):
        fields: JsonObject = schema["properties"]
        out["properties"] = {
            name: _older(field, f"{where}.properties") for name, field in fields.items()
        }
    if "items" in schema:
        out["items"] = _older(schema["items"], f"{where}.items")
    elif out.get("type") == "array":
        raise invalid(f"* GenerateContentRequest.{where}.items: missing field.")
    if is_array(schema.get("anyOf")):
        out["anyOf"] = [_older(branch, f"{where}.any_of") for branch in schema["anyOf"]]
    return out
