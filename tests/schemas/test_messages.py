"""Messages and tools as callers write them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from penstock_schemas.messages import (
    AssistantMessage,
    ImagePart,
    Message,
    SystemMessage,
    Tool,
    ToolMessage,
    UserMessage,
)

MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


@pytest.mark.parametrize(
    ("role", "fields", "kind"),
    [
        ("system", {"content": "x"}, SystemMessage),
        ("developer", {"content": "x"}, SystemMessage),
        ("user", {"content": "x"}, UserMessage),
        ("assistant", {}, AssistantMessage),
        ("tool", {"tool_call_id": "1", "content": "x"}, ToolMessage),
    ],
)
def test_message_is_told_by_its_role(role: str, fields: dict[str, Any], kind: type) -> None:
    assert type(MESSAGE.validate_python({"role": role, **fields})) is kind


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "narrator", "content": "x"},
        {"content": "x"},
        {"role": "user", "content": "x", "name": "eve"},
        {"role": "tool", "content": "x"},
    ],
)
def test_message_refuses_unknown_roles_and_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MESSAGE.validate_python(fields)


def test_user_message_takes_text_and_images() -> None:
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image", "url": "http://x/y.png"}]
    message = UserMessage.model_validate({"role": "user", "content": parts})
    assert [part.type for part in message.content] == ["text", "image"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "either url or data"),
        ({"url": "http://x", "data": "aGk=", "media_type": "image/png"}, "either url or data"),
        ({"data": "aGk="}, "needs its media_type"),
    ],
)
def test_image_has_exactly_one_complete_source(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ImagePart(**fields)


def test_tool_without_parameters_takes_an_object() -> None:
    assert Tool(name="now").parameters == {"type": "object"}


def test_tool_needs_a_name() -> None:
    with pytest.raises(ValidationError):
        Tool(name="")
