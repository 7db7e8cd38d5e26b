"""What Gemini refuses in the contents of a request, and the texts that are left to answer.

Source: https://ai.google.dev/gemini-api/docs/function-calling and /docs/thought-signatures,
2026-11.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_worker.simulator.request import JsonObject, Refusal, invalid, is_array, is_object

SKIP_SIGNATURE = "skip_thought_signature_validator"
_SNAKE = re.compile(r"_([a-z])")
_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)
_AFTER = "Please ensure that function call turn comes immediately after a user turn or after a"


@dataclass(slots=True)
class Contents:
    """What was read: all text in order, the user's texts, the results after the last of them."""

    parts: list[str] = field(default_factory=list)
    user_texts: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


def plain_names(given: Any) -> JsonObject:
    """The object with its own names in camel case; those inside are left alone."""
    if not is_object(given):
        raise invalid("Invalid JSON payload received. Expected an object.")
    return {_SNAKE.sub(lambda m: m[1].upper(), name): value for name, value in given.items()}


def many(given: Any) -> list[Any]:
    """A repeated field, for which a single value may stand."""
    if given is None:
        return []
    return given if is_array(given) else [given]


def text_of(part: JsonObject) -> str:
    """The text of a part, empty for other kinds."""
    text: Any = part.get("text")
    return text if isinstance(text, str) else ""


def read_contents(body: JsonObject, *, signs: bool) -> Contents:
    """The contents of a request; 400 for what the real one refuses.

    With `signs` as by models from 3 on: calls of the current turn need their signatures, results
    stand apart.
    """
    rows = [_content(index, row) for index, row in enumerate(many(body.get("contents")))]
    if not rows:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    found = Contents()
    open_calls: list[str] = []
    before = ""
    for index, (role, parts) in enumerate(rows):
        calls = [_name(part, "functionCall", index) for part in parts if "functionCall" in part]
        answers = [p for p in parts if "functionResponse" in p]
        if calls and (role != "model" or before not in ("user", "results")):
            raise invalid(f"{_AFTER} function response turn.")
        _check_answers(answers, open_calls, index)
        if signs and answers and len(answers) < len(parts):
            raise invalid("Function response parts cannot stand beside other parts in a content.")
        open_calls = calls
        before = "results" if answers else role
        _gather(found, role, parts)
    if open_calls:
        raise _uneven()
    if signs:
        _check_signatures(rows)
    return found


def _content(index: int, given: Any) -> tuple[str, list[JsonObject]]:
    content = plain_names(given)
    role: Any = content.get("role", "user")
    if role not in ("user", "model", "function"):
        raise invalid("Please use a valid role: user, model.")
    where = f"GenerateContentRequest.contents[{index}].parts"
    parts = [plain_names(part) for part in many(content.get("parts"))]
    if not parts:
        raise invalid(f"* {where}: contents.parts must not be empty.")
    for at, part in enumerate(parts):
        kinds = [kind for kind in _DATA if kind in part]
        if len(kinds) > 1:
            raise invalid(f"* {where}[{at}]: oneof field 'data' is already set.")
        if not kinds or (part.get("text") == "" and not part.get("thoughtSignature")):
            raise invalid(
                f"* {where}[{at}].data: required oneof field 'data' must have one initialized field"
            )
    return "user" if role == "function" else role, parts


def _name(part: JsonObject, kind: str, index: int) -> str:
    called = plain_names(part[kind])
    if not called.get("name"):
        snake = "function_call" if kind == "functionCall" else "function_response"
        raise invalid(
            f"* GenerateContentRequest.contents[{index}].parts[0].{snake}.name:"
            " Name cannot be empty."
        )
    field_name = "args" if kind == "functionCall" else "response"
    if not is_object(called.get(field_name, {})):
        raise invalid(
            f"Invalid value at 'contents[{index}].parts[0].{field_name}'"
            " (type.googleapis.com/google.protobuf.Struct)"
        )
    return str(called["name"])


def _check_answers(answers: list[JsonObject], open_calls: list[str], index: int) -> None:
    if answers and not open_calls:
        raise invalid(
            "Please ensure that function response turn comes immediately after a function call"
            " turn."
        )
    names = [_name(part, "functionResponse", index) for part in answers]
    if len(names) != len(open_calls) or sorted(names) != sorted(open_calls):
        raise _uneven()


def _uneven() -> Refusal:
    return invalid(
        "Please ensure that the number of function response parts is equal to the number of"
        " function call parts of the function call turn."
    )


def _gather(found: Contents, role: str, parts: list[JsonObject]) -> None:
    texts = [text_of(part) for part in parts if part.get("text")]
    found.parts += [text_of(part) or orjson.dumps(part).decode() for part in parts]
    if role == "user" and texts:
        found.user_texts.append("\n".join(texts))
        found.results.clear()
    found.results += [_result(part) for part in parts if "functionResponse" in part]


def _result(part: JsonObject) -> str:
    response: Any = plain_names(part["functionResponse"]).get("response") or {}
    said: Any = response.get("output", response.get("error", response))
    return said if isinstance(said, str) else orjson.dumps(said).decode()


def _check_signatures(rows: list[tuple[str, list[JsonObject]]]) -> None:
    """Every first call after the user's last text carries a signature that can be one."""
    start = max(
        (
            index
            for index, (role, parts) in enumerate(rows)
            if role == "user" and all("functionResponse" not in part for part in parts)
        ),
        default=0,
    )
    for role, parts in rows[start:]:
        calls = [part for part in parts if "functionCall" in part]
        if role != "model" or not calls:
            continue
        signature: Any = calls[0].get("thoughtSignature")
        if not signature:
            name = plain_names(calls[0]["functionCall"]).get("name")
            raise invalid(
                "Function call is missing a thought_signature in functionCall parts. This is"
                " required for tools to work correctly, and missing thought_signature may lead to"
                f" degraded model performance. Additional data, function call `{name}`."
            )
        if not _can_be_signature(signature):
            raise invalid("Corrupted thought signature.")


def _can_be_signature(signature: Any) -> bool:
    if signature == SKIP_SIGNATURE:
        return True
    try:
        return bool(b64decode(str(signature).translate(_STANDARD), validate=True))
    except (NotBase64, ValueError):
        return False


_STANDARD = str.maketrans("-_", "+/")
