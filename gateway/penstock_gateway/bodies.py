"""Bodies of requests: strict JSON of bounded depth, as the model that a route takes.

They are read after the token was checked, so nobody else makes the gateway parse anything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any, Final, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from penstock_gateway.problems import FieldError, Refused, invalid

#: Objects and lists within each other.
MOST_DEPTH: Final = 64
#: Entries of all objects and lists of one body, or of one of many jobs.
MOST_ENTRIES: Final = 50_000
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKET = bytes(set(range(256)).difference(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_JSON = re.compile(r"application/(json|[\w.+-]+\+json)\s*(;.*)?", re.IGNORECASE | re.ASCII)
_T = TypeVar("_T", bound=BaseModel)


async def read_json(request: Request) -> Any:
    """The body as JSON has it; raises Refused for what is none, or is nested too deeply."""
    content_type = request.headers.get("content-type")
    if content_type is not None and not _JSON.fullmatch(content_type):
        raise Refused(415, "send JSON, as content type application/json", kind="not-json")
    return parsed(await request.body())


def parsed(body: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN or Infinity, at most `MOST_DEPTH` deep; raises Refused."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}", kind="not-json") from None
    if is_deep(body):
        raise Refused(400, f"the body is nested more than {MOST_DEPTH} deep", kind="not-json")
    return document


def is_deep(body: bytes) -> bool:
    """Whether valid JSON is nested too deeply; costs next to nothing for what cannot be."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return False
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKET)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MOST_DEPTH


def check_entries(document: Any, *, at: str = "") -> None:
    """Refuse what has too many entries, before each of them is found wrong; raises Refused."""
    left = [document]
    seen = 0
    while left:
        one = left.pop()
        if isinstance(one, dict):
            children: Any = cast("dict[str, Any]", one).values()
        elif isinstance(one, list):
            children = cast("list[Any]", one)
        else:
            continue
        seen += len(children)
        if seen > MOST_ENTRIES:
            told = f"has more than {MOST_ENTRIES:,} entries"
            errors = [FieldError(field=at, message=told)]
            raise Refused(422, f"{at or 'the body'}: {told}", kind="invalid", errors=errors)
        left += [child for child in children if isinstance(child, (dict, list))]


def body_of(kind: type[_T]) -> Callable[[Request], Awaitable[_T]]:
    """A dependency that gives the body as a model."""

    async def read(request: Request) -> _T:
        document = await read_json(request)
        check_entries(document)
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            told = "some fields cannot be accepted"
            raise Refused(422, told, kind="invalid", errors=invalid(error)) from None

    return read


def takes(kind: type[BaseModel] | str, example: Any, *, required: bool = True) -> dict[str, Any]:
    """What the description of a route says of its body; `openapi.py` adds the schema."""
    name = kind if isinstance(kind, str) else kind.__name__
    content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": example}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}
